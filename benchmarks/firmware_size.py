"""firmware_size: prints the code that a model's firmware links, by part."""

from __future__ import annotations

import re
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import dcsr
from benchmarks import code_parts, emulated, firmware_code, firmware_link
from dcsr import files
from dcsr import model as tflite
from dcsr.cli import common
from dcsr.planning import code_bytes, linking
from dcsr.planning.settings import DEFAULT_OBJECTIVE, OBJECTIVES

_DESCRIPTION = """\
Compresses a model and prints a Markdown table of what its firmware links with the header of `compress --cc`: the
adapter, the ops, validation, the readers of encodings and the kernels, by source file, or by function if its file does
not follow from the name. The sizes are those of functions, constants and messages.

Built with TFLM (--//third_party/tflm:framework=LABEL), it links the firmware of the dense and of the compressed model:
TFLM's interpreter, the operators of the model, and the model. The table then has a column for each, and the lines
below give the flash of both. Without TFLM the table has our code only, from a firmware that links all kernels. The
lines below add TFLM's operators that our ops replace, as they were measured (code_bytes.json). The models are stripped.

With --elf it prints the table for a firmware of your own; with --dense beside another one, such as the firmware of the
dense model."""

_EPILOG = """\
examples:
  firmware_size models/kws/ds_cnn_s_90.tflite --cpu m55
  firmware_size models/kws/ds_cnn_s_90.tflite --cpu m55 --elf app.elf --dense dense.elf

exit status: 0 done, 1 the firmware could not be linked, 2 bad usage or bad input"""

# For the compiler the M85 is an M55.
_ELF_OF = {core: core for core in emulated.CORES} | {"m85": "m55"}
# Source files of planners, which the tables count together.
_PLANNING = "planning"
_ADAPTER = "ops/tflm: adapter"
_OPS = "ops: Prepare and Invoke"
_TFLM = "TFLM and its kernels"
_REST = "runtime and application"
_STRINGS = "messages"
_ROOMS = ("common", "dispatch", "format", "mve", "planning", "reference", "scalar")


def main(argv: Sequence[str]) -> int:
    """Runs the tool; returns its exit status."""
    parser = common.parser("firmware_size", _DESCRIPTION, _EPILOG)
    parser.add_argument("model", metavar="MODEL", help="a dense .tflite file")
    parser.add_argument("--cpu", choices=sorted(_ELF_OF), default="m55", help="core (default: %(default)s)")
    parser.add_argument(
        "--objective", choices=OBJECTIVES, default=DEFAULT_OBJECTIVE, help="of `compress` (default: %(default)s)"
    )
    parser.add_argument("--elf", metavar="FILE", help="firmware with the compressed model")
    parser.add_argument("--dense", metavar="FILE", help="with --elf: firmware to compare it with")
    arguments = parser.parse_args(argv)
    if arguments.dense and not arguments.elf:
        parser.error("--dense goes with --elf")
    content = files.read_bytes(arguments.model)
    cpu = f"cortex-{arguments.cpu}"
    core = _ELF_OF[arguments.cpu]
    result = dcsr.compress(content, objective=arguments.objective, cpu=cpu, name=arguments.model)
    flash: list[str] = []
    try:
        if arguments.elf:
            sides = [of_firmware(Path(path)) for path in (arguments.dense, arguments.elf) if path]
        elif firmware_link.is_possible(core):
            found = linked(content, result, core)
            sides = [firmware.parts for firmware in found]
            flash = [f"- Flash of the firmware: {found[0].flash:,} -> {found[1].flash:,} bytes"]
        else:
            sides = [of_parts(linking.parts(result.decisions), _shares(result), core)]
    except firmware_link.LinkError as error:
        print(f"firmware_size: {error}", file=sys.stderr)
        return common.EXIT_DIFFERENT
    except (OSError, ValueError) as error:
        print(f"firmware_size: {error}", file=sys.stderr)
        return common.EXIT_BAD_INPUT
    print("\n".join([*_table(sides), "", *flash, *_summary(content, result, cpu)]))
    return common.EXIT_OK


@dataclass(frozen=True)
class Whole:
    """A firmware that was linked.

    Attributes:
      parts: {part: bytes}.
      flash: all bytes of it, with what has no symbol.
    """

    parts: dict[str, int]
    flash: int


def linked(content: bytes, result: dcsr.Result, core: str) -> tuple[Whole, Whole]:
    """Links the firmware of a dense model and of its compressed form, both stripped.

    Raises:
      firmware_link.LinkError: if that fails.
    """
    found = []
    for of, decisions in ((content, []), (result.model, result.decisions)):
        stripped = dcsr.strip(of, name="model")
        header = firmware_link.header(tflite.parse(stripped, "model"), decisions, f"cortex-{core}")
        with tempfile.TemporaryDirectory() as folder:
            elf = firmware_link.link(core, stripped, header, Path(folder))
            found.append(Whole(of_firmware(elf), firmware_code.value(elf, "__flash_size__")))
    return found[0], found[1]


