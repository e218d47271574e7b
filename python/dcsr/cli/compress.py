"""compress: packs the sparse layers of a .tflite model."""

from __future__ import annotations

import argparse
import io
import math
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

import dcsr
from dcsr import cc_array, firmware_report, op_header, report
from dcsr import model as tflite
from dcsr.cli import common, prune, reports
from dcsr.errors import ModelError
from dcsr.files import Outputs
from dcsr.planning import cost, planes, settings
from dcsr.planning.choice import Decision

# Time that packed layers add to dense ones, relative to the inference, from which on `compress` tells.
_NOTED_SHARE = 0.01

_DESCRIPTION = """\
Turns a pruned int8 .tflite model into one whose sparse layers are custom ops with compressed weights.
The outputs of the model stay the same bit for bit. Layers: FULLY_CONNECTED, CONV_2D and DEPTHWISE_CONV_2D. Sparse
layers get smaller; depthwise and other dense convolutions are packed where they are estimated to get faster. Everything
else is kept as it is (the table says why). int8 weights in TFLite's own
sparse form (EXPERIMENTAL_SPARSITY, with DENSIFY operators, which TFLM cannot run) are expanded first."""

_EPILOG = """\
examples:
  compress model.tflite -o small.tflite
  compress model.tflite -o small.tflite --objective size --strip
  compress model.tflite -o small.tflite --method none --dead-channels    removes dead channels, packs nothing
  compress model.tflite -o small.tflite --cpu cortex-m4 --max-scratch 16384 --report report.html
  compress model.tflite -o small.tflite --cpu cortex-m4 --max-arena 64000    the arena may be larger than dense: faster
  compress model.tflite -o small.tflite --objective size --slowest 1.2       small, but not slower than that
  compress model.tflite -o small.tflite --dump-plan plan.yaml       edit it, then --plan plan.yaml
  compress model.tflite -o small.tflite --cc firmware/model.cc      also firmware/model.h, model_ops.h
  compress dense.tflite -o small.tflite --prune .7 --inputs recorded.npz    prune a dense model first

exit status: 0 done, 2 bad usage or bad input (nothing is written then)"""

_MAX_NAME_BYTES = 160  # of a layer, in the name of a file


def _share(value: str) -> float:
    share = common.number(value)
    if not 0 <= share <= 1:
        raise argparse.ArgumentTypeError(f"{value} is not between 0 and 1")
    return share


def _bytes(value: str) -> int:
    if not (value.isdecimal() and int(value) < 1 << 32):
        raise argparse.ArgumentTypeError(f"{value} is no number of bytes")
    return int(value)


def _multiple(value: str) -> float:
    number = common.number(value)
    if not 0 < number < math.inf:
        raise argparse.ArgumentTypeError(f"{value} is not a positive number")
    return number


