"""cortex_m: measures instructions, scratch and code of dense and sparse layers on emulated Cortex-M cores."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks import cortex_m_layers, emulated, firmware_code
from benchmarks.cortex_m_layers import Case
from benchmarks.cycles import program
from benchmarks.emulated import CORES, CORES_WITH_GATHERS, MEMORIES, FirmwareError, NoPluginsError, core_name
from dcsr import model as tflite
from dcsr import packing
from dcsr.cli import common
from dcsr.planning import cost
from toolchains.simulator import run_firmware

_DESCRIPTION = """\
Runs layers once with the dense and once with the sparse kernels in QEMU, checks that both outputs are right, and
prints a Markdown table for each core: retired instructions, scratch and code bytes. With --cycles, a plugin of QEMU
passes the executed instructions and their addresses through a model of the core's pipeline (docs/cycles.md), and the
table also has cycles: with data in the tightly coupled memory (DTCM), and with data behind a cache. They differ for
gathers only, so cores without vectors have one column. Two runs print the same.

The dense product is CMSIS-NN's if the benchmark is built with it (docs/cortex_m.md#cmsis), else our own; the column
says which. "CMSIS-NN" is the ratio to recorded instructions of CMSIS-NN's dense product."""

_EPILOG = """\
examples:
  cortex_m --cpu m55                   the layers that docs/results.md has, on one core
  cortex_m --models DIR                the same with the weights of the published models
  cortex_m --layers made-up            layers with larger filters and int16 activations
  cortex_m --layers dense              depthwise and first convolutions with dense weights
  cortex_m --models DIR --layers all   every sparse layer of all models below DIR, and the made-up ones
  cortex_m --cpu m55 --cycles --layer 276x276 --layer 12x16560
                                       cycles of the layers whose name contains one of the texts

exit status: 0 done, 1 a kernel gave a wrong output or crashed, or an instruction has no timing, 2 bad usage, bad input,
no QEMU, or --cycles with a QEMU without plugins"""

GATHER_COSTS = (2, 8, 16)
_MODELS_VARIABLE = "DCSR_PUBLISHED_MODELS"

# Runfiles: this file is <workspace>/benchmarks/cortex_m.py.
_WORKSPACE = Path(__file__).parent.parent
# The table through which kernels and validation reach the functions of every encoding.
_DECODERS = "kDcsrAllDecoders"
_LINE = re.compile(rb"bench: (\d+) (\d+) (\d+) (\d+) (\d+)\r?\n")


