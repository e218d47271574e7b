"""code_parts: measures the code of every kernel, encoding and op for python/dcsr/planning/code_bytes.json."""

from __future__ import annotations

import json
import re
import sys
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks import emulated, firmware_code
from dcsr import model as tflite
from dcsr import packing
from dcsr.cli import common
from dcsr.planning import code_bytes, cost, kernel_costs

_DESCRIPTION = """\
Measures the bytes of code of each kernel, each encoding and the ops on each core, in firmware that links all of them.
Given firmware with TFLM, also those of TFLM's operators that our ops replace; else these figures stay as they are."""

_EPILOG = """\
examples:
  code_parts -o python/dcsr/planning/code_bytes.json
  code_parts -o python/dcsr/planning/code_bytes.json --tflm cortex-m4,cortex-m7,cortex-m33=m4.elf

exit status: 0 done, 1 a kernel has no part, 2 bad usage"""

_CODINGS = ("dense", "dcsr4", "dcsr8", "rle", "offset8", "rice", "bitmap", "huffman")
READERS = {
    "dense": "kDcsrDenseDecoder",
    "dcsr": "kDcsrDcsrDecoder",
    "rle": "kDcsrRleDecoder",
    "offset8": "kDcsrOffset8Decoder",
    "rice": "kDcsrRiceDecoder",
    "bitmap": "kDcsrBitmapDecoder",
    "huffman": "kDcsrHuffmanDecoder",
}
_TFLM_OPERATOR = re.compile(r"_ZN6tflite\d+(?:Register_|Parse)(\w+)E(?:v|PKNS_8Operator)")
# Functions that every firmware has.
RUNTIME = ("memcpy", "memset", "memmove", "memcmp", "main")


def main(argv: Sequence[str]) -> int:
    """Runs the tool; returns its exit status."""
    parser = common.parser("code_parts", _DESCRIPTION, _EPILOG)
    parser.add_argument("-o", "--output", metavar="FILE", required=True, help="code_bytes.json, which is replaced")
    parser.add_argument(
        "--tflm",
        metavar="CPU[,CPU...]=ELF",
        action="append",
        default=[],
        help="firmware that registers CONV_2D, DEPTHWISE_CONV_2D and FULLY_CONNECTED of TFLM, and other operators",
    )
    arguments = parser.parse_args(argv)
    firmware = {
        cpu: Path(elf) for cpus, _, elf in (of.partition("=") for of in arguments.tflm) for cpu in cpus.split(",")
    }
    path = Path(arguments.output)
    before: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    found = {}
    for core in emulated.CORES:
        cpu = f"cortex-{core}"
        try:
            found[cpu] = of_core(cpu, Path(__file__).with_name(f"code_parts_{core}.elf"))
        except KeyError as error:
            print(f"code_parts: {cpu} has no part {error}", file=sys.stderr)
            return common.EXIT_DIFFERENT
        if cpu in firmware:
            found[cpu]["groups"] += of_tflm(firmware[cpu])
        else:
            old = before.get(cpu, {}).get("groups", [])
            found[cpu]["groups"] += [group for group in old if group[1][0].startswith("TFLM ")]
    tflite.write_file(arguments.output, as_text(found))
    return common.EXIT_OK


def of_core(cpu: str, elf: Path) -> dict[str, Any]:
    """Returns {"runs": code of each kernel for each coding, "groups": bytes of functions by the codes that use them}.

    Raises:
      KeyError: if a kernel of the core's class is not in the firmware.
    """
    code = firmware_code.read(elf)
    roots: dict[str, list[str]] = {f"reader {name}": [table] for name, table in READERS.items()}
    roots |= {"ops": ["part_ops"], "shared rows": ["part_shared_rows"], "layouts": ["kDcsrLayouts"]}
    runs: dict[str, dict[str, str]] = {}
    tables = tables_of(code)
    for kernel in kernels(cpu):
        runs[kernel] = {}
        for coding in _CODINGS:
            table = tables[kernel, coding]
            functions = code.tables[table]
            # The planner and the function that runs; the same pair has one name.
            name = next((n for n, tables in roots.items() if code.tables.get(tables[0]) == functions), "")
            name = name or (kernel if kernel not in roots else f"{kernel} {coding}")
            roots.setdefault(name, [table])
            runs[kernel][coding] = name
            if kernel == "conv1x1_mve" and len(roots[name]) == 1:
                roots[name].append("part_longest_row")
    return {"runs": runs, "groups": groups({name: code.pieces(tables) for name, tables in roots.items()}, code)}


