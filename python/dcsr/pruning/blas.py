"""Keeps numpy's matrix products on one thread.

Pruning makes many small products. OpenBLAS spreads each over all cores, and its threads wait for each other in a loop.
Where another program uses a core too, that takes up to six times as long as one thread.
"""

from __future__ import annotations

import contextlib
import ctypes
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import numpy as np

_PREFIXES = ("scipy_openblas_", "openblas_")
_SUFFIXES = ("64_", "")


@cache
def _library() -> tuple[ctypes.CDLL, str, str] | None:
    """Numpy's own OpenBLAS, with prefix and suffix of its functions; None if numpy uses another library."""
    for path in sorted(Path(np.__file__).parents[1].glob("numpy.libs/*openblas*")):
        library = ctypes.CDLL(str(path))
        for prefix in _PREFIXES:
            for suffix in _SUFFIXES:
                if hasattr(library, f"{prefix}set_num_threads{suffix}"):
                    return library, prefix, suffix
    return None


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """Runs the block with one thread for products, if numpy uses OpenBLAS; with another library nothing changes."""
    found = _library()
    if found is None:
        yield
        return
    library, prefix, suffix = found
    change = getattr(library, f"{prefix}set_num_threads{suffix}")
    before = int(getattr(library, f"{prefix}get_num_threads{suffix}")())
    change(1)
    try:
        yield
    finally:
        change(before)
