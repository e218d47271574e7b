"""A flatbuffer builder that stores equal vectors, strings and tables once.

A flatbuffer refers to its parts by offsets, so several tables may refer to one part. Readers see no difference. The
builder of the library shares only tables' layouts (vtables).
"""

from __future__ import annotations

from typing import Any

import flatbuffers

_Key = tuple[Any, ...]


class SharingBuilder(flatbuffers.Builder):  # type: ignore[misc]
    """Shares strings, vectors of numbers, and tables whose fields have equal types and values.

    Vectors of offsets (of tables or strings) are not shared: equal bytes at two places refer to different parts.

    Attributes:
      tables: number of tables written, each as often as it was written.
      spared_bytes: bytes that were not written again.
    """

    def __init__(self, initial_size: int) -> None:
        super().__init__(initial_size)
        self.tables = 0
        self.spared_bytes = 0
        self._known: dict[_Key, int] = {}  # {content: offset}
        self._fields: list[_Key] = []  # of the table that is being written
        self._has_offsets = False  # whether the vector that is being written has offsets
        self._begin = 0  # offset before the vector or table that is being written
        self._layout: _Key = ()  # of the vector that is being written

    def StartVector(self, elemSize: int, numElems: int, alignment: int) -> int:  # noqa: N802, N803 (library's names)
        """Begins a vector."""
        self._begin = self.Offset()
        self._has_offsets = False
        self._layout = (elemSize, numElems, alignment)
        return int(super().StartVector(elemSize, numElems, alignment))

    def EndVector(self) -> int:  # noqa: N802
        """Ends a vector and returns its offset, or that of an equal one."""
        size = self._layout[0] * self._layout[1]
        content = bytes(self.Bytes[self.head : self.head + size])
        offset = int(super().EndVector())
        return offset if self._has_offsets else self._shared(("vector", *self._layout, content), offset)

    def CreateString(self, s: str | bytes, encoding: str = "utf-8", errors: str = "strict") -> int:  # noqa: N802
        """Writes a string and returns its offset, or that of an equal one."""
        content = s.encode(encoding, errors) if isinstance(s, str) else bytes(s)
        self._begin = self.Offset()
        self._has_offsets = True  # the library ends a string as it ends a vector; it is shared below
        self._layout = (1, 0, 1)
        return self._shared(("string", content), int(super().CreateString(content)))

    def PrependUOffsetTRelative(self, off: int) -> None:  # noqa: N802
        """Writes an offset."""
        self._has_offsets = True
        super().PrependUOffsetTRelative(off)

    def StartObject(self, numfields: int) -> None:  # noqa: N802
        """Begins a table."""
        self._begin = self.Offset()
        self._fields = []
        self.tables += 1
        super().StartObject(numfields)

    def PrependSlot(self, flags: Any, o: int, x: Any, d: Any) -> None:  # noqa: N802
        """Writes the number `x` as field `o`, unless it is the default `d`."""
        if x != d:
            self._fields.append((o, flags.__name__, repr(x)))  # 0.0 equals -0.0
        super().PrependSlot(flags, o, x, d)

    def PrependUOffsetTRelativeSlot(self, o: int, x: int, d: int) -> None:  # noqa: N802
        """Writes the offset `x` as field `o`, unless it is the default `d`."""
        if x != d:
            self._fields.append((o, "offset", x))
        super().PrependUOffsetTRelativeSlot(o, x, d)

    def PrependStructSlot(self, v: int, x: int, d: int) -> None:  # noqa: N802
        """Writes the struct at offset `x` as field `v`. Its table is not shared."""
        self._fields.append((v, "struct", x))  # an offset that no other table has
        super().PrependStructSlot(v, x, d)

    def EndObject(self) -> int:  # noqa: N802
        """Ends a table and returns its offset, or that of an equal one."""
        key = ("table", *self._fields)
        known = self._known.get(key)
        if known is None:
            offset = self._known[key] = int(super().EndObject())
            return offset
        # Checked before the library ends the table: it may write a layout, and would refer to it later.
        self.assertNested()
        self.nested = False
        self.current_vtable = None
        self._take_back()
        return known

    def _shared(self, key: _Key, offset: int) -> int:
        """Returns the offset of the part with this content. If one is known, takes back the last, at `offset`."""
        known = self._known.setdefault(key, offset)
        if known != offset:
            self._take_back()
        return known

    def _take_back(self) -> None:
        self.spared_bytes += self.Offset() - self._begin
        self.head = len(self.Bytes) - self._begin
