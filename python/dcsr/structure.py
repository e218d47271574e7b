"""Checks that every table, vector and string of a .tflite file lies within the file, before anything is unpacked.

The generated object API follows offsets without any check. Several offsets may lead to the same table, so that a file
of a few kilobytes can unpack to any size. `check` walks over all tables once, in bounds, and counts them: the expanded
size must be in proportion to the file.

The layout of the tables is taken from the generated classes: an accessor that is called on a stand-in for
flatbuffers.table.Table tells the number and the kind of its field.
"""

from __future__ import annotations

import functools
import re
import struct
from dataclasses import dataclass
from typing import Any

from dcsr.schema import enum_name, schema

# No file without shared tables reaches these limits: a table takes at least 8 bytes, with the offset that leads to it.
_BYTES_PER_TABLE = 8
_MAX_SHARING = 4  # how often each byte of the file may be referred to on average
_SLACK_TABLES = 256
_SLACK_BYTES = 1 << 16

# Enumerations of unions whose field has another name.
_UNIONS = {"Details": "QuantizationDetails", "ArraySegments": "SparseIndexVector", "ArrayIndices": "SparseIndexVector"}
_OFFSET_BYTES = 4
_NOT_FIELDS = ("AsNumpy", "Length", "IsNone")  # endings of the other accessors of a vector
_LABELS = {"BuiltinOptions": "options", "BuiltinOptions2": "further options", "Subgraphs": "subgraph"}


class Damage(ValueError):
    """A defect of a file; the text names the table and the defect."""


class NewerField(Exception):
    """A field or options that this schema does not know, and that would be lost; the text describes it."""


@dataclass(frozen=True)
class _Field:
    """A field of a table.

    Attributes:
      name: name of the accessor.
      kind: "scalar", "string", "table", "union", "numbers" (a vector), "tables" (a vector) or "strings" (a vector).
      width: bytes of a scalar or of a vector's element.
      table: generated class of the table or of the vector's tables.
    """

    name: str
    kind: str
    width: int = _OFFSET_BYTES
    table: type | None = None


class _Place:
    """The place of a table, for messages."""

    def __init__(self, parent: _Place | None, name: str, index: int | None = None) -> None:
        self._parent, self._name, self._index = parent, name, index

    def __str__(self) -> str:
        label = _LABELS.get(self._name) or re.sub(r"(?<=[a-z])(?=[A-Z])", " ", self._name).lower()
        own = label if self._index is None else f"{label.removesuffix('s')} {self._index}"
        above = self._parent and self._parent._parent
        return f"{self._parent}, {own}" if above else own


def check(data: bytes, *, refuse_newer: bool = True) -> None:
    """Checks a flatbuffer with the root table Model.

    Args:
      data: the flatbuffer, without anything behind it.
      refuse_newer: whether fields that the schema does not know are an error. If not, they are skipped.

    Raises:
      Damage: if a table, vector or string leaves the file, or if the tables expand to too much.
      NewerField: if the file has a field that the schema does not know.
    """
    _Walk(data, refuse_newer).run()


def in_proportion(size: int, expanded: int, tables: int) -> bool:
    """Returns whether `check` accepts a file of `size` bytes with so many bytes and tables, shared ones repeated."""
    return expanded <= _most_bytes(size) and tables <= _most_tables(size)


def _most_tables(size: int) -> int:
    return size // _BYTES_PER_TABLE + _SLACK_TABLES


def _most_bytes(size: int) -> int:
    return _MAX_SHARING * size + _SLACK_BYTES


