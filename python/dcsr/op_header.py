"""Writes the C++ header that registers the operators of a compressed model, and nothing that it does not need."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from dcsr import cc_array, custom_ops, encodings, packing
from dcsr import model as tflite
from dcsr.planning import cost, kernel_costs
from dcsr.planning.choice import Decision
from dcsr.schema import schema

# Operators whose method of TFLM's resolver is not their name in the usual spelling (_method).
_METHODS = {
    "BATCH_MATMUL": "BatchMatMul",
    "CONV_2D": "Conv2D",
    "CUMSUM": "CumSum",
    "UNIDIRECTIONAL_SEQUENCE_LSTM": "UnidirectionalSequenceLSTM",
    "DEPTHWISE_CONV_2D": "DepthwiseConv2D",
    "AVERAGE_POOL_2D": "AveragePool2D",
    "L2_POOL_2D": "L2Pool2D",
    "MAX_POOL_2D": "MaxPool2D",
    "PADV2": "PadV2",
}

# The other builtin operators that TFLM has (micro_mutable_op_resolver.h of 2026-08-20).
_BUILTIN = """
    ABS ADD ADD_N ARG_MAX ARG_MIN ASSIGN_VARIABLE BATCH_TO_SPACE_ND BROADCAST_ARGS BROADCAST_TO CALL_ONCE CAST CEIL
    CONCATENATION COS DEPTH_TO_SPACE DEQUANTIZE DIV DYNAMIC_UPDATE_SLICE ELU EMBEDDING_LOOKUP EQUAL EXP EXPAND_DIMS FILL
    FLOOR FLOOR_DIV FLOOR_MOD FULLY_CONNECTED GATHER GATHER_ND GREATER GREATER_EQUAL HARD_SWISH IF L2_NORMALIZATION
    LEAKY_RELU LESS LESS_EQUAL LOG LOGICAL_AND LOGICAL_NOT LOGICAL_OR LOGISTIC LOG_SOFTMAX MAXIMUM MEAN MINIMUM
    MIRROR_PAD MUL NEG NOT_EQUAL PACK PAD PRELU QUANTIZE READ_VARIABLE REDUCE_ALL REDUCE_MAX REDUCE_MIN RELU RELU6
    RESHAPE RESIZE_BILINEAR RESIZE_NEAREST_NEIGHBOR REVERSE_V2 ROUND RSQRT SELECT_V2 SHAPE SIN SLICE SOFTMAX
    SPACE_TO_BATCH_ND SPACE_TO_DEPTH SPLIT SPLIT_V SQRT SQUARE SQUARED_DIFFERENCE SQUEEZE STRIDED_SLICE SUB SUM SVDF
    TANH TRANSPOSE TRANSPOSE_CONV UNPACK VAR_HANDLE WHILE ZEROS_LIKE