def command_line() -> argparse.ArgumentParser:
    """Returns the parser of the tool's command line."""
    parser = common.parser("compress", _DESCRIPTION, _EPILOG)
    parser.add_argument("model", metavar="IN.tflite", help="int8 model with pruned weights")
    parser.add_argument("-o", "--output", metavar="OUT.tflite", required=True, help="model to write")
    parser.add_argument(
        "--method",
        choices=settings.methods(),
        default="auto",
        help="encoding of the packed layers; auto has the objective choose for each, none packs nothing; dcsr4 and"
        " dcsr8 are dcsr with deltas of so many bits (default: %(default)s)",
    )
    parser.add_argument(
        "--min-sparsity",
        type=_share,
        metavar="S",
        help="share of zero weights from which on a layer is packed, 0..1"
        f" (default: {settings.DEFAULT_MIN_SPARSITY}; with --objective size no limit)",
    )
    parser.add_argument(
        "--objective",
        choices=settings.OBJECTIVES,
        default=settings.DEFAULT_OBJECTIVE,
        help="goal of --method auto: the smallest layers (a slower one if the bytes are worth the time), the fastest,"
        " or balanced, the smallest with which an inference is estimated to take at most 10 %% longer than with the"
        " fastest; with speed a layer that is faster dense stays so, with balanced one that would be slower in any"
        " encoding, unless it saves 64 bytes for each percent of the inference that it adds (default: %(default)s)",
    )
    parser.add_argument(
        "--max-scratch",
        type=_bytes,
        metavar="BYTES",
        help="scratch that a layer's kernel may take; less makes it slower (default: what the firmware is built with,"
        f" else {cost.default_scratch('cortex-m55')} on cores with vectors,"
        f" {cost.default_scratch('cortex-m4')} on others)",
    )
    parser.add_argument(
        "--max-arena",
        type=_bytes,
        metavar="BYTES",
        help="arena that the interpreter may take on the core, as arena_used_bytes() returns it: layers get the scratch"
        " that fits, and slower kernels where it is little; more than the dense model's buys time (default: the dense"
        " model's; the estimate is a little high)",
    )
    parser.add_argument(
        "--slowest",
        type=_multiple,
        metavar="X",
        help="time of an inference at most, as a multiple of the dense model's; layers get larger encodings, or stay"
        " dense, until it is kept (default: 2 with --objective size, 1 with balanced)",
    )
    parser.add_argument(
        "--verified-image",
        action="store_true",
        help="add a checksum to each packed layer, for firmware whose image is verified as a whole before it runs"
        " (secure boot): AddModelOpsOfVerifiedImage() of the header of --cc checks it in place of all streams",
    )
    parser.add_argument(
        "--slowest-start",
        type=_multiple,
        metavar="X",
        help="AllocateTensors at most, as a multiple of the dense model's; layers get encodings that are validated"
        " faster, or stay dense, until it is kept (default: 1.5, or 50,000 instructions more)",
    )
    parser.add_argument(
        "--code",
        choices=settings.CODES,
        default=settings.DEFAULT_CODE,
        help="what the firmware links: `model`, with the header of --cc, just the kernels and encodings of this model,"
        " so that each has to save the bytes of its code; `all`, with AddDcsrOps() or for other models, all of them, so"
        " that code does not count (default: %(default)s)",
    )
    parser.add_argument(
        "--layout",
        choices=planes.LAYOUTS,
        default=planes.DEFAULT_LAYOUT,
        help="how activations between packed layers lie in memory: `nhwc` as in TFLM, `planes` channel by channel"
        " wherever layers and the arena allow, which may cost time and code, `auto` in planes where that makes the"
        " firmware better (default: %(default)s)",
    )
    parser.add_argument(
        "--clock",
        type=_multiple,
        metavar="MHZ",
        help="frequency of the core, to show the milliseconds of an inference",
    )
    parser.add_argument(
        "--plan",
        metavar="PLAN.yaml",
        help="encoding, scratch, rows and layout of single layers; overrides all other options for them",
    )
    parser.add_argument("--dump-plan", metavar="PLAN.yaml", help="also write the choices as a plan")
    parser.add_argument(
        "--strip",
        action="store_true",
        help="leave out names, signatures, metadata, attached files, and what decompress needs",
    )
    parser.add_argument(
        "--dead-channels",
        action=argparse.BooleanOptionalAction,
        help="first remove channels that nothing reads; outputs stay the same, but decompress cannot give the channels"
        " back (default: as --strip)",
    )
    parser.add_argument(
        "--cc",
        metavar="OUT.cc",
        help="also write the model as a C++ array for a firmware, stripped as with --strip, with OUT.h beside it, and"
        " OUT_ops.h, which registers the operators of the model",
    )
    parser.add_argument(
        "--keep-names", action="store_true", help="with --cc: the array has the bytes of OUT.tflite, not stripped"
    )
    parser.add_argument("--numpy", metavar="DIR", help="also write the weights of every int8 layer as DIR/*.npy")
    parser.add_argument(
        "--prune",
        type=prune.share,
        metavar="S",
        help="first set this share of the weights to zero, as the tool `prune` does with --sparsity: outputs change",
    )
    parser.add_argument("--inputs", metavar="X.npz|FOLDER", help="with --prune: recorded inputs")
    reports.add_arguments(parser)
    return parser


def main(argv: Sequence[str]) -> int:
    """Runs the tool; returns its exit status."""
    arguments = command_line().parse_args(argv)
    inputs = reports.inputs(arguments) + [path for path in (arguments.plan, arguments.inputs) if path]
    with Outputs(inputs) as outputs:
        _check_outputs(arguments, outputs)
        pruned = _pruned(arguments)
        result = dcsr.compress(
            pruned.model if pruned else arguments.model,
            name=arguments.model,
            method=arguments.method,
            min_sparsity=arguments.min_sparsity,
            objective=arguments.objective,
            cpu=arguments.cpu,
            memory=arguments.memory,
            max_scratch=arguments.max_scratch,
            max_arena=arguments.max_arena,
            slowest=arguments.slowest,
            slowest_start=arguments.slowest_start,
            verified_image=arguments.verified_image,
            code=arguments.code,
            layout=arguments.layout,
            plan=arguments.plan,
            strip=arguments.strip,
            dead_channels=arguments.dead_channels,
            progress=common.progress("packing"),
        )
        outputs.add(arguments.output, result.model)
        array = _array(arguments, result)
        header = _op_header(arguments, result, array)
        _add_extras(arguments, result, array, header, outputs)
        outputs.prepare()
        # Printed before the files appear: if stdout is full, no file is left.
        table = report.printed_table(result.layers, result.cpu, sys.stdout).rstrip("\n")
        before = pruned.summary() if pruned else []
        after = [*_array_lines(arguments, array, header), _next_step(arguments, result)]
        summary = result.summary() if arguments.clock is None else result.summary_at(arguments.clock)
        common.say(*before, table, *summary, *after)
        outputs.commit()
    _warn_of_little_scratch(result)
    _note_slow_layers(arguments, result)
    return common.EXIT_OK


