"""Measures whole models, dense and compressed, on an emulated core: every operator, start-up, arena and code."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from benchmarks import emulated, firmware_code, model_steps
from benchmarks.model_steps import CUSTOM, Operator
from dcsr import layers as layer_finder
from dcsr import model as tflite
from dcsr import runtime, verification
from dcsr.graph import indices
from dcsr.planning import builtin_memory, cost, workload
from dcsr.planning.arena import planned_bytes
from dcsr.schema import schema

_LINE = re.compile(rb"step: (\d+) (?:(-) (\d)|(\d+) (\d+) (\d+) (\d+))\r?\n")
_SEED = 1

# Functions of the dense kernels in the firmware, by kind of a step: CMSIS-NN's come first if the firmware has them.
_DENSE_CODE = {
    "CONV_2D": "conv2d",
    "DEPTHWISE_CONV_2D": "depthwise_conv2d",
    "FULLY_CONNECTED": "fully_connected",
    "AVERAGE_POOL_2D": "average_pool",
    "MAX_POOL_2D": "max_pool",
    "ADD": "add",
    "MUL": "mul",
    "MEAN": "mean",
    "REDUCE_MAX": "reduce_max",
    "REDUCE_MAX_FLOAT": "reduce_max_float",
    "PAD": "pad",
    "SOFTMAX": "softmax",
    "QUANTIZE": "quantize",
    "REQUANTIZE": "requantize",
    "DEQUANTIZE": "dequantize",
}
# Functions of the custom ops, which Prepare and Invoke come before.
_CUSTOM_CODE = {
    "DCSR_CONV_2D": "Conv2d",
    "DCSR_FULLY_CONNECTED": "FullyConnected",
    "DCSR_DEPTHWISE_CONV_2D": "DepthwiseConv2d",
}


@dataclass(frozen=True)
class Cost:
    """The cost of an operator.

    Attributes:
      start_up: instructions of Prepare of a custom op; 0 for others, whose start-up is not measured.
      inference: instructions of one inference.
      scratch, persistent: bytes.
      cycles: {memory: cycles of one inference}, the keys of emulated.MEMORIES; empty if they were not estimated.
    """

    start_up: int
    inference: int
    scratch: int
    persistent: int
    cycles: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Measured:
    """An operator and its cost.

    Attributes:
      operator: the operator.
      cost: None if the firmware has no kernel for it.
      kernel: encoding and kernel of a custom op; empty for others.
      reason: why there is no cost; empty if there is one.
    """

    operator: Operator
    cost: Cost | None
    kernel: str
    reason: str


@dataclass(frozen=True)
class Side:
    """A model, dense or compressed.

    Attributes:
      operators: in order.
      file_bytes: of the .tflite file.
      arena_bytes: tensors and scratch as TFLM's planner places them, and persistent memory of the operators; with TFLM
        the arena that its interpreter uses.
      code_bytes: code of the kernels, with all functions that they call; in TFLM's interpreter of the custom ops only.
      start_up: instructions of Prepare of the custom ops; in TFLM's interpreter of AllocateTensors.
      interpreter: instructions of the interpreter between the operators of an inference.
    """

    operators: tuple[Measured, ...]
    file_bytes: int
    arena_bytes: int
    code_bytes: int
    start_up: int
    interpreter: int = 0


@dataclass(frozen=True)
class Comparison:
    """A model on a core.

    Attributes:
      name: of the model.
      core: one of emulated.CORES.
      has_cmsis_nn: whether the dense kernels are CMSIS-NN's.
      dense, compressed: the two sides.
      in_tflm: whether TFLM's interpreter ran the models, not this benchmark's firmware.
    """

    name: str
    core: str
    has_cmsis_nn: bool
    dense: Side
    compressed: Side
    in_tflm: bool = False

    @property
    def pairs(self) -> list[tuple[Measured | None, Measured | None]]:
        """For each row of the table the operator of both sides; None where a side has no such operator."""
        return list(_aligned(self.dense.operators, self.compressed.operators))

    def totals(self, memory: str | None = None) -> tuple[int, int]:
        """The instructions of an inference, dense and compressed, or the cycles with the data in `memory`.

        An operator that has no cost on one side is left out on both. Cycles are those of the operators alone.
        """
        rows = [[one for one in pair if one is not None] for pair in self.pairs]
        counted = {id(one) for row in rows for one in row if all(other.cost is not None for other in row)}
        sums = []
        for side in (self.dense, self.compressed):
            costs = [one.cost for one in side.operators if one.cost is not None and id(one) in counted]
            if memory is None:
                sums.append(sum(cost.inference for cost in costs) + side.interpreter)
            else:
                sums.append(sum(cost.cycles[memory] for cost in costs))
        return sums[0], sums[1]


def firmware(core: str) -> Path:
    """Returns the path of the benchmark's firmware for a core."""
    return Path(__file__).with_name(f"model_bench_{core}.elf").absolute()