""".split()

# Custom operators of TFLM.
_CUSTOM = {
    "CIRCULAR_BUFFER": "CircularBuffer",
    "SignalDelay": "Delay",
    "SignalEnergy": "Energy",
    "SignalFftAutoScale": "FftAutoScale",
    "SignalFilterBank": "FilterBank",
    "SignalFilterBankLog": "FilterBankLog",
    "SignalFilterBankSpectralSubtraction": "FilterBankSpectralSubtraction",
    "SignalFilterBankSquareRoot": "FilterBankSquareRoot",
    "SignalFramer": "Framer",
    "SignalIrfft": "Irfft",
    "SignalOverlapAdd": "OverlapAdd",
    "SignalPCAN": "PCAN",
    "SignalRfft": "Rfft",
    "SignalStacker": "Stacker",
    "SignalWindow": "Window",
    "TFLM_DECODE": "Decode",
    "TFLite_Detection_PostProcess": "DetectionPostprocess",
    "ethos-u": "EthosU",
}

# {number of the op: its name in C++}
_OURS = {
    packing.OP_CONV_2D: "Conv2d",
    packing.OP_FULLY_CONNECTED: "FullyConnected",
    packing.OP_DEPTHWISE_CONV_2D: "DepthwiseConv2d",
}

# The lists of a table (DcsrKernels), in its order.
_LISTS = ("Pointwise", "Larger", "Int16", "Planes")

_CLASS_NAMES = {
    kernel_costs.ARMV6M: "ARMV6M",
    kernel_costs.ARMV7M: "ARMV7M",
    kernel_costs.ARMV7EM: "ARMV7EM",
    kernel_costs.MVE: "MVE",
}


@dataclass(frozen=True)
class OpHeader:
    """The header of a model.

    Attributes:
      path: where it belongs.
      text: its content.
      unknown: operators that TFLM's resolver has no method for. The header leaves them to the firmware.
    """

    path: Path
    text: str
    unknown: tuple[str, ...]


def path_of(source: Path) -> Path:
    """Returns the path of the header beside a C++ source: model_ops.h for model.cc."""
    return source.with_name(f"{source.stem}_ops.h")


def make(source: Path, model: schema.ModelT, decisions: Iterable[Decision], cpu: str, name: str) -> OpHeader:
    """Makes the header of a model.

    Args:
      source: the C++ source of the model. The header is beside it, and its function is named after it:
        AddModelOps() for model.cc.
      model: the compressed model.
      decisions: the decisions with which it was compressed.
      cpu: the core for which it was compressed.
      name: name of the model's file, for a comment.
    """
    names = {tflite.operator_name(model, operator) for _, operator in tflite.operators(model)}
    ours = {op: [d for d in decisions if d.packed and d.packed.op == op] for op in _OURS}
    ours = {op: layers for op, layers in ours.items() if custom_ops.CUSTOM_CODES[op] in names}
    others = sorted(names - set(custom_ops.CUSTOM_CODES.values()))
    methods = {other: method for other in others if (method := _method(other))}
    unknown = tuple(other for other in others if other not in methods)
    path = path_of(source)
    text = _text(path, source, name, cpu, ours, sorted(methods.values()), unknown)
    return OpHeader(path, text, unknown)


def _method(operator: str) -> str | None:
    """Returns the name of the resolver's method for an operator, without Add; None if it has none."""
    if operator in _BUILTIN:
        return "".join(word.capitalize() for word in operator.split("_"))
    return _METHODS.get(operator) or _CUSTOM.get(operator)


def _text(
    path: Path,
    source: Path,
    name: str,
    cpu: str,
    ours: dict[int, list[Decision]],
    methods: Sequence[str],
    unknown: Sequence[str],
) -> str:
    stem = cc_array.identifier(source.stem)
    camel = "".join(word[:1].upper() + word[1:] for word in stem.split("_")) or "Model"
    camel = camel if not camel[0].isdigit() else f"Model{camel}"
    space = f"dcsr_{stem.lower()}_ops"
    count = len(ours) + len(methods)
    guard = f"{cc_array.identifier(path.stem).upper()}_H_"
    listed = ", ".join(cc_array.printable(operator) for operator in unknown)
    adds = [f"resolver.Add{method}()" for method in methods]
    all_ours = [_register_all(op, layers) for op, layers in ours.items()]
    parts = [
        f"dcsr::tflm::AddOp(resolver, dcsr::k{_OURS[op]}Name, {_register_parts(op, layers, space)})"
        for op, layers in ours.items()
    ]
    class_name = f"DCSR_CLASS_{_CLASS_NAMES[cost.core_class(cpu)]}"
    lines = [
        f"// The operators of {cc_array.printable(Path(name).name)}. Generated by compress; do not edit.",
        "//",
        f"//   tflite::MicroMutableOpResolver<k{camel}Ops> resolver;",
        f"//   if (Add{camel}Ops(resolver) != kTfLiteOk) ...",
        "//",
    ]
    if ours:
        lines += [
            f"// Links the kernels that the model needs on a {cpu}. A build for a core of another class gets all.",
        ]
    if unknown:
        lines += [f"// TFLM's resolver has no method for these operators, so add them yourself: {listed}."]
    lines += [
        "",
        f"#ifndef {guard}",
        f"#define {guard}",
        "",
        '#include "ops/tflm/tflm_ops.h"',
        *(['#include "tflm_kernels/kernel_parts.h"'] if ours else []),
        "",
        f"inline constexpr unsigned int k{camel}Ops = {count + len(unknown)};",
        "",
    ]
    if ours:
        lines += [f"#if DCSR_CORE_CLASS == {class_name}", f"namespace {space} {{", ""]
        lines += [*_tables(cpu, ours), f"}}  // namespace {space}", "#endif", ""]
    lines += [
        "// Adds the operators. Returns an error after a message of the resolver if it has one of them already.",
        "template <unsigned int N>",
        f"dcsr::tflm::Status Add{camel}Ops(dcsr::tflm::MicroMutableOpResolver<N>& resolver) {{",
        f'  static_assert(N >= {count}, "the resolver is too small: MicroMutableOpResolver<k{camel}Ops>");',
        "  using dcsr::tflm::kOk;",
        "  dcsr::tflm::Status status = kOk;",
        *(f"  if (status == kOk) status = {add};" for add in adds),
    ]
    if ours:
        lines += [
            f"#if DCSR_CORE_CLASS == {class_name}",
            *(f"  if (status == kOk) status = {add};" for add in parts),
            "#else",
            *(f"  if (status == kOk) status = {add};" for add in all_ours),
            "#endif",
        ]
    lines += ["  return status;", "}", ""]
    if _have_checksums(ours):
        lines += _of_verified_image(camel, count, adds, ours, space, class_name)
    lines += [f"#endif  // {guard}", ""]
    return "\n".join(lines)