def tables_of(code: firmware_code.Code) -> dict[tuple[str, str], str]:
    """Returns {(kernel, coding): name of a table with it} of the firmware that has all parts (code_parts.cc)."""
    found = {}
    for name in code.tables:
        if match := re.fullmatch(r"part_[A-Z0-9_]+_([a-z]\w*)__([a-z]\w*)", name):
            found[match[1], match[2]] = name
    return found


def kernels(cpu: str) -> list[str]:
    """Returns the kernels of a core's class."""
    ops = (packing.OP_CONV_2D, packing.OP_FULLY_CONNECTED, packing.OP_DEPTHWISE_CONV_2D)
    kinds = (kernel_costs.POINTWISE, kernel_costs.LARGER, kernel_costs.INT16, kernel_costs.PLANES)
    lists = [kernel_costs.kernels_of_list(op, cost.core_class(cpu), kind) for op in ops for kind in kinds]
    return sorted({kernel for found in lists for kernel in found})


def of_tflm(elf: Path) -> list[tuple[int, list[str]]]:
    """Returns the groups of TFLM's operators, without functions that other operators use as well."""
    code = firmware_code.read(elf)
    # The resolver refers to both functions of an operator, Register_CONV_2D and ParseConv2D.
    functions = {symbol: match[1] for symbol in code.addresses if (match := _TFLM_OPERATOR.match(symbol))}
    plain = {name.replace("_", ""): name for name in code_bytes.REPLACED}
    registers: dict[str, list[str]] = {name: [] for name in code_bytes.REPLACED}
    others = []
    for symbol, found in functions.items():
        name = plain.get(found.replace("_", "").upper())
        (registers[name] if name else others).append(symbol)
    other = code.pieces(others)
    pieces = {f"TFLM {name}": code.pieces(symbols) for name, symbols in registers.items()}
    alone = {
        name: {address: size for address, size in found.items() if address not in other}
        for name, found in pieces.items()
    }
    return groups(alone, code)


def groups(pieces: dict[str, dict[int, int]], code: firmware_code.Code) -> list[tuple[int, list[str]]]:
    """Adds up the pieces that have the same users."""
    runtime = {code.addresses[name] for name in RUNTIME if name in code.addresses}
    users: defaultdict[int, list[str]] = defaultdict(list)
    sizes: dict[int, int] = {}
    for name, found in sorted(pieces.items()):
        for address, size in found.items():
            if address not in runtime:
                users[address].append(name)
                sizes[address] = size
    total: defaultdict[tuple[str, ...], int] = defaultdict(int)
    for address, names in users.items():
        total[tuple(names)] += sizes[address]
    return [(size, list(names)) for names, size in sorted(total.items())]


def as_text(found: dict[str, Any]) -> str:
    """Formats the table, one group or kernel a line."""
    cores = []
    for cpu, core in found.items():
        runs = ",\n".join(f"      {json.dumps(kernel)}: {json.dumps(of)}" for kernel, of in core["runs"].items())
        lines = ",\n".join(f"      {json.dumps(group)}" for group in core["groups"])
        cores.append(f'  {json.dumps(cpu)}: {{\n    "runs": {{\n{runs}\n    }},\n    "groups": [\n{lines}\n    ]\n  }}')
    return "{\n" + ",\n".join(cores) + "\n}\n"


if __name__ == "__main__":
    common.run("code_parts", main)