def main(argv: Sequence[str]) -> int:
    """Runs the tool; returns its exit status."""
    parser = common.parser("cortex_m", _DESCRIPTION, _EPILOG)
    parser.add_argument(
        "--cpu", action="append", type=core_name, choices=CORES, help="core; may be repeated (default: all)"
    )
    parser.add_argument(
        "--models", metavar="DIR", type=Path, help=f"where models are (default: ${_MODELS_VARIABLE}, if it is set)"
    )
    parser.add_argument(
        "--layers",
        choices=("anchors", "made-up", "dense", "all"),
        default="anchors",
        help="the ten of docs/results.md, those with larger filters and int16 activations, depthwise and first"
        " convolutions with dense weights, or all sparse ones of the models (without --models those of the"
        " repository's) and the made-up and dense ones (default: %(default)s)",
    )
    parser.add_argument(
        "--layer",
        action="append",
        metavar="TEXT",
        help="of these, only layers whose name contains the text, such as 96x576@36; may be repeated",
    )
    parser.add_argument(
        "--method",
        choices=cortex_m_layers.METHODS,
        default="speed",
        help="encoding; speed is what the planner takes for the core with this objective, auto the smallest, every all"
        " that there are (default: %(default)s)",
    )
    parser.add_argument(
        "--scratch-budget",
        action="append",
        type=int,
        metavar="BYTES",
        help="of the layers of --layers made-up, dense and all; 0 for the kernels' default, 1 for the portable kernel;"
        " may be repeated (default: 0)",
    )
    parser.add_argument(
        "--cycles",
        action="store_true",
        help="also estimate cycles by a model of the core's pipeline; needs a QEMU with plugins, 7.2 or later",
    )
    parser.add_argument(
        "--memory",
        choices=cost.MEMORIES,
        default=cost.DEFAULT_MEMORY,
        help="plan the layers as `compress --memory` does; the cycles are printed for both (default: %(default)s)",
    )
    parser.add_argument(
        "--compact-rows",
        action="store_true",
        help="with compact rows, of layers of models that have such a form; the planner's constants of a row"
        " (tail_constants.json) are the difference",
    )
    parser.add_argument(
        "--planes",
        action="store_true",
        help="also the layers with their input, their output or both in planes (docs/planes.md), where the core has a"
        " kernel of its own for that",
    )
    parser.add_argument("--json", metavar="FILE", help="also write the numbers as JSON")
    arguments = parser.parse_args(argv)
    models = arguments.models
    if models is None and os.environ.get(_MODELS_VARIABLE):
        models = Path(os.environ[_MODELS_VARIABLE])
    for budget in arguments.scratch_budget or ():
        if arguments.layers == "anchors":
            raise tflite.ModelError("--scratch-budget is for --layers made-up, dense and all")
        if not 0 <= budget < 1 << 32:
            raise tflite.ModelError(f"--scratch-budget {budget} is no number of bytes")

    def all_cases(core: str) -> list[Case]:
        cpu = f"cortex-{core}"
        if arguments.layers == "anchors":
            return cortex_m_layers.anchors(models, arguments.method, cpu)
        budgets = arguments.scratch_budget or (0,)
        if arguments.layers == "dense":
            return cortex_m_layers.dense_layers(cpu, budgets)
        if arguments.layers == "made-up":
            return cortex_m_layers.made_up_layers(arguments.method, cpu, budgets)
        return cortex_m_layers.all_layers(models or _WORKSPACE / "models", arguments.method, cpu, budgets)

    def cases_of(core: str) -> list[Case]:
        texts = arguments.layer or [""]
        found = [
            cortex_m_layers.placed(case, f"cortex-{core}", arguments.memory)
            for case in all_cases(core)
            if any(text in case.name for text in texts)
        ]
        if not found:
            raise tflite.ModelError(f"no layer of --layers {arguments.layers} has a name with {' or '.join(texts)}")
        if arguments.compact_rows:
            found = [case.with_compact_rows for case in found]
        return [way for case in found for way in (case, *(_in_planes(case, core) if arguments.planes else ()))]

    try:
        results = [measure(core, cases_of(core), arguments.cycles) for core in arguments.cpu or CORES]
    except run_firmware.SimulatorMissingError as error:
        sys.stderr.write(run_firmware.INSTALL.format(missing=error))
        return common.EXIT_BAD_INPUT
    except NoPluginsError as error:
        print(f"cortex_m: {error}", file=sys.stderr)
        return common.EXIT_BAD_INPUT
    except (FirmwareError, program.UnknownInstructionError) as error:
        print(f"cortex_m: {error}", file=sys.stderr)
        return common.EXIT_DIFFERENT
    if arguments.json:
        tflite.write_file(arguments.json, json.dumps(results, indent=2) + "\n")
    print("\n".join(tables(results)))
    return common.EXIT_OK


def _in_planes(case: Case, core: str) -> list[Case]:
    """Returns the case in planes, as far as the core has a kernel of its own for that."""
    return [way for way in case.in_planes if not way.costs(f"cortex-{core}").is_portable]