def _have_checksums(ours: dict[int, list[Decision]]) -> bool:
    """Whether all packed layers have a checksum, and there are some."""
    return bool(ours) and all(of.packed and of.packed.has_checksum for layers in ours.values() for of in layers)


def _of_verified_image(
    camel: str, count: int, adds: Sequence[str], ours: dict[int, list[Decision]], space: str, class_name: str
) -> list[str]:
    """Returns the lines of the function for firmware whose image is verified as a whole."""
    of_parts, of_all = [], []
    for op in ours:
        name = f"dcsr::k{_OURS[op]}Name"
        of_parts.append(
            f"dcsr::tflm::AddOp(resolver, {name},"
            f" dcsr::tflm::RegistrationOfVerifiedImage<{space}::k{_OURS[op]}Unchecked>())"
        )
        register = f"dcsr::Register_{custom_ops.CUSTOM_CODES[op]}_OF_VERIFIED_IMAGE()"
        of_all.append(f"dcsr::tflm::AddOp(resolver, {name}, {register})")
    return [
        f"// Add{camel}Ops() for firmware whose image, with the model in it, was verified as a whole before it runs",
        "// (secure boot): AllocateTensors checks the checksums of the packed layers in place of their streams.",
        "template <unsigned int N>",
        f"dcsr::tflm::Status Add{camel}OpsOfVerifiedImage(dcsr::tflm::MicroMutableOpResolver<N>& resolver) {{",
        f'  static_assert(N >= {count}, "the resolver is too small: MicroMutableOpResolver<k{camel}Ops>");',
        "  using dcsr::tflm::kOk;",
        "  dcsr::tflm::Status status = kOk;",
        *(f"  if (status == kOk) status = {add};" for add in adds),
        f"#if DCSR_CORE_CLASS == {class_name}",
        *(f"  if (status == kOk) status = {add};" for add in of_parts),
        "#else",
        *(f"  if (status == kOk) status = {add};" for add in of_all),
        "#endif",
        "  return status;",
        "}",
        "",
    ]


def _has_shared_rows(layers: Sequence[Decision]) -> bool:
    return any(layer.packed and layer.packed.shared is not None for layer in layers)


def _register_parts(op: int, layers: Sequence[Decision], space: str) -> str:
    function = "RegistrationWithSharedRowsOf" if _has_shared_rows(layers) else "RegistrationOf"
    return f"dcsr::tflm::{function}<{space}::k{_OURS[op]}>()"


def _register_all(op: int, layers: Sequence[Decision]) -> str:
    name = custom_ops.CUSTOM_CODES[op] + ("_WITH_SHARED_ROWS" if _has_shared_rows(layers) else "")
    return f"dcsr::tflm::AddOp(resolver, dcsr::k{_OURS[op]}Name, dcsr::Register_{name}())"