def _next_step(arguments: argparse.Namespace, result: dcsr.Result) -> str:
    """Returns the last line of the output: the command that verifies the result, or that nothing was packed."""
    if arguments.prune is not None:
        return "the outputs are those of the pruned model; `prune` writes it, to verify the compressed one against"
    changed = {done.name for done in result.passes if done.changes}
    paths = common.one_line(shlex.join([arguments.model, arguments.output]))
    verify = f"{common.command}verify" if common.command else "bazel run //python:verify --"
    if "pack" in changed:
        return f"check it:  {verify} {paths}"
    is_expanded = any(done.name == "densify" for done in result.passes)
    output = "the dense equivalent of the input" if is_expanded else "the input"
    output += " without its dead channels" if "dead_channels" in changed else ""
    output += ", stripped" if "strip" in changed else ""
    if "dead_channels" in changed:
        return f"no layer was packed: the output is {output}; check it:  {verify} {paths}"
    return f"no layer was packed: the output is {output}" + ("" if changed or is_expanded else ", byte for byte")


def _pruned(arguments: argparse.Namespace) -> dcsr.Pruning | None:
    """The pruned model if one is asked for."""
    if (arguments.prune is None) != (arguments.inputs is None):
        raise ModelError("--prune S and --inputs X.npz go together")
    if arguments.prune is None:
        return None
    found = dcsr.prune(
        arguments.model,
        arguments.inputs,
        sparsity=arguments.prune,
        objective=arguments.objective,
        cpu=arguments.cpu,
        memory=arguments.memory,
        min_sparsity=arguments.min_sparsity,
        progress=common.progress,
    )
    for warning in found.warnings:
        common.note(f"warning: {warning}")
    return found


def _add_extras(
    arguments: argparse.Namespace,
    result: dcsr.Result,
    array: bytes | None,
    header: op_header.OpHeader | None,
    outputs: Outputs,
) -> None:
    """Adds the outputs of --numpy, --dump-plan, --report, --json and --cc (array, header)."""
    if arguments.numpy:
        _add_matrices(Path(arguments.numpy), result.decisions, outputs)
    models = {"_before": result.original, "_after": result.model}
    reports.add(outputs, arguments, result.layers, models, arguments.objective, result.firmware)
    if arguments.dump_plan:
        outputs.add(arguments.dump_plan, result.plan())
    if array is not None:
        notes = report.registration(result.layers)
        for path, text in cc_array.sources(Path(arguments.cc), array, arguments.output, notes).items():
            outputs.add(path, text)
    if header is not None:
        outputs.add(header.path, header.text)


def _op_header(arguments: argparse.Namespace, result: dcsr.Result, array: bytes | None) -> op_header.OpHeader | None:
    """Returns the header that registers the operators of the C++ array; None without --cc."""
    if array is None:
        return None
    model = tflite.parse(array, arguments.output)
    return op_header.make(Path(arguments.cc), model, result.decisions, result.cpu, arguments.output)


def _array(arguments: argparse.Namespace, result: dcsr.Result) -> bytes | None:
    """Returns the bytes of the C++ array; None without --cc."""
    if not arguments.cc:
        return None
    return result.model if arguments.keep_names else dcsr.strip(result.model, name=arguments.model)


def _array_lines(arguments: argparse.Namespace, array: bytes | None, header: op_header.OpHeader | None) -> list[str]:
    """Returns the lines about the C++ array and its header; none without them."""
    if array is None or header is None:
        return []
    size = f"array {common.one_line(arguments.cc)}: {len(array):,} bytes"
    lines = [size if arguments.keep_names or arguments.strip else f"{size}, stripped (--keep-names keeps everything)"]
    if header.unknown:
        names = ", ".join(f"'{common.one_line(name)}'" for name in header.unknown)
        lines.append(
            f"{header.path.name} leaves operators to the firmware, as TFLM's resolver has none for them: {names}"
        )
    return lines