def of_parts(used: Iterable[code_bytes.Part], has_shared_rows: bool, core: str) -> dict[str, int]:
    """Returns {part: bytes} of our code with some kernels, from the firmware that has all (code_parts.cc)."""
    elf = Path(__file__).with_name(f"code_parts_{core}.elf")
    code = firmware_code.read(elf)
    tables = code_parts.tables_of(code)
    roots = []
    for kernel, coding in used:
        encoding, _, values = coding.partition("+")
        roots.append(tables[kernel, "huffman" if values else encoding])
        reader = "Dcsr" if encoding.startswith("dcsr") else encoding.capitalize()
        roots += [f"kDcsr{reader}Decoder", *(["kDcsrHuffmanDecoder"] if values else [])]
        roots += ["part_longest_row"] if kernel == "conv1x1_mve" else []
    if roots:
        roots.append("part_shared_rows" if has_shared_rows else "part_ops")
    return _by_part(code.pieces(roots), code, firmware_code.source_files(elf), is_ours=True)


def of_firmware(elf: Path) -> dict[str, int]:
    """Returns {part: bytes} of all functions and constants of a firmware, the model among them.

    Raises:
      OSError, ValueError: if it cannot be read, or is no ELF file of 32 bits.
    """
    code = firmware_code.read(elf)
    pieces = {address: function.size for address, function in code.functions.items()} | code.constants
    return _by_part(pieces, code, firmware_code.source_files(elf), is_ours=False)


def _by_part(
    pieces: Mapping[int, int], code: firmware_code.Code, sources: Mapping[int, str], *, is_ours: bool
) -> dict[str, int]:
    total: defaultdict[str, int] = defaultdict(int)
    for address, size in pieces.items():
        total[_part(code.names[address], sources.get(address, ""), is_ours=is_ours)] += size
    return dict(sorted(total.items(), key=lambda item: (item[0] in (_TFLM, _REST), -item[1])))


def _part(name: str, source: str, *, is_ours: bool) -> str:
    """Returns the part of a function or constant, by its name and the file that defines it if it is static."""
    ours = _our_sources()
    if name.startswith(firmware_code.STRING):
        return _STRINGS
    if name.startswith("g_") and name.endswith("_data"):
        return "model"
    if "dcsr4tflm" in name or source.startswith("tflm_ops") or source.startswith("tflm_port"):
        return _ADAPTER
    if name.startswith("_ZN4dcsr") or name.startswith("_ZNK4dcsr") or source.startswith("dcsr_ops"):
        return _OPS
    if source in ours:
        return ours[source]
    if name.startswith("dcsr_plan"):
        return _PLANNING
    if match := re.match(r"(?:dcsr_|kDcsr)(\w+)", name):
        plain = match[1].lower().replace("_", "")
        stems = [file for file in ours if plain.startswith(Path(file).stem.replace("_", ""))]
        return ours[max(stems, key=len)] if stems else name
    if name.startswith(("arm_", "_ZN6tflite", "_ZNK6tflite", "_ZTVN6tflite")) or source.endswith(".cc"):
        return _REST if is_ours else _TFLM
    return _REST


def _our_sources() -> dict[str, str]:
    """Returns {name of a source file of tflm_kernels: its part}."""
    return {
        name: _PLANNING if room == "planning" else f"{room}/{name}"
        for room, names in _SOURCES.items()
        for name in names
    }


_SOURCES: dict[str, tuple[str, ...]] = {
    room: tuple(sorted(path.name for path in (Path(__file__).parents[1] / "tflm_kernels" / room).glob("*.c")))
    for room in _ROOMS
}


def _shares(result: dcsr.Result) -> bool:
    return any(decision.packed and decision.packed.shared is not None for decision in result.decisions)


def _table(sides: Sequence[Mapping[str, int]]) -> list[str]:
    names = list(dict.fromkeys(name for side in reversed(sides) for name in side))
    heads = ["bytes"] if len(sides) == 1 else ["dense", "compressed"]
    lines = [f"| part | {' | '.join(heads)} |", "|---" * (1 + len(sides)) + "|"]
    lines += [f"| {name} | {' | '.join(f'{side.get(name, 0):,}' for side in sides)} |" for name in names]
    return [*lines, f"| **total** | {' | '.join(f'{sum(side.values()):,}' for side in sides)} |"]


def _summary(content: bytes, result: dcsr.Result, cpu: str) -> list[str]:
    models = [dcsr.strip(of, name="model") for of in (content, result.model)]
    names = [_operators(of) for of in models]
    parts = linking.parts(result.decisions)
    lines = [f"- Model, stripped: {len(models[0]):,} -> {len(models[1]):,} bytes"]
    if code_bytes.knows_tflm(cpu):
        before = code_bytes.code_bytes(cpu, (), names[0])
        after = code_bytes.code_bytes(cpu, parts, names[1], has_shared_rows=_shares(result))
        replaced = ", ".join(code_bytes.REPLACED)
        lines += [
            f"- Code of our ops and of TFLM's {replaced}: {before:,} -> {after:,} bytes",
            f"- Together: {len(models[0]) + before:,} -> {len(models[1]) + after:,} bytes",
        ]
    packed = ", ".join(sorted(f"{kernel} ({coding})" for kernel, coding in parts))
    return [*lines, f"- Kernels on {cpu}: {packed or 'none'}"]


def _operators(content: bytes) -> set[str]:
    model = tflite.parse(content, "model")
    return {tflite.operator_name(model, operator) for _, operator in tflite.operators(model)}


if __name__ == "__main__":
    common.run("firmware_size", main)
