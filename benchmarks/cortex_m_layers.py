"""The layers that the Cortex-M benchmark runs: of published models, or made up with the same shape and sparsity."""

from __future__ import annotations

import dataclasses
import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dcsr import convert, cost_model, encodings, packing, planner
from dcsr import layers as layer_finder
from dcsr import model as tflite
from dcsr.requantize import quantize_multiplier
from dcsr.schema import schema

# speed is what the planner's objective of this name takes for the core, auto the smallest encoding, every a case for
# each that a planner chooses from.
METHODS = ("speed", "auto", "every", *encodings.METHODS)

# Of cortex_m_bench.c.
_JOB = struct.Struct("<4sI")
_JOB_MAGIC = b"DCSJ"
_JOB_LAYER = struct.Struct("<9I")

_SYNTHETIC = "synthetic"


@dataclass(frozen=True)
class Anchor:
    """A layer that results are followed by.

    Attributes:
      rows, cols: of the weights.
      size: height and width of the output of a convolution, None for a FULLY_CONNECTED.
      sparsity: share of zeros.
      model: the published model that has it; None if none does.
      scratch_budget: of the packed layer, in bytes.
    """

    rows: int
    cols: int
    size: tuple[int, int] | None
    sparsity: float
    model: str | None
    scratch_budget: int = 0


ANCHORS = (
    Anchor(276, 276, (25, 10), 0.70, "sparse_l_70"),
    Anchor(276, 276, (25, 10), 0.80, "sparse_l_80"),
    Anchor(276, 276, (25, 10), 0.90, "sparse_l_90"),
    Anchor(276, 276, (25, 10), 0.90, "sparse_l_90", scratch_budget=18 * 1024),
    Anchor(276, 276, (25, 10), 0.95, None),
    Anchor(172, 172, (25, 10), 0.90, "sparse_m_90"),
    Anchor(64, 64, (25, 5), 0.90, "sparse_s_90"),
    Anchor(1280, 320, (3, 3), 0.90, "mobilenetv2_cifar10_sparse90"),
    Anchor(96, 576, (6, 6), 0.90, "mobilenetv2_cifar10_sparse90"),
    Anchor(12, 16560, None, 0.91, "sparse_l_90"),
)

# Instructions of whole layers with CMSIS-NN, by core and product (Case.product); on the M55 its fully connected layer
# as clang compiles it.
CMSIS_NN = {
    "m4": {
        "conv 276x276@250": 30_359_686,
        "conv 172x172@250": 12_534_475,
        "conv 64x64@125": 1_069_578,
        "conv 1280x320@9": 7_156_073,
        "conv 96x576@36": 3_140_873,
        "fc 12x16560": 373_394,
    },
    "m55": {
        "conv 276x276@250": 4_413_583,
        "conv 172x172@250": 1_918_391,
        "conv 64x64@125": 202_883,
        "conv 1280x320@9": 868_769,
        "conv 96x576@36": 391_077,
        "fc 12x16560": 31_324,
    },
}


@dataclass(frozen=True)
class Case:
    """A layer as both products get it.

    Attributes:
      weights: where they are from: a model's name, or "synthetic".
      matrix: int8 [rows, cols].
      sparse, dense: the same layer packed in two encodings.
      shape: batches, height and width of the input, height and width of the output; the latter 1 for FULLY_CONNECTED.
      activations: int8, the input.
    """

    weights: str
    matrix: np.ndarray
    sparse: packing.PackedLayer
    dense: packing.PackedLayer
    shape: tuple[int, int, int, int, int]
    activations: np.ndarray

    @property
    def name(self) -> str:
        """That of the product, and the scratch budget if the layer has one."""
        budget = self.sparse.scratch_budget
        if not budget:
            return self.product
        return f"{self.product}, {budget // 1024} KB" if budget >= 1024 else f"{self.product}, {budget} B"

    @property
    def product(self) -> str:
        """Operator and rows x cols @ output pixels."""
        rows, cols = self.matrix.shape
        kind = "conv" if self.sparse.op == packing.OP_CONV_2D else "fc"
        name = f"{kind} {rows}x{cols}"
        vectors = self.shape[0] * self.shape[3] * self.shape[4]
        if vectors > 1 or kind == "conv":
            name += f"@{vectors}"
        return name

    @property
    def work(self) -> cost_model.Work:
        """What the cost of the sparse product depends on."""
        vectors = self.shape[0] * self.shape[3] * self.shape[4]
        return cost_model.work(self.sparse, vectors)

    @property
    def sparsity(self) -> float:
        """Share of zeros."""
        return 1 - np.count_nonzero(self.matrix) / self.matrix.size

    def output(self) -> np.ndarray:
        """What the layer makes of the activations, by the library's own arithmetic."""
        batches, height, width, out_height, out_width = self.shape
        stride_h, stride_w = self.sparse.stride
        pixels = self.activations.reshape(batches, height, width, -1)[:, ::stride_h, ::stride_w]
        assert pixels.shape[1:3] == (out_height, out_width)
        return packing.run(self.dense, pixels.reshape(-1, pixels.shape[-1]))[1]


