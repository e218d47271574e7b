"""The layers of the Cortex-M benchmark: from published models, or made up with the same shape and sparsity."""

from __future__ import annotations

import dataclasses
import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dcsr import encodings, packing
from dcsr import layers as layer_finder
from dcsr import model as tflite
from dcsr.compact_rows import CompactRows
from dcsr.planning import candidates, choice, cost
from dcsr.planning.candidates import Candidate
from dcsr.planning.kernel_costs import KernelCosts
from dcsr.planning.settings import DEFAULT_MIN_SPARSITY
from dcsr.requantize import INT8_RANGE, INT16_RANGE, quantize_multiplier
from dcsr.schema import schema

# speed: the encoding that the planner's objective `speed` chooses for the core. auto: the smallest encoding. every: a
# case for each encoding from which the planner chooses.
METHODS = ("speed", "auto", "every", *encodings.METHODS)

# The format of job.bin, which cortex_m_bench.c reads.
_JOB = struct.Struct("<4sI")
_JOB_MAGIC = b"DCSJ"
_JOB_LAYER = struct.Struct("<9I")

_SYNTHETIC = "synthetic"
_KINDS = {packing.OP_CONV_2D: "conv", packing.OP_FULLY_CONNECTED: "fc", packing.OP_DEPTHWISE_CONV_2D: "depthwise"}


@dataclass(frozen=True)
class Anchor:
    """A layer whose results are tracked over time.

    Attributes:
      rows, cols: size of the weight matrix.
      size: (height, width) of the output of a convolution; None for a FULLY_CONNECTED.
      sparsity: share of zero weights, 0..1.
      model: the published model that contains the layer; None without one.
      scratch_budget: scratch budget of the packed layer in bytes; 0 for the kernels' default.
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
    """A layer with random weights, of a kind that the published models lack.

    Attributes:
      rows, channels: output and input channels.
      sparsity: share of zero weights, 0..1.
      size: (height, width) of the input of a convolution; None for a FULLY_CONNECTED.
      filter_size, stride, dilation: (vertical, horizontal).
      same_padding: True for SAME padding, False for VALID; ignored with a 1x1 filter.
      int16_activations: True for int16 activations, False for int8.
      depthwise: True for DEPTHWISE_CONV_2D, with rows / channels output channels for each input channel.
      has_relu: whether the output of an int8 convolution has the zero point of a ReLU.
      is_unusual: whether every 16th row is shifted to the left: by 1, which few kernels do in vectors, or without a
        ReLU by 8, which none does.
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
    depthwise: bool = False
    has_relu: bool = True
    is_unusual: bool = False


def _depthwise(channels: int, size: tuple[int, int], filter_size: tuple[int, int] = (3, 3), **options: Any) -> MadeUp:
    rows = channels * options.pop("multiplier", 1)
    return MadeUp(rows, channels, 0, size, filter_size, depthwise=True, **options)