def measure(core: str, cases: Sequence[Case], with_cycles: bool = False) -> dict[str, object]:
    """Runs layers on an emulated core.

    Args:
      core: one of CORES.
      cases: the layers.
      with_cycles: also estimate cycles.

    Returns:
      The numbers of the core that --json writes: instructions, counts, bytes of scratch, bytes of code.

    Raises:
      FirmwareError: if an output is wrong or the firmware crashed.
      NoPluginsError, program.UnknownInstructionError: if cycles cannot be estimated.
      run_firmware.SimulatorMissingError: if QEMU is missing.
    """
    elf = firmware(core)
    code = firmware_code.read(elf)
    output, regions = emulated.run(core, elf, cortex_m_layers.job(cases), with_cycles)
    lines = [[int(number) for number in match.groups()] for match in _LINE.finditer(output)]
    if [line[0] for line in lines] != list(range(len(cases))):
        raise FirmwareError(f"{core}: {len(lines)} of {len(cases)} layers were measured")
    layers = []
    dense = dense_scratch = 0
    dense_cycles: dict[str, int] = {}
    for case, (_, dense_or_0, dense_scratch_or_0, sparse, sparse_scratch) in zip(cases, lines, strict=True):
        if dense_or_0:  # 0 if the previous case had the same dense product
            dense, dense_scratch = dense_or_0, dense_scratch_or_0
            dense_cycles = emulated.region(regions, dense_or_0) if with_cycles else {}
        sparse_cycles = emulated.region(regions, sparse) if with_cycles else {}
        kernel = _entry(case.sparse)
        costs = case.costs(f"cortex-{core}")
        gathers = costs.gathers
        layers.append(
            {
                "layer": case.name,
                "weights": case.weights,
                "held_out": case.is_held_out,
                "sparsity": round(case.sparsity, 6),
                "encoding": cost.coding(case.sparse.streams),
                "elements": len(case.sparse.streams.values),
                "packed_bytes": case.sparse.streams.nbytes,
                "counts": costs.parts,
                "dense_counts": costs.dense,
                "dense_instructions": dense,
                "sparse_instructions": sparse,
                "ratio": round(sparse / dense, 6),
                "cmsis_nn_instructions": cortex_m_layers.CMSIS_NN.get(core, {}).get(case.product),
                "gathers": gathers,
                "tails": costs.tails,
                "sparse_cycles": {str(cost): sparse + gathers * (cost - 1) for cost in GATHER_COSTS},
                **({"estimated_cycles": {"dense": dense_cycles, "sparse": sparse_cycles}} if with_cycles else {}),
                "dense_scratch": dense_scratch,
                "sparse_scratch": sparse_scratch,
                "dense_code": code.bytes_of(f"dcsr_dense_{kernel}"),
                "sparse_code": code.bytes_of(*_sparse_roots(case.sparse, code)),
            }
        )
    if with_cycles and next(regions, None) is not None:
        raise FirmwareError(f"{core}: the plugin saw more regions than the firmware measured")
    reading = code.bytes_of("dcsr_layer_parse_with", "dcsr_layer_validate", _DECODERS)
    functions = {f.name: f.size for f in code.functions.values() if f.name.startswith("dcsr_")}
    has_cmsis_nn = "dcsr_dense_conv1x1_cmsis_nn" in code.addresses
    return {
        "core": core,
        "dense": "CMSIS-NN" if has_cmsis_nn else "own",
        "layers": layers,
        "parse_code": reading,
        "functions": functions,
    }


def _entry(packed: packing.PackedLayer) -> str:
    """Returns the name of the layer's product, without "dcsr_", as in the function dcsr_dense_NAME()."""
    if packed.op == packing.OP_FULLY_CONNECTED:
        name = "fully_connected"
    elif packed.op == packing.OP_DEPTHWISE_CONV_2D:
        name = "depthwise_conv2d"
    else:
        name = "conv1x1" if packed.filter_size == (1, 1) and not packed.int16_activations else "conv2d"
    return name + ("_int16" if packed.int16_activations else "")