def anchors(models: Path | None, method: str, cpu: str, chosen: Sequence[Anchor] = ANCHORS) -> list[Case]:
    """The anchors, with the weights of the published models below the folder `models` if that has them.

    Args:
      models: the folder.
      method: one of METHODS.
      cpu: one of cost_model.CPUS.
      chosen: the anchors.

    Raises:
      tflite.ModelError: if `models` has no model of an anchor, or one that does not have the layer.
    """
    paths = {} if models is None else {path.stem: path for path in sorted(models.rglob("*.tflite"))}
    if models is not None and not paths.keys() & {anchor.model for anchor in chosen}:
        raise tflite.ModelError(
            f"{models}: none of the published models is below it; --layers all takes the layers of any models"
        )
    return [
        case
        for anchor in chosen
        for case in (
            _published(anchor, paths[anchor.model], method, cpu)
            if anchor.model in paths
            else synthetic(anchor, method, cpu)
        )
    ]


def all_layers(models: Path, method: str, cpu: str, scratch_budgets: Sequence[int] = (0,)) -> list[Case]:
    """Every layer that is sparse enough to be packed, of all models below a folder, with every scratch budget;
    convolutions with 1x1 filters only.

    Raises:
      tflite.ModelError: if there is none.
    """
    cases = []
    for path in sorted(models.rglob("*.tflite")):
        model = tflite.read(path)
        for layer in layer_finder.find(model):
            if _is_measurable(layer) and _sparsity(layer.matrix) >= convert.DEFAULT_MIN_SPARSITY:
                # A FULLY_CONNECTED takes no scratch.
                budgets = scratch_budgets if layer.op.startswith("CONV") else scratch_budgets[:1]
                for budget in budgets:
                    cases += _of_model(model, layer, path.stem, method, cpu, budget)
    if not cases:
        raise tflite.ModelError(f"{models}: no model below it has a layer that is sparse enough")
    return cases


def synthetic(anchor: Anchor, method: str, cpu: str) -> list[Case]:
    """A layer with normally distributed weights of which the small ones are pruned; the same at every call."""
    rng = _random(f"{anchor.rows} {anchor.cols} {anchor.size} {anchor.sparsity}")
    weights = rng.standard_normal((anchor.rows, anchor.cols))
    weights[np.abs(weights) <= np.quantile(np.abs(weights), anchor.sparsity)] = 0
    matrix = np.rint(weights * (127 / np.abs(weights).max())).astype(np.int8)
    # Outputs spread over the range of int8: the standard deviation is that of 50.
    deviation = np.sqrt(np.maximum(np.square(matrix, dtype=np.float64).sum(axis=1), 1)) * (256 / np.sqrt(12))
    multipliers = [quantize_multiplier(50 / value) for value in deviation]
    convolution = anchor.size is not None
    # A convolution is followed by ReLU.
    zero_point = -128 if convolution else 0
    dense = packing.PackedLayer(
        op=packing.OP_CONV_2D if convolution else packing.OP_FULLY_CONNECTED,
        streams=encodings.encode(matrix, "dense"),
        bias=packing.fold_bias(rng.integers(-5000, 5000, anchor.rows).astype(np.int32), matrix, zero_point),
        multiplier=np.array([multiplier for multiplier, _ in multipliers], np.int32),
        shift=np.array([shift for _, shift in multipliers], np.int8),
        input_zero_point=zero_point,
        output_zero_point=zero_point,
        activation_min=-128,
        activation_max=127,
        scratch_budget=anchor.scratch_budget,
    )
    size = anchor.size or (1, 1)
    return _cases(_SYNTHETIC, matrix, dense, (1, *size, *size), method, cpu)


