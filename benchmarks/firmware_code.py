"""Measures code size in firmware: functions with all their callees. Reads ELF files for Arm."""

from __future__ import annotations

import bisect
import re
import struct
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

_HEADER = struct.Struct("<4sB27xI10x3H")  # magic, class, section headers: offset, size of one, number, names
_SECTION = struct.Struct("<10I")
_SYMBOL = struct.Struct("<3IBBH")
_TYPE_SYMBOLS = 2
_TYPE_NO_BITS = 8
_FLAG_WRITE = 1
_ENTRY = "Reset_Handler"
_OBJECT = 1
_FUNCTION = 2
_FILE = 4
_KIND_CONTENT = 1
_FLAG_LOADED = 2
_STRING_ALIGNMENT = 4
_STRING_CONTENT = re.compile(rb"[\t\n\r -~]+\0")

# Begins the names of strings in Code.names.
STRING = '"'


@dataclass(frozen=True)
class Function:
    """A function of the firmware.

    Attributes:
      name: one of its names.
      size: its size in bytes.
      calls: addresses of functions to which it branches, or whose address it uses, directly or in a constant table.
      uses: addresses of the constants whose address it uses, and of those to which these point.
    """

    name: str
    size: int
    calls: frozenset[int]
    uses: frozenset[int] = frozenset()


@dataclass(frozen=True)
class Code:
    """The functions of a firmware.

    Attributes:
      functions: {address: function}.
      addresses: {name: address of the function}.
      tables: {name of a data object: addresses of functions in it and in the objects to which it points}.
      constants: {address of a constant object or a string: its size}.
      names: {address of a function or constant: one of its names}. Strings have none: their text, after STRING.
    """

    functions: dict[int, Function]
    addresses: dict[str, int]
    tables: dict[str, frozenset[int]]
    constants: dict[int, int]
    names: dict[int, str]

    def reachable(self, names: Iterable[str]) -> list[Function]:
        """Returns the named functions, the functions in named tables, and all functions that these may call."""
        return [function for _, function in sorted(self._reachable(names).items())]

    def _reachable(self, names: Iterable[str]) -> dict[int, Function]:
        """Returns {address: function} of `reachable`. Static functions may have the same name."""
        todo: list[int] = []
        for name in names:
            todo.extend(self.tables[name] if name in self.tables else [self.addresses[name]])
        found: dict[int, Function] = {}
        while todo:
            address = todo.pop()
            # Nothing calls the first function of an image. Its address is a round number, like other constants.
            if address in self.functions and address not in found and self.functions[address].name != _ENTRY:
                found[address] = self.functions[address]
                todo.extend(found[address].calls)
        return found

    def pieces(self, names: Iterable[str]) -> dict[int, int]:
        """Returns {address: size} of the functions that `reachable` returns and of the constants that they use."""
        functions = self._reachable(names)
        found = {address: function.size for address, function in functions.items()}
        found |= {address: self.constants[address] for function in functions.values() for address in function.uses}
        return found

    def bytes_of(self, *names: str) -> int:
        """Returns the bytes of the functions that `reachable` returns, including constants within the code."""
        return sum(function.size for function in self.reachable(names))


