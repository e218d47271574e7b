"""Reads from 64-bit little-endian ELF libraries (x86-64, AArch64) which versions of the C library they need."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from pathlib import Path

# Libraries of the C library itself. Every Linux distribution with glibc has them.
_GLIBC = {"libc.so.6", "libm.so.6", "libpthread.so.0", "libdl.so.2", "librt.so.1", "ld-linux-x86-64.so.2"}

_SECTION_HEADER = struct.Struct(
    "<2I4Q2I2Q"
)  # name, type, flags, address, offset, size, link, info, alignment, entry size
_DYNAMIC, _VERSION_NEEDS = 6, 0x6FFFFFFE  # types of sections
_NEEDED = 1  # tag of an entry of a dynamic section


class LibraryError(Exception):
    """A library that does not run on every Linux distribution."""


def _sections(data: bytes) -> list[tuple[int, ...]]:
    """Returns the section headers."""
    if data[:6] != b"\x7fELF\2\1":
        raise LibraryError("it is no 64-bit little-endian ELF file")
    (offset,) = struct.unpack_from("<Q", data, 0x28)
    size, count = struct.unpack_from("<2H", data, 0x3A)
    return [_SECTION_HEADER.unpack_from(data, offset + i * size) for i in range(count)]


def _string(data: bytes, strings: tuple[int, ...], position: int) -> str:
    start = strings[4] + position
    return data[start : data.index(b"\0", start)].decode()


def needed(data: bytes) -> tuple[set[str], set[str]]:
    """Returns the libraries that a library is linked with, and the versions of symbols that it needs of them.

    Args:
      data: content of the file.

    Returns:
      ({"libc.so.6"}, {"GLIBC_2.2.5", "GLIBC_2.34"}), for example.

    Raises:
      LibraryError: if `data` is no 64-bit little-endian ELF file.
    """
    sections = _sections(data)
    libraries, versions = set(), set()
    for section in sections:
        strings = sections[section[6]]
        if section[1] == _DYNAMIC:
            for offset in range(section[4], section[4] + section[5], 16):
                tag, value = struct.unpack_from("<2Q", data, offset)
                if tag == _NEEDED:
                    libraries.add(_string(data, strings, value))
        elif section[1] == _VERSION_NEEDS:
            record = section[4]
            for _ in range(section[7]):
                _, count, _, first, following = struct.unpack_from("<2H3I", data, record)
                entry = record + first
                for _ in range(count):
                    _, _, _, name, next_entry = struct.unpack_from("<I2H2I", data, entry)
                    versions.add(_string(data, strings, name))
                    entry += next_entry
                record += following
    return libraries, versions


def glibc_minor(libraries: Iterable[Path]) -> int:
    """Returns N of the oldest glibc 2.N that all libraries can be loaded with.

    Raises:
      LibraryError: if a library needs another library than glibc, or is no ELF file.
    """
    newest = 17  # of manylinux2014. Older systems have no supported Python.
    for path in libraries:
        try:
            linked, versions = needed(path.read_bytes())
        except LibraryError as error:
            raise LibraryError(f"{path.name}: {error}") from error
        for version in versions:
            name, _, number = version.partition("_")
            if name != "GLIBC":
                raise LibraryError(f"{path.name}: needs {version}, which is not of glibc")
            newest = max(newest, int(number.split(".")[1]))
        if others := linked - _GLIBC:
            raise LibraryError(f"{path.name}: is linked with {', '.join(sorted(others))}")
    return newest