def job(cases: Sequence[Case]) -> bytes:
    """The file that the firmware reads: header, then for each layer a header and four sections."""
    parts = [_JOB.pack(_JOB_MAGIC, len(cases))]
    for case in cases:
        sections = [packing.pack(case.dense), packing.pack(case.sparse)]
        sections += [case.activations.tobytes(), case.output().tobytes()]
        parts += [_JOB_LAYER.pack(*case.shape, *map(len, sections)), *sections]
    return b"".join(parts)


def _is_measurable(layer: layer_finder.Layer) -> bool:
    """Whether the firmware has the layer's dense kernel to compare with."""
    return layer.obstacle is None and (len(layer.shape) == 2 or layer.shape[1:3] == (1, 1))


def _published(anchor: Anchor, path: Path, method: str, cpu: str) -> list[Case]:
    """The layer of the model at `path` with the anchor's shape whose sparsity is nearest to the anchor's."""
    model = tflite.read(path)
    wanted = (1, 1) if anchor.size is None else anchor.size
    layers = [
        _of_model(model, layer, path.stem, method, cpu, anchor.scratch_budget)
        for layer in layer_finder.find(model)
        if _is_measurable(layer) and layer.matrix.shape == (anchor.rows, anchor.cols)
    ]
    layers = [cases for cases in layers if cases[0].shape[3:] == wanted]
    if not layers:
        raise tflite.ModelError(f"{path}: has no layer {anchor.rows} x {anchor.cols} with an output of {wanted}")
    return min(layers, key=lambda cases: abs(cases[0].sparsity - anchor.sparsity))


def _of_model(
    model: schema.ModelT, layer: layer_finder.Layer, name: str, method: str, cpu: str, scratch_budget: int = 0
) -> list[Case]:
    dense = layer_finder.packed_layer(model, layer, "dense")
    dense = dataclasses.replace(dense, scratch_budget=scratch_budget)
    tensors = model.subgraphs[layer.subgraph].tensors
    inputs, outputs = (tensors[i[0]].shape for i in (layer.operator.inputs, layer.operator.outputs))
    if dense.op == packing.OP_CONV_2D:
        shape = (*map(int, inputs[:3]), *map(int, outputs[1:3]))
    else:
        shape = (int(np.prod(inputs)) // layer.matrix.shape[1], 1, 1, 1, 1)
    return _cases(name, layer.matrix, dense, shape, method, cpu)


def _cases(
    weights: str, matrix: np.ndarray, dense: packing.PackedLayer, shape: tuple[int, ...], method: str, cpu: str
) -> list[Case]:
    """Adds what is the same for layers of any origin; one case for each encoding."""
    size = shape[0] * shape[1] * shape[2] * matrix.shape[1]
    activations = _random(f"{weights} {matrix.shape} {shape}").integers(-128, 128, size).astype(np.int8)
    names = encodings.candidates(None if method in ("speed", "auto", "every") else method)
    cases = [
        Case(weights, matrix, dataclasses.replace(dense, streams=streams), dense, shape, activations)
        for streams in encodings.encode_all(matrix, names)
    ]
    if method == "every":
        return cases
    candidates = [planner.Candidate(case.sparse, case.work, cost_model.estimate(cpu, case.work)) for case in cases]
    [chosen] = planner.choose([candidates], "speed" if method == "speed" else "size")
    return [case for case in cases if case.sparse is chosen.packed]


def _random(name: str) -> np.random.Generator:
    """The same numbers for the same name."""
    return np.random.default_rng(zlib.crc32(name.encode()))


def _sparsity(matrix: np.ndarray) -> float:
    return 1 - np.count_nonzero(matrix) / matrix.size