def read(path: Path) -> Code:
    """Reads the functions of the 32-bit ELF file at `path`.

    Raises:
      ValueError: if it is not such a file.
    """
    data = path.read_bytes()
    magic, width, offset, entry_size, count, _ = _HEADER.unpack_from(data)
    if magic != b"\x7fELF" or width != 1:
        raise ValueError(f"{path}: not an ELF file of 32 bits")
    sections = [_SECTION.unpack_from(data, offset + i * entry_size) for i in range(count)]
    symbols = [symbol for section in sections if section[1] == _TYPE_SYMBOLS for symbol in _symbols(data, section)]
    # The symbols $t and $d mark the beginning of instructions and of constants.
    mapping = sorted((value, name[1] == "d") for name, value, *_ in symbols if name[:2] in ("$t", "$d"))
    names: dict[int, str] = {}
    contents: dict[int, bytes] = {}  # {address: code of the function}
    objects = _Objects()
    constants: dict[int, int] = {}
    object_names: dict[str, int] = {}
    addresses = {}
    for name, value, size, kind, index in symbols:
        if kind not in (_OBJECT, _FUNCTION) or size == 0 or index >= len(sections):
            continue
        _, section_kind, flags, start, position, *_ = sections[index]
        address = value & ~1 if kind == _FUNCTION else value
        content = data[position + address - start :][:size] if section_kind != _TYPE_NO_BITS else b""
        if kind == _OBJECT:
            objects.add(address, content)
            object_names[name] = address
            if not flags & _FLAG_WRITE:
                constants[address] = size
                names.setdefault(address, name)
        else:
            names.setdefault(address, name)
            contents[address] = content
            addresses[name] = address
    strings = _Strings(data, sections, {**objects.contents, **contents})
    functions = {}
    for address, content in contents.items():
        calls = set()
        uses: set[int] = set()
        for reference in _references(content, address, mapping):
            if reference & 1:
                calls.add(reference & ~1)
            found: set[int] = set()
            calls |= _functions_of_table(reference, objects, found)
            words = [word for of in found for word in _words(objects.contents[of])]
            for text in strings.among([reference, *words]):
                constants[text] = strings.size(text)
                names[text] = STRING + strings.text(text)
                found.add(text)
            uses |= found
        functions[address] = Function(
            names[address],
            len(content),
            frozenset(calls & contents.keys() - {address}),
            frozenset(uses & constants.keys()),
        )
    tables = {
        name: frozenset(_functions_of_table(address, objects) & contents.keys())
        for name, address in object_names.items()
    }
    return Code(functions, addresses, tables, constants, names)


def value(path: Path, symbol: str) -> int:
    """Returns the value of a symbol, such as __flash_size__ of toolchains/firmware/sections.ld, in an ELF file.

    Raises:
      KeyError: if there is no such symbol.
    """
    data = path.read_bytes()
    _, _, offset, entry_size, count, _ = _HEADER.unpack_from(data)
    for section in (_SECTION.unpack_from(data, offset + i * entry_size) for i in range(count)):
        for name, found, *_ in _symbols(data, section) if section[1] == _TYPE_SYMBOLS else ():
            if name == symbol:
                return found
    raise KeyError(symbol)


def source_files(path: Path) -> dict[int, str]:
    """Returns {address of a static function or object: the source file that defines it} of an ELF file."""
    data = path.read_bytes()
    _, _, offset, entry_size, count, _ = _HEADER.unpack_from(data)
    sections = [_SECTION.unpack_from(data, offset + i * entry_size) for i in range(count)]
    found = {}
    for section in sections:
        if section[1] != _TYPE_SYMBOLS:
            continue
        file = ""
        # Local symbols come first, those of a file after its name.
        for number, (name, value, _, kind, _) in enumerate(_symbols(data, section)):
            if number >= section[7]:
                break
            if kind == _FILE:
                file = name
            elif kind in (_OBJECT, _FUNCTION):
                found[value & ~1 if kind == _FUNCTION else value] = file
    return found


class _Objects:
    """The data objects of a firmware.

    Attributes:
      contents: {address: content}.
    """

    def __init__(self) -> None:
        self.contents: dict[int, bytes] = {}
        self._starts: list[int] = []

    def add(self, address: int, content: bytes) -> None:
        """Adds an object."""
        if address not in self.contents:
            bisect.insort(self._starts, address)
        self.contents[address] = content

    def at(self, reference: int) -> int | None:
        """Returns the address of the object to which, or into which, a reference points, such as to a virtual table."""
        before = bisect.bisect_right(self._starts, reference) - 1
        if before < 0:
            return None
        start = self._starts[before]
        # The constant 0 does not refer to the vector table at address 0.
        return start if start and reference < start + len(self.contents[start]) else None


def _functions_of_table(address: int, objects: _Objects, seen: set[int] | None = None) -> set[int]:
    """Returns the function addresses (odd words) in an object and in the objects to which it points.

    Adds these objects to `seen`, and does not follow those in it.
    """
    found: set[int] = set()
    seen = set() if seen is None else seen
    todo = [address]
    while todo:
        start = objects.at(todo.pop())
        if start is None or start in seen:
            continue
        seen.add(start)
        for word in _words(objects.contents[start]):
            if word & 1:
                found.add(word & ~1)
            else:
                todo.append(word)
    return found