class _Walk:
    """One walk over all tables of a file."""

    def __init__(self, data: bytes, refuse_newer: bool) -> None:
        self._data = data
        self._size = len(data)
        self._refuse_newer = refuse_newer
        self._tables = _most_tables(self._size)
        self._bytes = _most_bytes(self._size)
        self._pending: list[tuple[type, int, _Place]] = []

    def run(self) -> None:
        """Visits all tables."""
        if self._size < 8:
            raise Damage("it ends in its header")
        self._pending.append((schema.Model, self._offset_at(0, None), _Place(None, "model")))
        while self._pending:
            self._visit(*self._pending.pop())

    def _visit(self, kind: type, position: int, place: _Place) -> None:
        self._tables -= 1
        if self._tables < 0:
            raise Damage(f"{place}: the tables of the file are too many for its size")
        fields, known = _layout(kind)
        offsets, size = self._vtable(position, place)
        self._spend(size, place)
        present = {number: offset for number, offset in enumerate(offsets) if offset}
        for number, offset in present.items():
            field = fields.get(number)
            if field is None:
                if number >= known and self._refuse_newer:
                    raise NewerField(f"{place}: field {number} of {kind.__name__}")
                continue
            if offset < 4 or offset + (field.width if field.kind == "scalar" else _OFFSET_BYTES) > size:
                raise Damage(f"{place}: a field lies outside its table")
            if field.kind == "scalar":
                continue
            at = self._offset_at(position + offset, place)
            if field.kind == "table":
                assert field.table is not None
                self._pending.append((field.table, at, _Place(place, field.name)))
            elif field.kind == "union":
                self._union(kind, field, position, present, at, place)
            else:
                self._vector(field, at, place)

    def _vtable(self, position: int, place: _Place) -> tuple[tuple[int, ...], int]:
        """Returns (offset of each field in the table, 0 for absent ones; bytes of the table)."""
        self._require(position, 4, place)
        start = position - struct.unpack_from("<i", self._data, position)[0]
        self._require(start, 4, place)
        length, size = struct.unpack_from("<2H", self._data, start)
        if length < 4 or size < 4:
            raise Damage(f"{place}: a table has no fields")
        count = (length - 4) // 2
        self._require(start, 4 + 2 * count, place)
        self._require(position, size, place)
        return struct.unpack_from(f"<{count}H", self._data, start + 4), size

    def _union(self, kind: type, field: _Field, position: int, present: dict[int, int], at: int, place: _Place) -> None:
        """Adds the table of a union, whose type is another field."""
        numbers = {other.name: number for number, other in _layout(kind)[0].items()}
        offset = present.get(numbers[f"{field.name}Type"])
        code = 0 if offset is None else self._data[position + offset]
        if not code:
            return
        options = enum_name(getattr(schema, _UNIONS.get(field.name, field.name)), code)
        table = getattr(schema, options, None)
        if table is None:
            if self._refuse_newer:
                raise NewerField(f"{place}: its {_LABELS.get(field.name, field.name)}, which are of type {code},")
            return
        self._pending.append((table, at, _Place(place, field.name)))

    def _vector(self, field: _Field, at: int, place: _Place) -> None:
        where = _Place(place, field.name) if field.kind == "numbers" else place
        self._require(at, 4, where)
        (length,) = struct.unpack_from("<I", self._data, at)
        if field.kind == "string":
            self._string(at, length, place)
            return
        self._require(at + 4, length * field.width, where)
        self._spend(length * field.width, place)
        if field.kind == "numbers":
            return
        if length > self._tables:
            raise Damage(f"{place}: the tables of the file are too many for its size")
        for index in range(length):
            target = self._offset_at(at + 4 + 4 * index, place)
            if field.kind == "strings":
                self._require(target, 4, place)
                self._string(target, struct.unpack_from("<I", self._data, target)[0], place)
            else:
                assert field.table is not None
                self._pending.append((field.table, target, _Place(place, field.name, index)))

    def _string(self, at: int, length: int, place: _Place) -> None:
        self._require(at + 4, length + 1, place)
        self._spend(length, place)
        if self._data[at + 4 + length]:
            raise Damage(f"{place}: a string has no end")

    def _offset_at(self, position: int, place: _Place | None) -> int:
        self._require(position, 4, place)
        return position + int(struct.unpack_from("<I", self._data, position)[0])

    def _require(self, position: int, size: int, place: _Place | None) -> None:
        if position < 0 or position + size > self._size:
            raise Damage(f"{place}: leaves the file")

    def _spend(self, size: int, place: _Place) -> None:
        self._bytes -= size
        if self._bytes < 0:
            raise Damage(f"{place}: the tables of the file expand to too many bytes for its size")


class _Stand:
    """Stands in for flatbuffers.table.Table and records the calls of an accessor."""

    Pos = 0
    Bytes = bytes(8)

    def __init__(self) -> None:
        self.number = -1
        self.calls: list[str] = []
        self.width = 0

    def Offset(self, vtable_offset: int) -> int:  # noqa: N802 (flatbuffers' name, as all below)
        """Records the field's number; claims that the field is present."""
        self.number = (vtable_offset - 4) // 2
        return 4

    def Get(self, flags: Any, _position: int) -> int:  # noqa: N802
        """Records the width of a number."""
        self.calls.append("get")
        self.width = flags.bytewidth
        return 0

    def Vector(self, _position: int) -> int:  # noqa: N802
        """Records that the field is a vector."""
        self.calls.append("vector")
        return 0

    def Indirect(self, _position: int) -> int:  # noqa: N802
        """Records that the field holds offsets of tables."""
        self.calls.append("indirect")
        return 0

    def String(self, _position: int) -> bytes:  # noqa: N802
        """Records that the field is a string."""
        self.calls.append("string")
        return b""

    def Union(self, _table: Any, _position: int) -> None:  # noqa: N802
        """Records that the field is a union."""
        self.calls.append("union")


class _FieldCounter:
    """Counts the fields of a table: a generated `*Start` function passes the number to StartObject of its Builder."""

    fields = 0

    def StartObject(self, fields: int) -> None:  # noqa: N802 (Builder's name)
        """Stores the number of fields."""
        self.fields = fields


@functools.cache
def _layout(kind: type) -> tuple[dict[int, _Field], int]:
    """Returns ({number: field}, number of fields) of a generated class. Deprecated fields have no accessor."""
    fields = {}
    for name, accessor in vars(kind).items():
        if name.startswith(("_", "GetRootAs")) or isinstance(accessor, classmethod) or name == "Init":
            continue
        if any(name.endswith(end) and name.removesuffix(end) in vars(kind) for end in _NOT_FIELDS):
            continue
        table = kind()
        stand = table._tab = _Stand()
        found = accessor(table, 0) if accessor.__code__.co_argcount > 1 else accessor(table)
        vector = "vector" in stand.calls
        if "union" in stand.calls:
            field = _Field(name, "union")
        elif "indirect" in stand.calls:
            field = _Field(name, "tables" if vector else "table", table=type(found))
        elif "string" in stand.calls:
            field = _Field(name, "strings" if vector else "string")
        else:
            field = _Field(name, "numbers" if vector else "scalar", stand.width)
        fields[stand.number] = field
    counter = _FieldCounter()
    getattr(schema, f"{kind.__name__}Start")(counter)
    return fields, counter.fields
