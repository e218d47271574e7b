"""Tests the memory of builtin operators against what CMSIS-NN's functions return (//benchmarks:model prints it)."""

import numpy as np
import pytest

from dcsr.planning import builtin_memory, cost
from dcsr.planning.builtin_memory import CMSIS_NN, KERNELS, PORTABLE, Memory
from dcsr.schema import schema
from dcsr.testing.models import Builder

_OP = schema.BuiltinOperator
_VALID = schema.Padding.VALID


def memory(builder: Builder, x: int, y: int, cpu: str, kernels: str = CMSIS_NN) -> Memory:
    model = builder.finish([x], [y])
    return builtin_memory.memory(model, 0, model.subgraphs[0].operators[0], cpu, kernels)


def weights(rows: int, cols: int) -> np.ndarray:
    return np.ones((rows, cols), np.int8)


@pytest.mark.parametrize(
    "shape,size,m55,m4",
    [((1, 12, 12, 33), (1, 1), 0, 0), ((1, 49, 10, 1), (10, 4), 192, 160), ((1, 9, 9, 3), (3, 3), 128, 112)],
)
def test_scratch_of_convolutions(shape, size, m55, m4):
    builder = Builder()
    x = builder.tensor("x", shape, scale=0.1)
    y = builder.conv_2d(x, weights(20, size[0] * size[1] * shape[3]), filter_size=size)
    persistent = 64 + 2 * 80
    assert memory(builder, x, y, "cortex-m55") == Memory(m55, persistent)
    for cpu in ("cortex-m0plus", "cortex-m4"):
        assert memory(builder, x, y, cpu) == Memory(m4, persistent)
        assert memory(builder, x, y, cpu, PORTABLE) == Memory(0, persistent)


@pytest.mark.parametrize(
    "size,dilation,m55,m4,m3",
    [((3, 3), (1, 1), 4464, 0, 0), ((5, 5), (1, 1), 12_400, 1600, 0), ((3, 3), (2, 2), 0, 0, 0)],
)
def test_scratch_of_depthwise_convolutions(size, dilation, m55, m4, m3):
    builder = Builder()
    x = builder.tensor("x", (1, 10, 9, 32), scale=0.1)
    y = builder.depthwise_conv_2d(x, weights(32, size[0] * size[1]), filter_size=size, dilation=dilation)
    found = [memory(builder, x, y, f"cortex-{core}") for core in ("m55", "m4", "m3")]
    assert found == [Memory(scratch, 64 + 2 * 128) for scratch in (m55, m4, m3)]


def test_scratch_of_a_convolution_of_one_row():
    """arm_convolve_1_x_n_s8 copies the first and the last patches only, with their padding."""
    builder = Builder()
    x = builder.tensor("x", (1, 1, 50, 8), scale=0.1)
    y = builder.conv_2d(x, weights(12, 40), filter_size=(1, 5))
    assert memory(builder, x, y, "cortex-m55").scratch == 56
    builder = Builder()
    x = builder.tensor("x", (1, 1, 50, 8), scale=0.1)
    y = builder.conv_2d(x, weights(12, 40), filter_size=(1, 5), padding=_VALID)
    assert memory(builder, x, y, "cortex-m55").scratch == 40


def test_row_sums_and_multipliers_of_fully_connected():
    builder = Builder()
    x = builder.tensor("x", (1, 40), scale=0.1)
    y = builder.fully_connected(x, weights(10, 40), (1, 10))
    assert memory(builder, x, y, "cortex-m55") == Memory(0, 48 + 48)
    assert memory(builder, x, y, "cortex-m4") == Memory(0, 48)
    builder = Builder()
    x = builder.tensor("x", (1, 3, 40), scale=0.1)
    y = builder.fully_connected(x, weights(10, 40), (1, 3, 10), keep_num_dims=True)
    # CMSIS-NN runs it as a 1x1 convolution, with a multiplier and a shift for each row in scratch.
    assert memory(builder, x, y, "cortex-m55") == Memory(80, 48)
    builder = Builder()
    x = builder.tensor("x", (1, 40), scale=0.1)
    y = builder.fully_connected(x, weights(10, 40), (1, 10), weight_scale=np.full(10, 0.1))
    assert memory(builder, x, y, "cortex-m4") == Memory(0, 48 + 2 * 48)


@pytest.mark.parametrize("cpu", cost.CPUS)
@pytest.mark.parametrize("kernels", KERNELS)
def test_operators_without_weights(cpu, kernels):
    builder = Builder()
    x = builder.tensor("x", (1, 6, 6, 40), scale=0.1)
    y = builder.tensor("y", (1, 3, 3, 40), scale=0.1)
    options = schema.Pool2DOptionsT(filterHeight=2, filterWidth=2, strideH=2, strideW=2)
    builder.operator(_OP.AVERAGE_POOL_2D, [x], [y], options)
    has_scratch = kernels == CMSIS_NN and cpu in ("cortex-m4", "cortex-m7", "cortex-m33")
    assert memory(builder, x, y, cpu, kernels) == Memory(160 if has_scratch else 0)
    builder = Builder()
    x = builder.tensor("x", (1, 6, 6, 40), scale=0.1)
    y = builder.tensor("y", (1, 40), scale=0.1)
    axes = builder.tensor("axes", (2,), np.int32, data=np.array([1, 2]))
    builder.operator(_OP.MEAN, [x, axes], [y], schema.ReducerOptionsT())
    assert memory(builder, x, y, cpu, kernels) == Memory(160)
