"""Tests that the includes of tflm_kernels follow the table of rooms in tflm_kernels/README.md."""

from __future__ import annotations

import re
from pathlib import Path

KERNELS = Path.cwd() / "tflm_kernels"
PUBLIC = {"kernels.h", "packed_layer.h"}
_INCLUDE = re.compile(r'^#include "([^"]+)"', re.MULTILINE)
_ROW = re.compile(r"^\| \[(\w+)/\]\(\w+/README\.md\) \| [^|]+ \| ([^|]+) \|$", re.MULTILINE)


def allowed_rooms() -> dict[str, set[str]]:
    """Returns {room: rooms that it may include}, from the README."""
    rows = _ROW.findall((KERNELS / "README.md").read_text())
    rooms = [name for name, _ in rows]
    allowed = {}
    for position, (name, text) in enumerate(rows):
        if text == "every room":
            allowed[name] = set(rooms)
        elif text == "all of the above":
            allowed[name] = set(rooms[:position])
        else:
            allowed[name] = {word for word in text.split(", ") if word in rooms}
        allowed[name].add(name)
    return allowed


def test_the_table_lists_every_room():
    assert set(allowed_rooms()) == {path.name for path in KERNELS.iterdir() if path.is_dir()}


def test_includes_follow_the_table():
    allowed = allowed_rooms()
    against = []
    checked = 0
    for path in sorted(KERNELS.glob("*/*.[ch]")):
        room = path.parent.name
        for include in _INCLUDE.findall(path.read_text()):
            top, *rest = include.split("/")
            if top != "tflm_kernels":
                continue
            checked += 1
            is_public = len(rest) == 1 and rest[0] in PUBLIC
            if not is_public and (len(rest) != 2 or rest[0] not in allowed[room]):
                against.append(f"{room}/{path.name}: {include}")
    assert checked > 100
    assert not against


def test_public_headers_include_no_room():
    for name in PUBLIC:
        includes = _INCLUDE.findall((KERNELS / name).read_text())
        assert all(include.removeprefix("tflm_kernels/") in PUBLIC for include in includes), name