def _check_outputs(arguments: argparse.Namespace, outputs: Outputs) -> None:
    """Raises ModelError if the outputs are not distinct files, or if the suffix of the C++ source is not known."""
    if arguments.keep_names and not arguments.cc:
        raise ModelError("--keep-names is for --cc OUT.cc: OUT.tflite has all names without --strip")
    if arguments.cc and Path(arguments.cc).suffix not in cc_array.SUFFIXES:
        raise ModelError(f"{arguments.cc}: expected a name ending in {', '.join(cc_array.SUFFIXES)}")
    reports.check(arguments, outputs)
    source = Path(arguments.cc) if arguments.cc else None
    headers = (source.with_suffix(".h"), op_header.path_of(source)) if source else ()
    outputs.check_all((arguments.output, arguments.json, arguments.report, arguments.dump_plan, arguments.cc, *headers))


def _note_slow_layers(arguments: argparse.Namespace, result: dcsr.Result) -> None:
    """Prints a note if packed layers are estimated to add more than _NOTED_SHARE of the inference to dense ones."""
    unit = cost.unit(result.cpu)
    slow: list[tuple[Decision, int, int]] = []
    for decision in result.decisions:
        estimate = decision.candidate.estimate if decision.candidate else None
        if estimate and estimate.time and estimate.dense_time and estimate.time > estimate.dense_time:
            slow.append((decision, estimate.time, estimate.dense_time))
    times = firmware_report.inference(result.firmware, result.cpu)
    added = sum(now - before for _, now, before in slow)
    if slow and (times is None or added > _NOTED_SHARE * times[1]):
        total_now, total_before = sum(now for _, now, _ in slow), sum(before for _, _, before in slow)
        worst, _, _ = max(slow, key=lambda layer: layer[1] - layer[2])
        layers = "1 packed layer is" if len(slow) == 1 else f"{len(slow)} packed layers are"
        common.note(
            f"note: {layers} estimated to be slower than dense on {result.cpu}: {total_now:,} instead of"
            f" {total_before:,} {unit}, most of all '{report.shortened(worst.layer.name)}'"
            f"{_way_out(arguments, [decision for decision, _, _ in slow])}"
        )


def _way_out(arguments: argparse.Namespace, slow: Sequence[Decision]) -> str:
    """Returns a phrase about the options with which no packed layer is slower than dense; empty if there are none."""
    if any(decision.is_named for decision in slow):
        return f"; {'the plan' if arguments.plan else '--method'} names the encoding"
    options = []
    if arguments.objective != "speed":
        options.append("--objective speed")
    if arguments.layout == planes.PLANES:
        options.append(f"--layout {planes.AUTO}")
    return f"; {' with '.join(options)} avoids that" if options else ""


def _warn_of_little_scratch(result: dcsr.Result) -> None:
    """Prints a warning if layers have too little scratch for the core's own kernel."""
    needed = []
    for decision in result.decisions:
        candidate = decision.candidate
        # Those with dense weights are packed so that TFLM's operator is not linked.
        if candidate is None or not candidate.estimate.is_portable or candidate.has_dense_weights:
            continue
        least = cost.least_scratch(result.cpu, candidate.packed, candidate.shape)
        if least < cost.MOST_SCRATCH:
            needed.append(least)
            continue
        coding = cost.coding(candidate.packed.streams)
        common.note(
            f"warning: {result.cpu} has no kernel for '{report.shortened(decision.layer.name)}' as {coding}; it runs on"
            " the portable one, which is several times slower"
        )
    if needed:
        layers = "1 layer is" if len(needed) == 1 else f"{len(needed)} layers are"
        limited = result.firmware.unlimited_arena_bytes > result.firmware.compressed.arena_bytes
        enough = f"--max-arena {result.firmware.unlimited_arena_bytes}" if limited else f"--max-scratch {max(needed)}"
        common.note(
            f"warning: {layers} left too little scratch for the kernels of {result.cpu}, so that the portable one runs;"
            f" {enough} is enough"
        )


def _add_matrices(directory: Path, decisions: Sequence[Decision], outputs: Outputs) -> None:
    """Adds each matrix as an .npy file. The name holds the subgraph, the operator and the layer's name."""
    outputs.folder(directory)
    for decision in decisions:
        layer = decision.layer
        if layer.matrix is None:
            continue
        name = "".join(c if c.isalnum() or c in "-_" else "_" for c in layer.name)[-80:]
        while len(name.encode()) > _MAX_NAME_BYTES:
            name = name[1:]
        content = io.BytesIO()
        np.save(content, layer.matrix)
        outputs.add(directory / f"{layer.subgraph}_{layer.position:03}_{name}.npy", content.getvalue())
