"""Checks a model before the interpreter loads it. The interpreter itself trusts every reference in the file.

Numbers of fields are those of TensorFlow Lite's schema.fbs. Values that only builtin ops use are not checked.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Sized

from dcsr import model as tflite
from dcsr.custom_ops import CUSTOM_CODES
from dcsr.schema import schema

MAX_SCALAR_BYTES = 8

_OFFLINE_PLAN = b"OfflineMemoryAllocation"
_OFFLINE_PLAN_HEADER_BYTES = 12
_WEIGHTED = {
    schema.BuiltinOperator.CONV_2D,
    schema.BuiltinOperator.DEPTHWISE_CONV_2D,
    schema.BuiltinOperator.FULLY_CONNECTED,
}
_CUSTOM_CODES = {code.encode() for code in CUSTOM_CODES.values()}

# Offset fields of the option tables that TFLM reads: offsets to vectors of 4-byte numbers, and to strings.
_OPTION_VECTORS = {
    "BucketizeOptions": [0],
    "ConcatEmbeddingsOptions": [1, 2],
    "FullyConnectedOptions": [5],
    "ReshapeOptions": [0],
    "SqueezeOptions": [0],
}
_OPTION_STRINGS = {"VarHandleOptions": [0, 1]}


def check_model(data: bytes) -> None:
    """Checks that `data` is a complete TFLite model that the interpreter can traverse within bounds.

    One exception: a scalar may extend up to 8 bytes beyond the end if its table claims to be smaller than
    its fields. Callers must append MAX_SCALAR_BYTES zeros.

    Raises:
      ValueError: if `data` is not a model, is truncated, or refers to something that it does not contain.
    """
    if data[4:8] != b"TFL3":
        raise ValueError("not a TFLite model (no TFL3 identifier)")
    # The size of a flatbuffer is a multiple of 4. An archive of files may be appended.
    data, _ = tflite.split_archive(data)
    if len(data) % 4 != 0:
        raise ValueError("truncated TFLite model (its size is not a multiple of 4)")
    try:
        _check_tables(data)
        # The wheel does the same, but does not catch exceptions.
        schema.ModelT.InitFromObj(schema.Model.GetRootAs(data, 0))
    except _Damage as damage:
        raise ValueError(f"truncated or damaged TFLite model ({damage})") from None
    except Exception as error:
        raise ValueError(f"damaged TFLite model ({error})") from error


class _Damage(Exception):
    """A defect of a model; the text describes it."""


class _Table:
    """A flatbuffer table. Every access is checked against the bounds of the file."""

    def __init__(self, data: bytes, position: int, name: str) -> None:
        self.name = name
        self._data = data
        self._position = position
        self._vtable = position - self._read("<i", position)
        self._fields = (self._read("<H", self._vtable) - 4) // 2
        size = self._read("<H", self._vtable + 2)
        self._require_range(self._vtable, 4 + 2 * self._fields)
        self._require_range(position, size)
        if self._fields < 0 or any(self._offset(field) >= size for field in range(self._fields)):
            raise _Damage(f"{name}: a field lies outside its table")

    def scalar(self, field: int, layout: str = "<I", default: int = 0) -> int:
        """Reads a number with the struct format `layout`; returns `default` if the field is absent."""
        offset = self._offset(field)
        return self._read(layout, self._position + offset) if offset else default

    def vector(self, field: int, element_bytes: int) -> bytes:
        """Reads the bytes of a vector of numbers; empty if the field is absent."""
        found = self._find_vector(field, element_bytes)
        return b"" if found is None else self._data[found[0] : found[0] + found[1] * element_bytes]

    def integers(self, field: int) -> tuple[int, ...]:
        """Reads a vector of int32."""
        content = self.vector(field, 4)
        return struct.unpack(f"<{len(content) // 4}i", content)

    def has(self, field: int) -> bool:
        """Whether the field is present."""
        return self._offset(field) != 0

    def string(self, field: int) -> bytes:
        """Reads a string and checks that a zero byte follows it."""
        found = self._find_vector(field, 1)
        if found is None:
            return b""
        start, length = found
        if self._read("<B", start + length) != 0:
            raise _Damage(f"{self.name}: a string has no end")
        return self._data[start : start + length]

    def table(self, field: int, name: str) -> _Table | None:
        """Reads a table; None if the field is absent."""
        offset = self._offset(field)
        return self._follow(self._position + offset, name) if offset else None

    def tables(self, field: int, name: str, *, required: bool = False) -> list[_Table]:
        """Reads a vector of tables; empty if the field is absent and not required."""
        found = self._find_vector(field, 4)
        if found is None:
            if required:
                raise _Damage(f"{self.name}: has no {name}s")
            return []
        start, length = found
        return [self._follow(start + 4 * i, f"{name} {i}") for i in range(length)]

    def _offset(self, field: int) -> int:
        """Offset of a field within the table, 0 if the field is absent."""
        return self._read("<H", self._vtable + 4 + 2 * field) if field < self._fields else 0

    def _follow(self, position: int, name: str) -> _Table:
        return _Table(self._data, position + self._read("<I", position), name)

    def _find_vector(self, field: int, element_bytes: int) -> tuple[int, int] | None:
        """Returns (position, length) of a vector's elements; None if the field is absent."""
        offset = self._offset(field)
        if not offset:
            return None
        position = self._position + offset
        position += self._read("<I", position)
        length = self._read("<I", position)
        self._require_range(position + 4, length * element_bytes)
        return position + 4, length

    def _read(self, layout: str, position: int) -> int:
        self._require_range(position, struct.calcsize(layout))
        return int(struct.unpack_from(layout, self._data, position)[0])

    def _require_range(self, position: int, size: int) -> None:
        if position < 0 or position + size > len(self._data):
            raise _Damage(f"{self.name}: leaves the file")


