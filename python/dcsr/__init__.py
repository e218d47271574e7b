"""dCSR for TensorFlow Lite Micro: sparse int8 layers as custom operators with compressed weights.

    import dcsr

    result = dcsr.compress("model.tflite", objective="size")
    print(result)

docs/python.md describes everything that is listed in `__all__`. Each name is imported when it is first used, so that
`import dcsr` is quick and does not need the interpreter.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dcsr.api import Inspection, Pruning, Result, Verification, compress, decompress, inspect, prune, strip, verify
    from dcsr.encodings import Streams, decode, encode
    from dcsr.model import ModelError
    from dcsr.report import Row, Totals
    from dcsr.runtime import Interpreter

__version__ = "0.1.0"

__all__ = [
    "Inspection",
    "Interpreter",
    "ModelError",
    "Pruning",
    "Result",
    "Row",
    "Streams",
    "Totals",
    "Verification",
    "__version__",
    "compress",
    "decode",
    "decompress",
    "encode",
    "inspect",
    "prune",
    "strip",
    "verify",
]

_MODULES = {
    "Inspection": "dcsr.api",
    "Interpreter": "dcsr.runtime",
    "ModelError": "dcsr.model",
    "Pruning": "dcsr.api",
    "Result": "dcsr.api",
    "Row": "dcsr.report",
    "Streams": "dcsr.encodings",
    "Totals": "dcsr.report",
    "Verification": "dcsr.api",
    "compress": "dcsr.api",
    "decode": "dcsr.encodings",
    "decompress": "dcsr.api",
    "encode": "dcsr.encodings",
    "inspect": "dcsr.api",
    "prune": "dcsr.api",
    "strip": "dcsr.api",
    "verify": "dcsr.api",
}

if not TYPE_CHECKING:

    def __getattr__(name: str) -> object:
        if name not in _MODULES:
            raise AttributeError(f"module 'dcsr' has no attribute '{name}'")
        import importlib

        value = getattr(importlib.import_module(_MODULES[name]), name)
        globals()[name] = value
        return value

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})