# Layers with dense weights: depthwise and first convolutions of DS-CNN, MobileNet and their like. The cost model is
# fitted to DENSE_FITTED and evaluated with DENSE_HELD_OUT.
DENSE_FITTED = (
    _depthwise(276, (25, 10)),
    _depthwise(172, (25, 10)),
    _depthwise(64, (25, 5)),
    _depthwise(96, (28, 28)),
    _depthwise(32, (48, 48)),
    _depthwise(576, (6, 6)),
    _depthwise(960, (3, 3)),
    _depthwise(96, (56, 56), stride=(2, 2)),
    _depthwise(276, (49, 10), stride=(2, 2)),
    _depthwise(144, (12, 12), stride=(2, 2)),
    _depthwise(384, (6, 6), same_padding=False),
    _depthwise(48, (20, 20), (5, 5)),
    _depthwise(276, (25, 10), (5, 5)),
    _depthwise(120, (14, 14), (5, 5)),
    _depthwise(64, (14, 14), (5, 5), stride=(2, 2)),
    _depthwise(24, (16, 16), dilation=(2, 2)),
    _depthwise(8, (25, 5), multiplier=8),
    _depthwise(64, (1, 40), (1, 5)),
    _depthwise(8, (48, 48)),
    _depthwise(48, (7, 7), (7, 7)),
    _depthwise(16, (16, 16)),
    _depthwise(16, (8, 8)),
    _depthwise(192, (2, 2)),
    _depthwise(336, (1, 1)),
    _depthwise(96, (14, 14), has_relu=False),
    _depthwise(64, (12, 12), is_unusual=True),
    _depthwise(32, (9, 9), (5, 5), is_unusual=True),
    _depthwise(48, (11, 11), is_unusual=True, has_relu=False),
    _depthwise(32, (10, 9), (5, 5), is_unusual=True, has_relu=False),
    MadeUp(32, 3, 0, (20, 20), (3, 3), is_unusual=True),
    MadeUp(48, 1, 0, (25, 10), (10, 4), (2, 2), is_unusual=True),
    MadeUp(276, 1, 0, (49, 10), (10, 4), (2, 1)),
    MadeUp(64, 1, 0, (49, 10), (10, 4), (2, 2)),
    MadeUp(172, 1, 0, (49, 10), (10, 4), (2, 1)),
    MadeUp(64, 1, 0, (28, 28), (3, 3)),
    MadeUp(32, 1, 0, (40, 40), (5, 5), (2, 2)),
    MadeUp(16, 3, 0, (32, 32), (3, 3)),
    MadeUp(32, 3, 0, (48, 48), (3, 3), (2, 2)),
    MadeUp(8, 3, 0, (96, 96), (3, 3), (2, 2)),
    MadeUp(24, 4, 0, (14, 14), (3, 3)),
    MadeUp(32, 3, 0, (24, 24), (4, 4), (2, 2)),
    MadeUp(16, 32, 0, (48, 48)),
    MadeUp(96, 16, 0, (24, 24)),
    MadeUp(24, 144, 0, (20, 20)),
    MadeUp(64, 64, 0, (25, 5)),
    MadeUp(8, 16, 0, (16, 16)),
    MadeUp(48, 8, 0, (16, 16)),
    MadeUp(48, 8, 0, (8, 8)),
    MadeUp(8, 48, 0, (8, 8)),
    MadeUp(96, 16, 0, (4, 4)),
    MadeUp(16, 96, 0, (4, 4)),
    MadeUp(24, 96, 0, (2, 2)),
    MadeUp(144, 24, 0, (2, 2)),
    MadeUp(56, 192, 0, (1, 1)),
    MadeUp(336, 56, 0, (1, 1)),
)
DENSE_HELD_OUT = (
    _depthwise(128, (24, 24)),
    _depthwise(200, (20, 8)),
    _depthwise(72, (28, 28), stride=(2, 2)),
    _depthwise(240, (7, 7)),
    _depthwise(96, (10, 10), (5, 5)),
    MadeUp(120, 1, 0, (40, 10), (10, 4), (2, 2)),
    MadeUp(24, 3, 0, (40, 40), (3, 3), (2, 2)),
    MadeUp(32, 96, 0, (14, 14)),
    _depthwise(24, (12, 12)),
    MadeUp(96, 24, 0, (10, 10)),
    MadeUp(24, 144, 0, (5, 5)),
    MadeUp(112, 48, 0, (2, 1)),
)

# Layers with filters larger than 1x1 or with int16 activations. The cost model is fitted to FITTED and evaluated with
# HELD_OUT.
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