def _check_tables(data: bytes) -> None:
    if len(data) < 8:
        raise _Damage("it ends in its header")
    model = _Table(data, int.from_bytes(data[:4], "little"), "model")
    model.string(3)
    model.vector(5, 4)
    codes = model.tables(1, "operator code", required=True)
    buffers = model.tables(4, "buffer", required=True)
    sizes = [len(buffer.vector(0, 1)) for buffer in buffers]
    for code in codes:
        code.string(1)
    for entry in model.tables(6, "metadata"):
        _require_index(entry, "buffer", entry.scalar(1), sizes)
        if entry.string(0) == _OFFLINE_PLAN and sizes[entry.scalar(1)] < _OFFLINE_PLAN_HEADER_BYTES:
            raise _Damage(f"{entry.name}: is no plan of the arena")
    subgraphs = model.tables(2, "subgraph", required=True)
    if not subgraphs:
        raise _Damage("model: has no subgraphs")
    for subgraph in subgraphs:
        _check_subgraph(subgraph, codes, sizes)


def _check_subgraph(subgraph: _Table, codes: list[_Table], buffer_sizes: list[int]) -> None:
    subgraph.string(4)
    tensors = subgraph.tables(0, "tensor", required=True)
    for tensor in tensors:
        _check_tensor(tensor, buffer_sizes)
    for field, name in ((1, "inputs"), (2, "outputs")):
        if not subgraph.has(field):
            raise _Damage(f"{subgraph.name}: has no {name}")
        for index in subgraph.integers(field):
            _require_index(subgraph, "tensor", index, tensors)
    for operator in subgraph.tables(3, "operator"):
        _check_operator(operator, codes, tensors, buffer_sizes)


def _check_tensor(tensor: _Table, buffer_sizes: list[int]) -> None:
    tensor.string(3)
    if any(dimension < 0 for dimension in tensor.integers(0)):
        raise _Damage(f"{tensor.name}: has a negative dimension")
    tensor.vector(7, 4)
    _require_index(tensor, "buffer", tensor.scalar(2), buffer_sizes)
    quantization = tensor.table(4, "quantization")
    if quantization is not None:
        for field, element_bytes in ((0, 4), (1, 4), (2, 4), (3, 8)):
            quantization.vector(field, element_bytes)


def _check_operator(operator: _Table, codes: list[_Table], tensors: list[_Table], buffer_sizes: list[int]) -> None:
    operator.vector(5, 1)
    operator.vector(7, 1)
    code_index = operator.scalar(0)
    _require_index(operator, "operator code", code_index, codes)
    if not operator.has(1) or not operator.has(2):
        raise _Damage(f"{operator.name}: has no inputs or no outputs")
    if _builtin_code(codes[code_index]) in _WEIGHTED and len(operator.integers(1)) > 1:
        weights = operator.integers(1)[1]
        if 0 <= weights < len(tensors) and 0 in tensors[weights].integers(0):
            raise _Damage(f"{operator.name}: has weights without elements")
    for field in (1, 2, 8):
        for index in operator.integers(field):
            if index != -1:  # an omitted optional tensor
                _require_index(operator, "tensor", index, tensors)
    kind = operator.scalar(3, "<B")
    options = operator.table(4, "options")
    if options is not None:
        name = next((n for n, k in vars(schema.BuiltinOptions).items() if k == kind), "")
        for field in _OPTION_VECTORS.get(name, ()):
            options.vector(field, 4)
        for field in _OPTION_STRINGS.get(name, ()):
            options.string(field)
    operator.table(12, "further options")

    if codes[code_index].string(1) in _CUSTOM_CODES:
        _check_constants(operator, tensors, buffer_sizes)


def _builtin_code(code: _Table) -> int:
    return max(code.scalar(0, "<b"), code.scalar(3, "<i"))


def _check_constants(operator: _Table, tensors: list[_Table], buffer_sizes: list[int]) -> None:
    """Checks that the constants of dCSR's ops fit their buffers. The ops see shapes, but no buffer sizes."""
    for index in operator.integers(1):
        if index == -1:
            continue
        tensor = tensors[index]
        available = buffer_sizes[tensor.scalar(2)]
        element_bytes = 2 if tensor.scalar(1, "<b") == schema.TensorType.INT16 else 1
        if 0 < available < element_bytes * math.prod(tensor.integers(0)):
            raise _Damage(f"{operator.name}: {tensor.name} is larger than its buffer")


def _require_index(table: _Table, what: str, index: int, things: Sized) -> None:
    if not 0 <= index < len(things):
        raise _Damage(f"{table.name}: there is no {what} {index}")