def _sparse_roots(packed: packing.PackedLayer, code: firmware_code.Code) -> list[str]:
    """Returns the names of the kernel lists for a layer, and of the list of decoders.

    The firmware contains only the lists of its core.
    """
    if packed.op == packing.OP_DEPTHWISE_CONV_2D:
        return [name for name in code.tables if name.startswith("kDcsrDepthwiseConv2d")]
    operator = "FullyConnected" if packed.op == packing.OP_FULLY_CONNECTED else "Conv2d"
    if packed.planes is not None:
        return [name for name in code.tables if name.endswith("Planes")] + [_DECODERS]
    lists = ["Int16"] if packed.int16_activations else ["Pointwise"]
    if packed.filter_size != (1, 1) and not packed.int16_activations:
        lists.append("Larger")  # its kernel calls the pointwise kernels
    found = [name for name in code.tables if name.startswith(f"kDcsr{operator}") and name.endswith(tuple(lists))]
    return [*found, _DECODERS]


def firmware(core: str) -> Path:
    """Returns the path of the benchmark's firmware for a core."""
    return (_WORKSPACE / f"benchmarks/cortex_m_bench_{core}.elf").absolute()


def tables(results: Sequence[dict]) -> list[str]:
    """Returns the lines of the Markdown tables, one table for each core."""
    lines = []
    for result in results:
        core = result["core"]
        costs = [str(cost) for cost in GATHER_COSTS] if core in CORES_WITH_GATHERS else []
        is_own = result["dense"] == "own"
        titles = [
            "layer",
            "weights",
            "sparsity",
            "encoding",
            "dense" if is_own else "CMSIS-NN's dense",
            "sparse",
            "ratio",
        ]
        has_cmsis = core in cortex_m_layers.CMSIS_NN and is_own
        titles += ["CMSIS-NN"] if has_cmsis else []
        has_cycles = "estimated_cycles" in result["layers"][0]
        memories = [memory for memory in MEMORIES if memory == "dtcm" or core in CORES_WITH_GATHERS]
        for memory in memories if has_cycles else ():
            where = f", {MEMORIES[memory]}" if len(memories) > 1 else ""
            titles += [f"{title}{where}" for title in ("dense cycles", "sparse cycles", "ratio of cycles")]
        # Without a model of the pipeline: an instruction a cycle, and this many for a gather.
        costs = [] if has_cycles else costs
        titles += [*(f"cycles, gather {cost}" for cost in costs), "scratch", "code"]
        lines += [
            *([""] if lines else []),
            f"### Cortex-{core.upper().replace('PLUS', '+')}",
            "",
            f"| {' | '.join(titles)} |",
            "|---" * len(titles) + "|",
        ]
        for layer in result["layers"]:
            cells = [
                layer["layer"],
                layer["weights"],
                f"{layer['sparsity']:.1%}",
                layer["encoding"],
                f"{layer['dense_instructions']:,}",
                f"{layer['sparse_instructions']:,}",
                f"{layer['ratio']:.3f}",
                *([_over_cmsis_nn(layer)] if has_cmsis else []),
                *(_cycles(layer["estimated_cycles"], memories) if has_cycles else []),
                *(f"{layer['sparse_cycles'][cost]:,}" for cost in costs),
                f"{layer['sparse_scratch']:,}",
                f"{layer['sparse_code']:,}",
            ]
            lines.append(f"| {' | '.join(cells)} |")
        lines += ["", f"Reading and checking a packed layer: {result['parse_code']:,} bytes of code."]
    return lines


def _over_cmsis_nn(layer: dict) -> str:
    """Returns sparse instructions divided by those of CMSIS-NN's dense product; "-" if these are unknown."""
    dense = layer["cmsis_nn_instructions"]
    return f"{layer['sparse_instructions'] / dense:.3f}" if dense else "-"


def _cycles(cycles: dict[str, dict[str, int]], memories: Sequence[str]) -> list[str]:
    """Returns the cells of the estimated cycles."""
    cells = []
    for memory in memories:
        dense, sparse = cycles["dense"][memory], cycles["sparse"][memory]
        cells += [f"{dense:,}", f"{sparse:,}", f"{sparse / dense:.3f}"]
    return cells


if __name__ == "__main__":
    common.run("cortex_m", main)