# {core: {Case.product: instructions of the whole layer with CMSIS-NN}}. For the M55, clang compiled the fully connected
# layer.
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
    """A layer with its input, for the dense and the sparse product.

    Attributes:
      weights: origin of the weights: the name of a model, or "synthetic".
      matrix: weights, int8 [rows, cols].
      sparse, dense: the same layer in two encodings.
      shape: (batches, input height, input width, output height, output width). All sizes are 1 for a FULLY_CONNECTED.
      activations: the input in NHWC order, flat, int8 or int16.
      is_held_out: whether the layer is one of HELD_OUT.
      compact: the compact form of its rows; None if there is none, or if the layer is not of a model.
      is_transposed: whether rows of the map are columns of the image. All else is of the map.
    """

    weights: str
    matrix: np.ndarray
    sparse: packing.PackedLayer
    dense: packing.PackedLayer
    shape: tuple[int, int, int, int, int]
    activations: np.ndarray
    is_held_out: bool = False
    compact: CompactRows | None = None
    is_transposed: bool = False

    @property
    def name(self) -> str:
        """The name of the product, with the scratch budget and the form of the rows if they are not the default."""
        budget = self.sparse.scratch_budget
        parts = [self.product, *([f"{budget // 1024} KB" if budget >= 1024 else f"{budget} B"] if budget else [])]
        parts += ["compact rows"] if self.sparse.compact else []
        parts += [self.sparse.layout] if self.sparse.planes else []
        return ", ".join([*parts, *(["transposed"] if self.is_transposed else [])])

    @property
    def product(self) -> str:
        """Operator, rows x cols @ output pixels; for larger filters also filter size, stride and dilation."""
        rows, cols = self.matrix.shape
        kind = _KINDS[self.sparse.op]
        name = f"{kind} {self._window}{rows}x{cols}"
        vectors = self.shape[0] * self.shape[3] * self.shape[4]
        if vectors > 1 or kind != "fc":
            name += f"@{vectors}"
        packed = self.sparse
        if kind == _KINDS[packing.OP_DEPTHWISE_CONV_2D]:
            name += "" if packed.output_zero_point == packed.activation_min else ", no ReLU"
            name += ", some shifts to the left" if np.any(packed.shift > 0) else ""
        return name + (" int16" if packed.int16_activations else "")

    @property
    def with_compact_rows(self) -> Case:
        """The case with compact rows; itself if its layer has no compact form."""
        return dataclasses.replace(self, sparse=dataclasses.replace(self.sparse, compact=self.compact))

    @property
    def in_planes(self) -> list[Case]:
        """The case with its input, its output or both in planes; none for a layer that cannot have them.

        With one end in NHWC also for a map whose rows are the columns of the image.
        """
        if self.sparse.op == packing.OP_FULLY_CONNECTED or self.sparse.int16_activations or self.shape[0] > 1:
            return []
        return [
            case._with_planes(*ends)
            for ends in ((True, True), (True, False), (False, True))
            for case in (self, *(() if all(ends) else (self._transposed,)))
        ]

    def _with_planes(self, has_input: bool, has_output: bool) -> Case:
        planes = packing.Planes(self.shape[1:3], has_input, has_output, self.is_transposed)
        return dataclasses.replace(self, sparse=dataclasses.replace(self.sparse, planes=planes))

    @property
    def _transposed(self) -> Case:
        """The case for a map whose rows are the columns of the image."""
        batches, height, width, out_height, out_width = self.shape
        return dataclasses.replace(
            self,
            matrix=layer_finder.transposed_filters(self.matrix, self.sparse.filter_size),
            sparse=layer_finder.transposed(self.sparse),
            dense=layer_finder.transposed(self.dense),
            shape=(batches, width, height, out_width, out_height),
            activations=_with_columns_as_rows(self.activations, (height, width)),
            is_transposed=True,
        )

    def sections(self) -> tuple[bytes, bytes]:
        """Returns the input and the expected output as the sparse product reads and writes them."""
        planes = self.sparse.planes

        def stored(nhwc: np.ndarray, size: tuple[int, int], channels: int, has_planes: bool) -> bytes:
            if has_planes:
                return _to_planes(nhwc, channels).tobytes()
            return (_with_columns_as_rows(nhwc, size) if self.is_transposed else nhwc).tobytes()

        has_input, has_output = (planes.has_input, planes.has_output) if planes else (False, False)
        return (
            stored(self.activations, self.shape[1:3], self.sparse.channels, has_input),
            stored(self.output(), self.shape[3:], len(self.matrix), has_output),
        )

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
        """The size of the layer's input and output."""
        batches, height, width, out_height, out_width = self.shape
        vectors = batches * out_height * out_width
        return cost.Shape(vectors, (height, width), (out_height, out_width))

    def costs(self, cpu: str) -> KernelCosts:
        """Returns the kernel of the sparse product on a core, its scratch and its counts."""
        return cost.costs(cpu, self.sparse, self.work_shape)

    @property
    def sparsity(self) -> float:
        """Share of zero weights, 0..1."""
        return 1 - np.count_nonzero(self.matrix) / self.matrix.size

    def output(self) -> np.ndarray:
        """Computes the expected output with the Python library, int8 or int16 [output pixels, rows]."""
        return packing.run(self.dense, self._patches())[1]

    def _patches(self) -> np.ndarray:
        """Returns the patches that the filter covers, as the activations of packing.run."""
        batches, height, width, out_height, out_width = self.shape
        packed = self.sparse
        images = self.activations.reshape(batches, height, width, -1)
        taps = []
        for dimension, sizes in enumerate(((height, out_height), (width, out_width))):
            first = packed.stride[dimension] * np.arange(sizes[1])
            offsets = packed.dilation[dimension] * np.arange(packed.filter_size[dimension])
            padding = max(first[-1] + offsets[-1] + 1 - sizes[0], 0) // 2
            # One pixel of padding on each side stands for all pixels outside of the image.
            taps.append(np.clip(first[:, np.newaxis] + offsets - padding, -1, sizes[0]) + 1)
        padded = np.pad(images, ((0, 0), (1, 1), (1, 1), (0, 0)), constant_values=packed.input_zero_point)
        patches = padded[:, taps[0][:, np.newaxis, :, np.newaxis], taps[1][np.newaxis, :, np.newaxis, :]]
        if packed.op == packing.OP_DEPTHWISE_CONV_2D:
            return patches.reshape(-1, self.matrix.shape[1], packed.channels).transpose(0, 2, 1)
        return patches.reshape(-1, self.matrix.shape[1])


