"""The layers that the Cortex-M benchmark runs: of published models, or made up with the same shape and sparsity."""

from __future__ import annotations

import dataclasses
import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dcsr import encodings, packing
from dcsr import layers as layer_finder
from dcsr import model as tflite
from dcsr.planning import choice, cost
from dcsr.planning.candidates import Candidate
from dcsr.planning.kernel_costs import KernelCosts
from dcsr.planning.settings import DEFAULT_MIN_SPARSITY
from dcsr.requantize import INT8_RANGE, INT16_RANGE, quantize_multiplier
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


@dataclass(frozen=True)
class MadeUp:
    """A layer of a kind that the published models do not have, with made-up weights.

    Attributes:
      rows, channels: of output and input.
      sparsity: share of zeros.
      size: (height, width) of the input of a convolution, None for a FULLY_CONNECTED.
      filter_size, stride, dilation: (vertical, horizontal).
      same_padding: else VALID; with a 1x1 filter neither.
      int16_activations: else int8.
    """

    rows: int
    channels: int
    sparsity: float
    size: tuple[int, int] | None
    filter_size: tuple[int, int] = (1, 1)
    stride: tuple[int, int] = (1, 1)
    dilation: tuple[int, int] = (1, 1)
    same_padding: bool = True
    int16_activations: bool = False


