"""Compares models field by field."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import numpy as np

from dcsr import layers
from dcsr.planning.choice import Decision
from dcsr.schema import schema


def without_ranges(model: schema.ModelT, decisions: Sequence[Decision]) -> schema.ModelT:
    """Copies a model without min and max of replaced tensors, which decompress does not restore."""
    model = copy.deepcopy(model)
    for decision in decisions:
        if decision.packed:
            operator, tensors = decision.layer.operator, model.subgraphs[decision.layer.subgraph].tensors
            for index in {int(operator.inputs[1]), layers.bias_index(operator)} - {-1}:
                if tensors[index].quantization is not None:
                    tensors[index].quantization.min = tensors[index].quantization.max = None
    return model


def assert_same(a: object, b: object, where: str = "model") -> None:
    """Asserts that two objects of the schema's object API are equal. The message gives the first difference."""
    if isinstance(a, np.ndarray) or isinstance(b, np.ndarray):
        assert isinstance(a, np.ndarray) and isinstance(b, np.ndarray), where
        assert a.dtype == b.dtype and np.array_equal(a, b), f"{where}: {a} became {b}"
    elif isinstance(a, list):
        assert isinstance(b, list) and len(a) == len(b), where
        for i, (x, y) in enumerate(zip(a, b, strict=True)):
            assert_same(x, y, f"{where}[{i}]")
    elif hasattr(schema, type(a).__name__):
        assert type(a) is type(b), f"{where}: {type(a)} became {type(b)}"
        for name, value in vars(a).items():
            assert_same(value, getattr(b, name), f"{where}.{name}")
    else:
        assert a == b, f"{where}: {a!r} became {b!r}"
