"""Measures whole models in TFLM's own interpreter, if the benchmark is built with it."""

from __future__ import annotations

import re
import struct
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks import emulated, firmware_code, model_measure
from benchmarks.model_measure import Comparison, Cost, Measured, Side
from benchmarks.model_steps import Operator
from dcsr import layers
from dcsr import model as tflite
from dcsr.graph import indices
from dcsr.planning.arena import planned_bytes
from dcsr.schema import schema

# The format of the job that firmware/tflm_bench.cc reads.
_JOB = struct.Struct("<4sI")
_MAGIC = b"DCST"
_MODEL = struct.Struct("<5I")
_SIZE = struct.Struct("<I")

_LINE = re.compile(rb"tflm: (\d+) (\d+) (\d+) (\d+) (\d+)\r?\n")
_OPERATOR = re.compile(rb"operator: (\d+) (\d+) (\d+)\r?\n")
# The interpreter's own structures, and the kernels' scratch, take a part of the arena.
_MORE_ARENA = 512 << 10


def firmware(core: str) -> Path:
    """Returns the path of the firmware for a core. It exists only if the benchmark is built with TFLM."""
    return Path(__file__).with_name(f"tflm_bench_{core}.elf").absolute()


def compare(name: str, original: bytes, compressed: bytes, core: str, with_cycles: bool = False) -> Comparison:
    """Runs a model and its compressed form in TFLM's interpreter. Both have to give the wheel's outputs.

    Args:
      name: name of the model.
      original: content of the dense .tflite file.
      compressed: content of the compressed one.
      core: a core with a firmware.
      with_cycles: also estimate cycles of the operators.

    Raises:
      emulated.FirmwareError: if an output is wrong, or if TFLM refuses a model.
      tflite.ModelError: if the wheel refuses a model.
      emulated.NoPluginsError, program.UnknownInstructionError: if cycles cannot be estimated.
      run_firmware.SimulatorMissingError: if QEMU is missing.
    """
    inputs = model_measure.samples(original, name)
    contents = (original, compressed)
    models = [tflite.parse(content, name) for content in contents]
    values = model_measure.capture(original, name, inputs)
    outputs = [values[index] for index in indices(models[0].subgraphs[0].outputs)]
    parts = [_part(model, content, inputs, outputs) for model, content in zip(models, contents, strict=True)]
    elf = firmware(core)
    output, regions = emulated.run(core, elf, b"".join([_JOB.pack(_MAGIC, len(parts)), *parts]), with_cycles)
    code = firmware_code.read(elf)
    lines = [[int(number) for number in line.groups()] for line in _LINE.finditer(output)]
    if len(lines) != len(models):
        raise emulated.FirmwareError(f"{core}: {len(lines)} of {len(models)} models were measured")
    sides = []
    for number, (model, content, line) in enumerate(zip(models, contents, lines, strict=True)):
        _, start_up, inference, arena, count = line
        counts = [int(match[3]) for match in _OPERATOR.finditer(output) if int(match[1]) == number]
        operators = model.subgraphs[0].operators or []
        if count != len(counts) or count != len(operators):
            raise emulated.FirmwareError(f"{core}: {count} of {len(operators)} operators were measured")
        kernels = model_measure.kernels(model, f"cortex-{core}")
        measured = []
        for position, (operator, instructions) in enumerate(zip(operators, counts, strict=True)):
            cycles = {}
            if with_cycles:
                region = emulated.region(regions, instructions)
                cycles = {memory: region[memory] for memory in emulated.MEMORIES}
            shape = tuple(int(dim) for dim in model.subgraphs[0].tensors[operator.outputs[0]].shape)
            found = Operator(position, tflite.operator_name(model, operator), shape, None, "")
            measured.append(Measured(found, Cost(0, instructions, 0, 0, cycles), kernels.get(position, ""), ""))
        sides.append(
            Side(
                operators=tuple(measured),
                file_bytes=len(content),
                arena_bytes=arena,
                code_bytes=model_measure.custom_code_bytes(code, measured, with_shared_rows=True),
                start_up=start_up,
                interpreter=inference - sum(counts),
            )
        )
    has_cmsis_nn = any(function.startswith("arm_") for function in code.addresses)
    return Comparison(name, core, has_cmsis_nn, sides[0], sides[1], in_tflm=True)


def _part(model: schema.ModelT, content: bytes, inputs: Sequence[np.ndarray], outputs: Sequence[np.ndarray]) -> bytes:
    """Returns a model's part of the job."""
    arena = 2 * planned_bytes(model, []) + _MORE_ARENA
    packed = [layer.packed for layer in layers.find(model) if layer.packed is not None]
    is_verified = bool(packed) and all(layer.has_checksum for layer in packed)
    header = _MODEL.pack(len(content), len(inputs), len(outputs), arena, is_verified)
    tensors = [part for array in (*inputs, *outputs) for part in (_SIZE.pack(array.nbytes), array.tobytes())]
    return b"".join((header, content, *tensors))
