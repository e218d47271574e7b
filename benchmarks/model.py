"""model: measures whole models, dense and compressed, on emulated Cortex-M cores."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path

import dcsr
from benchmarks import emulated, model_measure, model_tables, model_tflm
from benchmarks.cycles import program
from dcsr import files, layers
from dcsr import model as tflite
from dcsr.cli import common
from dcsr.planning import cost
from dcsr.planning.planes import DEFAULT_LAYOUT, LAYOUTS
from dcsr.planning.settings import DEFAULT_OBJECTIVE, OBJECTIVES
from toolchains.simulator import run_firmware

_DESCRIPTION = """\
Runs each operator of a model in QEMU, dense and compressed, and prints a Markdown table for each model and core:
retired instructions of one inference, and with --cycles also estimated cycles (docs/cycles.md). A model that is not
compressed is compressed first, for the core; a compressed one is compared with the model that `decompress` restores.

The activations come from the TFLM interpreter of the wheel, for one random input. Every output must equal the
interpreter's, bit for bit. Custom ops run as in a firmware, Prepare and Invoke. Builtin operators run with CMSIS-NN if
the benchmark is built with it (docs/cortex_m.md#cmsis), else with our own dense kernels. An operator that has no kernel
here gets "-", and the lines below the table say that the totals lack it. Several models or cores also get a table with
a row for each; its cycles are those with data in DTCM.

Built with TFLM (--//third_party/tflm:framework=LABEL), it runs the models in TFLM's interpreter instead."""

_EPILOG = """\
examples:
  model models/kws/ds_cnn_s_90.tflite --cpu m55 --cpu m4
  model small.tflite --cpu m55 --cycles --json numbers.json

exit status: 0 done, 1 an output was wrong, or an instruction has no timing, 2 bad usage, bad input, no QEMU, or
--cycles with a QEMU without plugins"""


def main(argv: Sequence[str]) -> int:
    """Runs the tool; returns its exit status."""
    parser = common.parser("model", _DESCRIPTION, _EPILOG)
    parser.add_argument("models", nargs="+", metavar="MODEL", help="a .tflite file, compressed or not")
    parser.add_argument(
        "--cpu",
        action="append",
        type=emulated.core_name,
        choices=emulated.CORES,
        help="core; may be repeated (default: m55)",
    )
    parser.add_argument("--cycles", action="store_true", help="also estimate cycles; needs a QEMU with plugins")
    parser.add_argument(
        "--memory",
        choices=cost.MEMORIES,
        default=cost.DEFAULT_MEMORY,
        help="compress as `compress --memory` does; the cycles are printed for both (default: %(default)s)",
    )
    parser.add_argument(
        "--objective", choices=OBJECTIVES, default=DEFAULT_OBJECTIVE, help="of `compress` (default: %(default)s)"
    )
    parser.add_argument(
        "--layout", choices=LAYOUTS, default=DEFAULT_LAYOUT, help="of `compress` (default: %(default)s)"
    )
    parser.add_argument("--json", metavar="FILE", help="also write the numbers as JSON")
    arguments = parser.parse_args(argv)
    in_tflm = any(model_tflm.firmware(core).exists() for core in emulated.CORES)
    for core in arguments.cpu or () if in_tflm else ():
        if not model_tflm.firmware(core).exists():
            parser.error(f"there is no firmware with TFLM for --cpu {core}")
    compare = (model_tflm if in_tflm else model_measure).compare
    comparisons = []
    try:
        for path in arguments.models:
            for core in arguments.cpu or ("m55",):
                original, compressed = pair(
                    path, core, objective=arguments.objective, memory=arguments.memory, layout=arguments.layout
                )
                found = compare(Path(path).stem, original, compressed, core, arguments.cycles)
                print("\n".join([*([""] if comparisons else []), *model_tables.tables(found)]), flush=True)
                comparisons.append(found)
        if len(comparisons) > 1:
            print("\n".join(["", *model_tables.overview(comparisons)]))
    except run_firmware.SimulatorMissingError as error:
        sys.stderr.write(run_firmware.INSTALL.format(missing=error))
        return common.EXIT_BAD_INPUT
    except emulated.NoPluginsError as error:
        print(f"model: {error}", file=sys.stderr)
        return common.EXIT_BAD_INPUT
    except (emulated.FirmwareError, program.UnknownInstructionError) as error:
        print(f"model: {error}", file=sys.stderr)
        return common.EXIT_DIFFERENT
    if arguments.json:
        numbers = [model_tables.as_json(found) for found in comparisons]
        tflite.write_file(arguments.json, json.dumps(numbers, indent=2) + "\n")
    return common.EXIT_OK


def pair(path: str, core: str, **options: str) -> tuple[bytes, bytes]:
    """Returns the dense and the compressed model of a file, one of which it is.

    Args:
      path: the file.
      core: one of emulated.CORES.
      options: of dcsr.compress(), for a model that is not compressed.

    Raises:
      tflite.ModelError: if the file is no model that can be compressed or decompressed.
    """
    content = files.read_bytes(path)
    if layers.is_compressed(tflite.parse(content, path)):
        return dcsr.decompress(content, name=path), content
    result = dcsr.compress(content, cpu=f"cortex-{core}", name=path, **options)
    return content, result.model


if __name__ == "__main__":
    common.run("model", main)