def _with_columns_as_rows(nhwc: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Returns the activations of an image of `size` (height, width), flat, with columns in place of rows."""
    return np.ascontiguousarray(nhwc.reshape(*size, -1).swapaxes(0, 1)).reshape(-1)


def _to_planes(nhwc: np.ndarray, channels: int) -> np.ndarray:
    """Returns the activations of an image in planes."""
    pixels = nhwc.reshape(-1, channels).T
    return np.pad(pixels, ((0, 0), (0, -pixels.shape[1] % 4)))


def anchors(models: Path | None, method: str, cpu: str, chosen: Sequence[Anchor] = ANCHORS) -> list[Case]:
    """Returns the cases of the anchors. Anchors whose model is missing get random weights.

    Args:
      models: folder with the published models; None for random weights only.
      method: one of METHODS.
      cpu: one of cost.CPUS.
      chosen: the anchors.

    Raises:
      tflite.ModelError: if the folder has none of the anchors' models, or if a model lacks the layer.
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


def placed(case: Case, cpu: str, memory: str) -> Case:
    """Returns the case as `compress --memory` plans it: kernels may have to gather up to fewer pixels."""
    return dataclasses.replace(case, sparse=candidates.placed(cpu, case.sparse, case.work_shape, memory)[0])


def all_layers(models: Path, method: str, cpu: str, scratch_budgets: Sequence[int] = (0,)) -> list[Case]:
    """Returns the cases of all sparse layers of all models below a folder, and of the made-up layers.

    Args:
      models: the folder.
      method: one of METHODS.
      cpu: one of cost.CPUS.
      scratch_budgets: budgets in bytes. Each convolution gets a case with each budget.

    Raises:
      tflite.ModelError: if the models have no layer that is sparse enough.
    """
    cases = []
    for path in sorted(models.rglob("*.tflite")):
        model = tflite.read(path)
        for layer in layer_finder.find(model):
            if layer.obstacle is None and not layer.is_depthwise and _sparsity(layer.matrix) >= DEFAULT_MIN_SPARSITY:
                # A FULLY_CONNECTED uses no scratch.
                budgets = scratch_budgets if layer.op.startswith("CONV") else scratch_budgets[:1]
                for budget in budgets:
                    cases += _of_model(model, layer, path.stem, method, cpu, budget)
    if not cases:
        raise tflite.ModelError(f"{models}: no model below it has a layer that is sparse enough")
    return cases + made_up_layers(method, cpu, scratch_budgets) + dense_layers(cpu, scratch_budgets)


def dense_layers(cpu: str, scratch_budgets: Sequence[int] = (0,)) -> list[Case]:
    """Returns the cases of DENSE_FITTED and DENSE_HELD_OUT: the sparse product has dense weights, too."""
    return [
        case
        for layer in (*DENSE_FITTED, *DENSE_HELD_OUT)
        for budget in scratch_budgets
        for case in made_up(layer, "dense", cpu, budget)
    ]


def made_up_layers(method: str, cpu: str, scratch_budgets: Sequence[int] = (0,)) -> list[Case]:
    """Returns the cases of FITTED and HELD_OUT, each convolution with each scratch budget in bytes."""
    return [
        case
        for layer in (*FITTED, *HELD_OUT)
        for budget in (scratch_budgets if layer.size else scratch_budgets[:1])
        for case in made_up(layer, method, cpu, budget)
    ]


def synthetic(anchor: Anchor, method: str, cpu: str) -> list[Case]:
    """Returns the cases of an anchor with normally distributed, pruned weights. They are the same at every call."""
    dense = _random_layer(anchor.rows, anchor.cols, anchor.size, anchor.sparsity)
    dense = dataclasses.replace(dense, scratch_budget=anchor.scratch_budget)
    size = anchor.size or (1, 1)
    return _cases(_SYNTHETIC, encodings.decode(dense.streams), dense, (1, *size, *size), method, cpu)


def made_up(layer: MadeUp, method: str, cpu: str, scratch_budget: int = 0) -> list[Case]:
    """Returns the cases of a made-up layer. They are the same at every call."""
    taps = layer.filter_size[0] * layer.filter_size[1]
    cols = taps if layer.depthwise else layer.channels * taps
    dense = _random_layer(layer.rows, cols, layer.size, layer.sparsity, layer.int16_activations)
    if layer.depthwise:
        multiplier = layer.rows // layer.channels
        dense = dataclasses.replace(dense, op=packing.OP_DEPTHWISE_CONV_2D, depth_multiplier=multiplier)
    if layer.is_unusual:
        unusual = 1 if layer.has_relu else 8
        shift = np.where(np.arange(layer.rows) % 16 == 15, unusual, dense.shift).astype(np.int8)
        dense = dataclasses.replace(dense, shift=shift)
    dense = dataclasses.replace(
        dense,
        output_zero_point=dense.output_zero_point if layer.has_relu else 5,
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
    return [dataclasses.replace(case, is_held_out=layer in (*HELD_OUT, *DENSE_HELD_OUT)) for case in cases]


def _random_layer(
    rows: int, cols: int, size: tuple[int, int] | None, sparsity: float, is_int16: bool = False
) -> packing.PackedLayer:
    """Returns a random layer in the dense encoding: a 1x1 convolution, or a FULLY_CONNECTED if `size` is None."""
    rng = _random(f"{rows} {cols} {size} {sparsity}")
    weights = rng.standard_normal((rows, cols))
    weights[np.abs(weights) <= np.quantile(np.abs(weights), sparsity)] = 0
    matrix = np.rint(weights * (127 / np.abs(weights).max())).astype(np.int8)
    # Spread outputs over the range of their type: their standard deviation is 50 / 256 of it.
    low, high = INT16_RANGE if is_int16 else INT8_RANGE
    deviation = np.sqrt(np.maximum(np.square(matrix, dtype=np.float64).sum(axis=1), 1)) * ((high - low) / np.sqrt(12))
    multipliers = [quantize_multiplier((high - low) * 50 / 256 / value) for value in deviation]
    convolution = size is not None
    # An int8 convolution gets the zero points of a layer after a ReLU.
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
    """Serialises cases for the firmware: a header, then for each case a header and four sections.

    The sections are the dense layer (empty if a case before has the same, and for planes), the sparse layer, the input,
    and the expected output.
    """
    parts = [_JOB.pack(_JOB_MAGIC, len(cases))]
    for previous, case in zip((None, *cases), cases, strict=False):
        repeated = previous is not None and has_same_dense(previous, case)
        # Sections are expensive, and those of a repeated product are the same in the same layout.
        if previous is None or not repeated or case.sparse.planes != previous.sparse.planes:
            activations, output = case.sections()
        has_dense = not repeated and case.sparse.planes is None
        sections = [packing.pack(case.dense) if has_dense else b"", packing.pack(case.sparse), activations, output]
        parts += [_JOB_LAYER.pack(*case.shape, *map(len, sections)), *sections]
    return b"".join(parts)


def has_same_dense(one: Case, other: Case) -> bool:
    """Whether two cases have the same dense product: they differ only in encoding or scratch budget."""
    return (one.weights, one.product, one.shape) == (other.weights, other.product, other.shape) and np.array_equal(
        one.matrix, other.matrix
    )


def _published(anchor: Anchor, path: Path, method: str, cpu: str) -> list[Case]:
    """Returns the cases of the layer with the anchor's shape and the most similar sparsity in the model at `path`."""
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
    compact = layer_finder.with_compact_rows(model, layer, dense)
    cases = _cases(name, layer.matrix, dense, shape, method, cpu)
    return [dataclasses.replace(case, compact=None if compact is None else compact.compact) for case in cases]


def _cases(
    weights: str, matrix: np.ndarray, dense: packing.PackedLayer, shape: tuple[int, ...], method: str, cpu: str
) -> list[Case]:
    """Returns the cases of a layer: one for each encoding of the method. Adds random input."""
    size = shape[0] * shape[1] * shape[2] * dense.channels
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
    found = [
        Candidate(case.sparse, case.work_shape, cost.estimate(cpu, case.sparse, case.work_shape)) for case in cases
    ]
    [chosen] = choice.choose([found], "speed" if method == "speed" else "size")
    return [case for case in cases if case.sparse is chosen.packed]


def _random(name: str) -> np.random.Generator:
    """Returns a random generator whose seed is derived from `name`."""
    return np.random.default_rng(zlib.crc32(name.encode()))


def _sparsity(matrix: np.ndarray) -> float:
    return 1 - np.count_nonzero(matrix) / matrix.size