# With filters larger than 1x1, or int16 activations. The cost model is fitted to the first and judged by the others.
FITTED = (
    MadeUp(32, 3, 0.60, (32, 32), (3, 3), (2, 2)),
    MadeUp(64, 1, 0.60, (49, 10), (10, 4), (2, 2)),
    MadeUp(32, 16, 0.80, (32, 32), (3, 3)),
    MadeUp(64, 32, 0.90, (16, 16), (3, 3)),
    MadeUp(40, 40, 0.90, (16, 16), (3, 3), dilation=(2, 2)),
    MadeUp(48, 24, 0.70, (20, 10), (3, 3), same_padding=False),
    MadeUp(64, 32, 0.80, (17, 17), (3, 3), (2, 2), same_padding=False),
    MadeUp(64, 64, 0.90, (8, 8), (3, 3)),
    MadeUp(96, 96, 0.85, (6, 6), (3, 3)),
    MadeUp(128, 64, 0.90, (8, 8), (3, 3), (2, 2)),
    MadeUp(128, 128, 0.90, (3, 3), (3, 3)),
    MadeUp(24, 12, 0.85, (24, 24), (5, 5)),
    MadeUp(64, 48, 0.90, (12, 12), (5, 5), (2, 2)),
    MadeUp(64, 32, 0.95, (9, 9), (5, 5), same_padding=False),
    MadeUp(64, 64, 0.90, (25, 5), int16_activations=True),
    MadeUp(128, 96, 0.80, (10, 10), int16_activations=True),
    MadeUp(32, 32, 0.70, (16, 16), int16_activations=True),
    MadeUp(96, 160, 0.90, (4, 4), int16_activations=True),
    MadeUp(160, 320, 0.95, (3, 3), int16_activations=True),
    MadeUp(32, 16, 0.80, (16, 16), (3, 3), int16_activations=True),
    MadeUp(64, 32, 0.90, (8, 8), (3, 3), (2, 2), int16_activations=True),
    MadeUp(40, 40, 0.85, (10, 10), (3, 3), dilation=(2, 2), int16_activations=True),
    MadeUp(48, 24, 0.90, (10, 10), (5, 5), same_padding=False, int16_activations=True),
    MadeUp(12, 4000, 0.90, None, int16_activations=True),
    MadeUp(64, 512, 0.80, None, int16_activations=True),
    MadeUp(128, 1024, 0.95, None, int16_activations=True),
    MadeUp(10, 256, 0.70, None, int16_activations=True),
)
HELD_OUT = (
    MadeUp(24, 8, 0.70, (28, 28), (3, 3)),
    MadeUp(48, 32, 0.85, (12, 12), (3, 3)),
    MadeUp(80, 64, 0.90, (10, 10), (3, 3), (2, 2)),
    MadeUp(96, 128, 0.80, (4, 4), (3, 3)),
    MadeUp(64, 48, 0.75, (13, 9), (3, 3), dilation=(2, 2), same_padding=False),
    MadeUp(32, 24, 0.90, (14, 14), (5, 5), same_padding=False),
    MadeUp(96, 48, 0.85, (8, 8), int16_activations=True),
    MadeUp(40, 32, 0.85, (9, 9), (3, 3), int16_activations=True),
    MadeUp(40, 800, 0.90, None, int16_activations=True),
    MadeUp(20, 2000, 0.80, None, int16_activations=True),
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
      activations: int8 or int16, the input.
      is_held_out: whether it is one of HELD_OUT.
    """

    weights: str
    matrix: np.ndarray
    sparse: packing.PackedLayer
    dense: packing.PackedLayer
    shape: tuple[int, int, int, int, int]
    activations: np.ndarray
    is_held_out: bool = False

    @property
    def name(self) -> str:
        """That of the product, and the scratch budget if the layer has one."""
        budget = self.sparse.scratch_budget
        if not budget:
            return self.product
        return f"{self.product}, {budget // 1024} KB" if budget >= 1024 else f"{self.product}, {budget} B"

    @property
    def product(self) -> str:
        """Operator and rows x cols @ output pixels; a filter larger than 1x1 with its stride and dilation."""
        rows, cols = self.matrix.shape
        kind = "conv" if self.sparse.op == packing.OP_CONV_2D else "fc"
        name = f"{kind} {self._window}{rows}x{cols}"
        vectors = self.shape[0] * self.shape[3] * self.shape[4]
        if vectors > 1 or kind == "conv":
            name += f"@{vectors}"
        return name + (" int16" if self.sparse.int16_activations else "")

    @property
    def _window(self) -> str:
        packed = self.sparse
        if packed.filter_size == (1, 1):
            return ""
        stride = f"/{packed.stride[0]}" if packed.stride != (1, 1) else ""
        dilation = f" dilated {packed.dilation[0]}" if packed.dilation != (1, 1) else ""
        return "{}x{}".format(*packed.filter_size) + stride + dilation + " of "

    @property
    def work_shape(self) -> cost.Shape:
        """The size of its input and output."""
        batches, height, width, out_height, out_width = self.shape
        vectors = batches * out_height * out_width
        return cost.Shape(vectors, (height, width), (out_height, out_width))

    def costs(self, cpu: str) -> KernelCosts:
        """The kernel of the sparse product on a core, its scratch and its counts."""
        return cost.costs(cpu, self.sparse, self.work_shape)

    @property
    def sparsity(self) -> float:
        """Share of zeros."""
        return 1 - np.count_nonzero(self.matrix) / self.matrix.size

    def output(self) -> np.ndarray:
        """What the layer makes of the activations, by the library's own arithmetic."""
        return packing.run(self.dense, self._patches())[1]

    def _patches(self) -> np.ndarray:
        """[output pixels, cols], what the matrix is multiplied with."""
        batches, height, width, out_height, out_width = self.shape
        packed = self.sparse
        images = self.activations.reshape(batches, height, width, -1)
        taps = []
        for dimension, sizes in enumerate(((height, out_height), (width, out_width))):
            first = packed.stride[dimension] * np.arange(sizes[1])
            offsets = packed.dilation[dimension] * np.arange(packed.filter_size[dimension])
            padding = max(first[-1] + offsets[-1] + 1 - sizes[0], 0) // 2
            # One pixel of padding on either side stands for all that is outside.
            taps.append(np.clip(first[:, np.newaxis] + offsets - padding, -1, sizes[0]) + 1)
        padded = np.pad(images, ((0, 0), (1, 1), (1, 1), (0, 0)), constant_values=packed.input_zero_point)
        patches = padded[:, taps[0][:, np.newaxis, :, np.newaxis], taps[1][np.newaxis, :, np.newaxis, :]]
        return patches.reshape(-1, self.matrix.shape[1])


def anchors(models: Path | None, method: str, cpu: str, chosen: Sequence[Anchor] = ANCHORS) -> list[Case]:
    """The anchors, with the weights of the published models below the folder `models` if that has them.

    Args:
      models: the folder.
      method: one of METHODS.
      cpu: one of cost.CPUS.
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
    """Every layer that is sparse enough to be packed, of all models below a folder, with every scratch budget; and
    made-up ones of the kinds that published models lack.

    Raises:
      tflite.ModelError: if the models have none.
    """
    cases = []
    for path in sorted(models.rglob("*.tflite")):
        model = tflite.read(path)
        for layer in layer_finder.find(model):
            if layer.obstacle is None and _sparsity(layer.matrix) >= DEFAULT_MIN_SPARSITY:
                # A FULLY_CONNECTED takes no scratch.
                budgets = scratch_budgets if layer.op.startswith("CONV") else scratch_budgets[:1]
                for budget in budgets:
                    cases += _of_model(model, layer, path.stem, method, cpu, budget)
    if not cases:
        raise tflite.ModelError(f"{models}: no model below it has a layer that is sparse enough")
    return cases + made_up_layers(method, cpu, scratch_budgets)


def made_up_layers(method: str, cpu: str, scratch_budgets: Sequence[int] = (0,)) -> list[Case]:
    """FITTED and HELD_OUT, convolutions with every scratch budget."""
    return [
        case
        for layer in (*FITTED, *HELD_OUT)
        for budget in (scratch_budgets if layer.size else scratch_budgets[:1])
        for case in made_up(layer, method, cpu, budget)
    ]


def synthetic(anchor: Anchor, method: str, cpu: str) -> list[Case]:
    """A layer with normally distributed weights of which the small ones are pruned; the same at every call."""
    dense = _random_layer(anchor.rows, anchor.cols, anchor.size, anchor.sparsity)
    dense = dataclasses.replace(dense, scratch_budget=anchor.scratch_budget)
    size = anchor.size or (1, 1)
    return _cases(_SYNTHETIC, encodings.decode(dense.streams), dense, (1, *size, *size), method, cpu)


def made_up(layer: MadeUp, method: str, cpu: str, scratch_budget: int = 0) -> list[Case]:
    """Its cases, the same at every call."""
    taps = layer.filter_size[0] * layer.filter_size[1]
    dense = _random_layer(layer.rows, layer.channels * taps, layer.size, layer.sparsity, layer.int16_activations)
    dense = dataclasses.replace(
        dense,
        stride=layer.stride,
        filter_size=layer.filter_size,
        dilation=layer.dilation,
        same_padding=layer.same_padding and taps > 1,
        scratch_budget=scratch_budget,
    )
    size = layer.size or (1, 1)
    spans = [(k - 1) * d + 1 for k, d in zip(layer.filter_size, layer.dilation, strict=True)]
    out_size = [
        -(-(pixels if layer.same_padding else pixels - span + 1) // step)
        for pixels, span, step in zip(size, spans, layer.stride, strict=True)
    ]
    cases = _cases(_SYNTHETIC, encodings.decode(dense.streams), dense, (1, *size, *out_size), method, cpu)
    return [dataclasses.replace(case, is_held_out=layer in HELD_OUT) for case in cases]


def _random_layer(
    rows: int, cols: int, size: tuple[int, int] | None, sparsity: float, is_int16: bool = False
) -> packing.PackedLayer:
    """Of the dense encoding, with a 1x1 filter; a FULLY_CONNECTED if `size` is None."""
    rng = _random(f"{rows} {cols} {size} {sparsity}")
    weights = rng.standard_normal((rows, cols))
    weights[np.abs(weights) <= np.quantile(np.abs(weights), sparsity)] = 0
    matrix = np.rint(weights * (127 / np.abs(weights).max())).astype(np.int8)
    # Outputs spread over the range of their type: the standard deviation is that of 50 of 256 values.
    low, high = INT16_RANGE if is_int16 else INT8_RANGE
    deviation = np.sqrt(np.maximum(np.square(matrix, dtype=np.float64).sum(axis=1), 1)) * ((high - low) / np.sqrt(12))
    multipliers = [quantize_multiplier((high - low) * 50 / 256 / value) for value in deviation]
    convolution = size is not None
    # A convolution is followed by ReLU.
    zero_point = -128 if convolution and not is_int16 else 0
    bias = rng.integers(-5000, 5000, rows).astype(np.int32)
    return packing.PackedLayer(
        op=packing.OP_CONV_2D if convolution else packing.OP_FULLY_CONNECTED,
        streams=encodings.encode(matrix, "dense"),
        bias=packing.int16_bias(bias, rows) if is_int16 else packing.fold_bias(bias, matrix, zero_point),
        multiplier=np.array([multiplier for multiplier, _ in multipliers], np.int32),
        shift=np.array([shift for _, shift in multipliers], np.int8),
        input_zero_point=zero_point,
        output_zero_point=zero_point,
        activation_min=low,
        activation_max=high,
        int16_activations=is_int16,
    )


def job(cases: Sequence[Case]) -> bytes:
    """The file that the firmware reads: header, then for each layer a header and four sections."""
    parts = [_JOB.pack(_JOB_MAGIC, len(cases))]
    for previous, case in zip((None, *cases), cases, strict=False):
        repeated = previous is not None and has_same_dense(previous, case)
        if not repeated:
            output = case.output().tobytes()
        sections = [b"" if repeated else packing.pack(case.dense), packing.pack(case.sparse)]
        sections += [case.activations.tobytes(), output]
        parts += [_JOB_LAYER.pack(*case.shape, *map(len, sections)), *sections]
    return b"".join(parts)


def has_same_dense(one: Case, other: Case) -> bool:
    """Whether two cases are one layer in two encodings, or with two scratch budgets, which no dense product has."""
    return (one.weights, one.product, one.shape) == (other.weights, other.product, other.shape) and np.array_equal(
        one.matrix, other.matrix
    )


def _published(anchor: Anchor, path: Path, method: str, cpu: str) -> list[Case]:
    """The layer of the model at `path` with the anchor's shape whose sparsity is nearest to the anchor's."""
    model = tflite.read(path)
    wanted = (1, 1) if anchor.size is None else anchor.size
    layers = [
        _of_model(model, layer, path.stem, method, cpu, anchor.scratch_budget)
        for layer in layer_finder.find(model)
        if layer.obstacle is None and layer.matrix.shape == (anchor.rows, anchor.cols)
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
    size = shape[0] * shape[1] * shape[2] * matrix.shape[1] // (dense.filter_size[0] * dense.filter_size[1])
    low, high = INT16_RANGE if dense.int16_activations else INT8_RANGE
    activations = _random(f"{weights} {matrix.shape} {shape}").integers(low, high + 1, size)
    activations = activations.astype("<i2" if dense.int16_activations else np.int8)
    names = encodings.candidates(None if method in ("speed", "auto", "every") else method)
    cases = [
        Case(weights, matrix, dataclasses.replace(dense, streams=streams), dense, shape, activations)
        for streams in encodings.encode_all(matrix, names)
    ]
    if method == "every":
        return cases
    candidates = [
        Candidate(case.sparse, case.work_shape, cost.estimate(cpu, case.sparse, case.work_shape)) for case in cases
    ]
    [chosen] = choice.choose([candidates], "speed" if method == "speed" else "size")
    return [case for case in cases if case.sparse is chosen.packed]


def _random(name: str) -> np.random.Generator:
    """The same numbers for the same name."""
    return np.random.default_rng(zlib.crc32(name.encode()))


def _sparsity(matrix: np.ndarray) -> float:
    return 1 - np.count_nonzero(matrix) / matrix.size