def samples(content: bytes, name: str, seed: int = _SEED) -> list[np.ndarray]:
    """Returns random inputs of a model, over the whole range of their types.

    Raises:
      tflite.ModelError: if the type of an input is not supported.
    """
    return verification.random_samples(verification.inputs_of(tflite.parse(content, name), name), 1, seed)[0]


def capture(content: bytes, name: str, inputs: Sequence[np.ndarray]) -> dict[int, np.ndarray]:
    """Runs a model in the wheel and returns all its tensors that operators read and write, {index: content}.

    Raises:
      tflite.ModelError: if the wheel refuses the model.
    """
    graph = tflite.parse(content, name).subgraphs[0]
    try:
        interpreter = runtime.Interpreter.from_bytes(
            content, intrepreter_config=runtime.InterpreterConfig.kPreserveAllTensors
        )
        for number, array in enumerate(inputs):
            interpreter.set_input(array, number)
        interpreter.invoke()
    except (RuntimeError, ValueError) as error:
        raise tflite.ModelError(f"{name}: the TFLM interpreter refuses the model: {error}") from error
    used = {i for one in graph.operators or [] for i in [*indices(one.inputs), *indices(one.outputs)] if i >= 0}
    return {index: np.array(interpreter.GetTensor(index, 0)["tensor_data"]) for index in sorted(used)}


def compare(name: str, original: bytes, compressed: bytes, core: str, with_cycles: bool = False) -> Comparison:
    """Measures a model and its compressed form.

    Args:
      name: name of the model.
      original: content of the dense .tflite file.
      compressed: content of the compressed one.
      core: one of emulated.CORES.
      with_cycles: also estimate cycles.

    Raises:
      emulated.FirmwareError: if an output is wrong or the firmware crashed.
      tflite.ModelError: if the wheel refuses a model, or the outputs of the two models differ in the wheel.
      emulated.NoPluginsError, program.UnknownInstructionError: if cycles cannot be estimated.
      run_firmware.SimulatorMissingError: if QEMU is missing.
    """
    inputs = samples(original, name)
    contents = (original, compressed)
    models = [tflite.parse(content, name) for content in contents]
    values = [capture(content, name, inputs) for content in contents]
    for output, (one, other) in enumerate(zip(*(indices(m.subgraphs[0].outputs) for m in models), strict=True)):
        if values[0][one].tobytes() != values[1][other].tobytes():
            raise tflite.ModelError(f"{name}: output {output} of the compressed model differs in the TFLM interpreter")
    found = [model_steps.operators(model, value) for model, value in zip(models, values, strict=True)]
    elf = firmware(core)
    code = firmware_code.read(elf)
    costs = _run(core, elf, [one for operators in found for one in operators], with_cycles)
    sides = []
    for model, content, operators in zip(models, contents, found, strict=True):
        names = kernels(model, f"cortex-{core}")
        measured = tuple(
            Measured(one, costs[id(one)], names.get(one.position, ""), _reason(one, costs[id(one)]))
            for one in operators
        )
        start_up = sum(one.cost.start_up for one in measured if one.cost is not None)
        sides.append(Side(measured, len(content), _arena(model, measured), _code(code, measured), start_up))
    return Comparison(name, core, "dcsr_cmsis_nn_conv2d" in code.addresses, sides[0], sides[1])


def _reason(operator: Operator, measured: Cost | None) -> str:
    if measured is not None:
        return ""
    return operator.reason or "the dense kernels of this build do not take it"