def _words(content: bytes) -> Iterator[int]:
    return (word for (word,) in struct.iter_unpack("<I", content[: len(content) & ~3]))


class _Strings:
    """The strings of a firmware: what is printable, ends with 0 and has no symbol."""

    def __init__(self, data: bytes, sections: list[tuple[int, ...]], symbols: Mapping[int, bytes]) -> None:
        self._data = data
        self._sections = [
            section
            for section in sections
            if section[1] == _KIND_CONTENT and section[2] & _FLAG_LOADED and not section[2] & _FLAG_WRITE
        ]
        self._starts = sorted(symbols)
        self._symbols = symbols

    def among(self, addresses: Iterable[int]) -> set[int]:
        """Returns those of some addresses at which a string is."""
        return {address for address in addresses if self._content(address)}

    def text(self, address: int) -> str:
        """Returns the string at an address."""
        return self._content(address)[:-1].decode("ascii")

    def size(self, address: int) -> int:
        """Returns the bytes of the string at an address, with what aligns the next one."""
        return -(-len(self._content(address)) // _STRING_ALIGNMENT) * _STRING_ALIGNMENT

    def _content(self, address: int) -> bytes:
        before = bisect.bisect_right(self._starts, address) - 1
        if before >= 0 and address < self._starts[before] + len(self._symbols[self._starts[before]]):
            return b""
        for _, _, _, start, position, size, *_ in self._sections:
            if start <= address < start + size:
                begin = position + address - start
                found = _STRING_CONTENT.match(self._data, begin, position + size)
                return found[0] if found else b""
        return b""


def _symbols(data: bytes, section: tuple[int, ...]) -> Iterator[tuple[str, int, int, int, int]]:
    """Yields (name, value, size, type, section) of each entry of a symbol table."""
    strings = _SECTION.unpack_from(data, _HEADER.unpack_from(data)[2] + section[6] * _SECTION.size)[4]
    for position in range(section[4], section[4] + section[5], _SYMBOL.size):
        name, value, size, info, _, index = _SYMBOL.unpack_from(data, position)
        begin = strings + name
        yield data[begin : data.index(0, begin)].decode(), value, size, info & 0xF, index


def _references(code: bytes, address: int, mapping: list[tuple[int, bool]]) -> Iterator[int]:
    """Yields the targets of branches in `code`, and all values that may be addresses. Addresses of code are odd."""
    lower = [0] * 16  # lower half of each register, set by MOVW
    i = 0
    while i + 2 <= len(code):
        region = bisect.bisect_right(mapping, (address + i, True)) - 1
        if region >= 0 and mapping[region][1]:
            end = min(mapping[region + 1][0] - address, len(code)) if region + 1 < len(mapping) else len(code)
            words = code[i + -(address + i) % 4 : end]
            yield from (word for (word,) in struct.iter_unpack("<I", words[: len(words) & ~3]))
            i = end
            continue
        (first,) = struct.unpack_from("<H", code, i)
        if first >> 11 <= 0b11100:
            if first >> 11 == 0b11100:  # B
                yield address + i + 4 + 2 * _signed(first & 0x7FF, 11) | 1
            i += 2
            continue
        (second,) = struct.unpack_from("<H", code, i + 2)
        if first >> 11 == 0b11110 and second & 0x9000 == 0x9000:  # B.W, BL
            sign = first >> 10 & 1
            high = [1 ^ sign ^ (second >> bit & 1) for bit in (13, 11)]
            value = sign << 23 | high[0] << 22 | high[1] << 21 | (first & 0x3FF) << 11 | second & 0x7FF
            yield address + i + 4 + 2 * _signed(value, 24) | 1
        elif first & 0xFB70 == 0xF240 and second < 0x8000:  # MOVW, MOVT
            value = (first & 0xF) << 12 | (first >> 10 & 1) << 11 | (second >> 12 & 7) << 8 | second & 0xFF
            register = second >> 8 & 0xF
            if first & 0x80:
                yield value << 16 | lower[register]
            else:
                lower[register] = value
        i += 4


def _signed(value: int, bits: int) -> int:
    return value - (value >> (bits - 1) << bits)
