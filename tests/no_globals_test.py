"""Tests that the ops and kernels have no mutable globals, as docs/embedding.md promises for threads."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

# Contains all ops and all kernels of the host.
PLUGIN = Path("ops/_dcsr_ops_wheel.so")

# Symbols that the C library's start-up code adds to every shared library.
START_UP = {"__TMC_END__", "__dso_handle", "_edata", "__bss_start", "_end", "completed.0", "__data_start", "data_start"}

# objdump --syms: address, flags, section, size, name.
SYMBOL = re.compile(r"^[0-9a-f]+ .{7} (?P<section>\S+)\s+[0-9a-f]+\s+(?:\.hidden )?(?P<name>\S+)$", re.MULTILINE)


def mutable_globals(binary: Path) -> set[str]:
    """Returns the names of variables in sections that are writable at run time."""
    text = subprocess.run(["objdump", "--syms", binary], check=True, stdout=subprocess.PIPE, text=True).stdout
    found = list(SYMBOL.finditer(text))
    assert any(match["section"] == ".text" for match in found), "the symbols are stripped"
    sections = (".data", ".bss", ".tdata", ".tbss")
    return {match["name"] for match in found if match["section"] in sections} - START_UP - set(sections)


def test_plugin_has_none():
    assert mutable_globals(PLUGIN) == set()


def test_one_would_be_found(tmp_path):
    source = tmp_path / "variable.c"
    source.write_text("int counter; static int calls = 1; int f(void) { return calls++ + counter; }")
    library = tmp_path / "variable.so"
    subprocess.run(["gcc", "-O2", "-shared", "-fPIC", source, "-o", library], check=True)
    assert mutable_globals(library) == {"counter", "calls"}