def _run(core: str, elf: Path, operators: Sequence[Operator], with_cycles: bool) -> dict[int, Cost | None]:
    """Runs the operators, equal ones once. Returns {id of the operator: cost}."""
    serialised = {id(one): one.step.serialise() for one in operators if one.step is not None}
    steps = {serialised[id(one)]: one.step for one in operators if one.step is not None}
    numbers = {content: number for number, content in enumerate(steps)}
    output, regions = emulated.run(core, elf, model_steps.job(list(steps.values())), with_cycles)
    lines = list(_LINE.finditer(output))
    if [int(line[1]) for line in lines] != list(range(len(steps))):
        raise emulated.FirmwareError(f"{core}: {len(lines)} of {len(steps)} operators were measured")
    costs = []
    for line, step in zip(lines, steps.values(), strict=True):
        if line[2]:
            if with_cycles and int(line[3]):
                next(regions, None)
            costs.append(None)
            continue
        start_up, inference, scratch, persistent = (int(line[i]) for i in range(4, 8))
        cycles = _cycles(regions, step.kind, start_up, inference) if with_cycles else {}
        costs.append(Cost(start_up, inference, scratch, persistent, cycles))
    if with_cycles and next(regions, None) is not None:
        raise emulated.FirmwareError(f"{core}: the plugin saw more regions than the firmware measured")
    return {id(one): costs[numbers[serialised[id(one)]]] if one.step is not None else None for one in operators}


def _cycles(regions: Iterator[dict[str, int]], kind: str, start_up: int, inference: int) -> dict[str, int]:
    if kind.startswith(CUSTOM):
        emulated.region(regions, start_up)
    region = emulated.region(regions, inference)
    return {memory: region[memory] for memory in emulated.MEMORIES}


def kernels(model: schema.ModelT, cpu: str) -> dict[int, str]:
    """Returns {position of a custom op: its encoding and the kernel of the core}."""
    found = {}
    for layer in layer_finder.find(model):
        packed = layer.packed
        if layer.subgraph == 0 and packed is not None:
            kernel = cost.costs(cpu, packed, workload.shape(model, layer)).kernel
            layout = f", {packed.layout}" if packed.planes is not None else ""
            found[layer.position] = f"{cost.coding(packed.streams)}, {kernel}{layout}"
    return found


def _arena(model: schema.ModelT, measured: Sequence[Measured]) -> int:
    scratch = [one.cost.scratch if one.cost is not None else 0 for one in measured]
    persistent = sum(one.cost.persistent for one in measured if one.cost is not None)
    persistent += sum(builtin_memory.state_bytes(one.operator.name) for one in measured)
    return planned_bytes(model, scratch) + persistent


def custom_code_bytes(code: firmware_code.Code, measured: Sequence[Measured], *, with_shared_rows: bool = False) -> int:
    """Returns the bytes of the custom ops' code: of the ops among the operators.

    Args:
      code: of the firmware.
      measured: the operators.
      with_shared_rows: whether the ops that read shared rows are linked.
    """
    kinds = {one.operator.name for one in measured} & _CUSTOM_CODE.keys()
    return code.bytes_of(*(name for kind in kinds for name in _custom_roots(code, kind, with_shared_rows)))


def _custom_roots(code: firmware_code.Code, kind: str, with_shared_rows: bool) -> list[str]:
    """Returns the functions of an op in the firmware: Prepare and Invoke."""
    suffix = "WithSharedRows" if with_shared_rows else ""
    names = [f"{function}{_CUSTOM_CODE[kind]}{suffix}" for function in ("Prepare", "Invoke")]
    return [next(n for n in code.addresses if n.startswith(f"_ZN4dcsr{len(name)}{name}E")) for name in names]


def _code(code: firmware_code.Code, measured: Sequence[Measured]) -> int:
    """Returns the bytes of the kernels' code."""
    roots: set[str] = set()
    for one in measured:
        if one.cost is None or one.operator.step is None:
            continue
        kind = one.operator.step.kind
        if kind in _CUSTOM_CODE:
            roots.update(_custom_roots(code, kind, len(one.operator.step.sections) > 2))
        elif kind in _DENSE_CODE:
            names = [f"dcsr_{prefix}_{_DENSE_CODE[kind]}" for prefix in ("cmsis_nn", "operator", "dense")]
            roots.add(next(name for name in names if name in code.addresses))
    return code.bytes_of(*roots)


def _aligned(
    dense: Sequence[Measured], compressed: Sequence[Measured]
) -> Iterator[tuple[Measured | None, Measured | None]]:
    """Yields the operators of both models that belong together. Passes may have removed or added some."""
    keys = [[one.operator.name.removeprefix(CUSTOM) for one in side] for side in (dense, compressed)]
    matcher = difflib.SequenceMatcher(None, *keys, autojunk=False)
    for tag, first, first_end, second, second_end in matcher.get_opcodes():
        if tag == "equal":
            yield from zip(dense[first:first_end], compressed[second:second_end], strict=True)
        else:
            yield from ((one, None) for one in dense[first:first_end])
            yield from ((None, one) for one in compressed[second:second_end])