def _tables(cpu: str, ours: dict[int, list[Decision]]) -> list[str]:
    """Returns the lines of the decoders, and of the kernels of each op."""
    codings = {cost.coding(layer.packed.streams) for layers in ours.values() for layer in layers if layer.packed}
    modules = sorted(encodings.REGISTRY.values(), key=lambda module: int(module.CODE))
    encoded = {layer.packed.streams.encoding for layers in ours.values() for layer in layers if layer.packed}
    decoders = [
        f"&kDcsr{module.NAME.capitalize()}Decoder" if module.NAME in encoded else "nullptr" for module in modules
    ]
    huffman = "&kDcsrHuffmanDecoder" if any(coding.endswith("+huffman") for coding in codings) else "nullptr"
    has_planes = any(layer.packed and layer.packed.planes for layers in ours.values() for layer in layers)
    layouts = "&kDcsrLayouts" if has_planes else "nullptr"
    tables = {"": (decoders, huffman)}
    if _have_checksums(ours):
        unchecked = [name.replace("Decoder", "UncheckedDecoder") for name in decoders]
        tables["Unchecked"] = unchecked, huffman.replace("Decoder", "UncheckedDecoder")
    lines = []
    for kind, (listed, values) in tables.items():
        lines += [f"inline constexpr DcsrDecoders k{kind}Decoders = {{", f"    {{{', '.join(listed)}}},"]
        lines += [f"    {values}, {layouts}}};", ""]
    for op, layers in ours.items():
        lists = _lists(cpu, op, layers)
        name = f"k{_OURS[op]}"
        arguments = []
        for kind, entries in zip(_LISTS, lists, strict=True):
            if entries is None:
                arguments.append("nullptr")
                continue
            lines.append(f"inline constexpr DcsrKernel {name}{kind}[] = {{")
            lines += [f"    {entry}," for entry in [*entries, "DCSR_END_OF_PARTS"]]
            lines += ["};"]
            arguments.append(f"{name}{kind}")
        longest = "DCSR_LONGEST_ROW" if op == packing.OP_CONV_2D else "nullptr"
        for kind in tables:
            lines += [
                f"inline constexpr DcsrKernels {name}{kind}Kernels = {{",
                f"    {', '.join(arguments)},",
                f"    {longest}, DCSR_SCRATCH_BUDGET_OF_THIS_CORE, &k{kind}Decoders}};",
                f"inline constexpr dcsr::Op {name}{kind} = {{",
                f"    dcsr::{name}Name, kDcsrOp{_OURS[op]}, &{name}{kind}Kernels}};",
                "",
            ]
    return lines


def _lists(cpu: str, op: int, layers: Sequence[Decision]) -> list[list[str] | None]:
    """Returns the entries of the four lists of an op's table; None for a list that the op does not have."""
    orders = [
        kernel_costs.kernels_of_list(op, cost.core_class(cpu), kind)
        for kind in (kernel_costs.POINTWISE, kernel_costs.LARGER, kernel_costs.INT16, kernel_costs.PLANES)
    ]
    used: list[set[tuple[str, str]]] = [set() for _ in orders]
    for layer in layers:
        assert layer.candidate is not None
        packed, coding = layer.candidate.packed, cost.coding(layer.candidate.packed.streams)
        for kernel in layer.candidate.estimate.linked:
            kind = _list_of(packed, kernel, orders)
            used[kind].add((kernel, coding))
    has_im2col = any(kernel == "conv2d_im2col" for kernel, _ in used[kernel_costs.LARGER])
    found: list[list[str] | None] = []
    for kind, (order, parts) in enumerate(zip(orders, used, strict=True)):
        entries = []
        for kernel in order:
            entries += [_entry(kernel, coding) for of, coding in sorted(parts) if of == kernel]
            # conv2d_im2col plans with all of them.
            if has_im2col and kind == kernel_costs.POINTWISE:
                entries.append(f"DCSR_PLANNED({kernel})")
        # The other lists tell by their existence what the op takes, also if they are empty.
        is_optional = kind in (kernel_costs.INT16, kernel_costs.PLANES)
        found.append(entries if order and (parts or not is_optional) else None)
    return found


def _list_of(packed: packing.PackedLayer, kernel: str, orders: Sequence[Sequence[str]]) -> int:
    """Returns the list in which a layer finds a kernel. Those for tiles of conv2d_im2col are in that of 1x1 filters."""
    if packed.planes is not None:
        return kernel_costs.PLANES
    if packed.int16_activations:
        return kernel_costs.INT16
    has_filter = packed.op == packing.OP_DEPTHWISE_CONV_2D or packed.filter_size != (1, 1)
    return kernel_costs.LARGER if has_filter and kernel in orders[kernel_costs.LARGER] else kernel_costs.POINTWISE


def _entry(kernel: str, coding: str) -> str:
    encoding, _, values = coding.partition("+")
    assert re.fullmatch(r"\w+", encoding)
    return f"DCSR_{'HUFFMAN_' if values else ''}PART({kernel}, {encoding})"
