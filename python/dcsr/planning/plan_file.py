"""Reads and writes plan files: the encoding and scratch of single layers, in YAML (docs/compressing.md#plans)."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from dcsr import encodings, packing
from dcsr import model as tflite
from dcsr.errors import ModelError
from dcsr.files import read_bytes
from dcsr.layers import Layer
from dcsr.planning import cost
from dcsr.planning.choice import Decision
from dcsr.planning.settings import AUTO, NONE, Override, methods, place
from dcsr.schema import schema

_PLAN_VERSION = 1
_MAX_PLAN_BYTES = 1 << 18  # thousands of entries
_MAX_QUOTED = 200
_ENTRY_KEYS = {"tensor", "subgraph", "method", "scratch", "rows", "slow_gathers", "layout", "transposed"}
_ROW_FORMS = ("plain", "compact", "shared")


def read_plan(
    path: str | os.PathLike[str], model: schema.ModelT, layers: Sequence[Layer], model_name: str
) -> dict[tuple[int, int], Override]:
    """Reads a plan file.

    Args:
      path: path of the file.
      model: the model of the plan.
      layers: the layers of the model.
      model_name: name of the model in error messages.

    Returns:
      {place(layer): override} for each entry.

    Raises:
      ModelError: if the file cannot be read or is not a plan, or if an entry does not fit the model.
    """
    overrides: dict[tuple[int, int], Override] = {}
    for number, entry in enumerate(entries(path), start=1):
        where = f"{path}: entry {number} of 'tensors'"
        override = _override(entry, where)
        layer = find_layer(entry, model, layers, where, model_name)
        if layer.obstacle and override.method not in (NONE, AUTO):
            raise ModelError(f"{where}: '{layer.name}' cannot be packed: {layer.obstacle}")
        if place(layer) in overrides:
            raise ModelError(f"{where}: '{layer.name}' has an entry already")
        overrides[place(layer)] = override
    return overrides


def entries(path: str | os.PathLike[str]) -> list[Any]:
    """The list 'tensors' of a plan file.

    Raises:
      ModelError: if the file is no plan.
    """
    content = _read_yaml(path)
    if not isinstance(content, dict) or content.get("version") != _PLAN_VERSION:
        raise ModelError(f"{path}: not a plan: expected 'version: {_PLAN_VERSION}' and a list 'tensors'")
    found = content.get("tensors") or []
    if unknown := set(map(str, content)) - {"version", "tensors"}:
        raise ModelError(f"{path}: unknown key '{_quoted(sorted(unknown)[0])}'; a plan has 'version' and 'tensors'")
    if not isinstance(found, list):
        raise ModelError(f"{path}: 'tensors' is not a list")
    return found


def _read_yaml(path: str | os.PathLike[str]) -> Any:
    """Reads a YAML file without aliases, which make a small file as large as one likes.

    Raises:
      ModelError: if the file cannot be read, is too large, or is not YAML.
    """
    import yaml

    class Loader(yaml.SafeLoader):  # type: ignore[misc]
        """Refuses aliases."""

        def compose_node(self, parent: Any, index: Any) -> Any:
            """Composes a node, which must not be an alias."""
            if self.check_event(yaml.events.AliasEvent):
                raise yaml.YAMLError("it has an alias, which a plan does not need")
            return super().compose_node(parent, index)

    try:
        text = read_bytes(path, _MAX_PLAN_BYTES).decode()
        return yaml.load(text, Loader)  # noqa: S506 (a SafeLoader)
    except (yaml.YAMLError, ValueError, TypeError, AttributeError, LookupError, RecursionError) as error:
        # The constructors of YAML's types raise whatever the Python type raises.
        raise ModelError(f"{path}: not YAML ({_quoted(str(error))})") from error


def _quoted(text: str) -> str:
    """Returns at most 200 characters of `text`."""
    return text if len(text) <= _MAX_QUOTED else text[:_MAX_QUOTED] + "..."


def _override(entry: Any, where: str) -> Override:
    if not isinstance(entry, dict) or "tensor" not in entry:
        raise ModelError(f"{where}: expected 'tensor: NAME or INDEX' with 'method', 'scratch' or both")
    if unknown := set(map(str, entry)) - _ENTRY_KEYS:
        key = _quoted(sorted(unknown)[0])
        raise ModelError(f"{where}: unknown key '{key}'; known are {', '.join(sorted(_ENTRY_KEYS))}")
    method, scratch = entry.get("method", AUTO), entry.get("scratch")
    if method is None:  # YAML's null
        method = NONE
    known = (*methods(), *encodings.DENSE_METHODS)
    if str(method) not in known:
        raise ModelError(f"{where}: unknown method '{_quoted(str(method))}'; known are {', '.join(known)}")
    if scratch is not None and (type(scratch) is not int or not 0 <= scratch < 1 << 32):
        raise ModelError(f"{where}: scratch is a number of bytes, not {_quoted(repr(scratch))}")
    rows = entry.get("rows")
    if rows is not None and rows not in _ROW_FORMS:
        raise ModelError(f"{where}: rows are plain, compact or shared, not {_quoted(repr(rows))}")
    slow_gathers = entry.get("slow_gathers")
    if slow_gathers is not None and type(slow_gathers) is not bool:
        raise ModelError(f"{where}: slow_gathers is true or false, not {_quoted(repr(slow_gathers))}")
    layout, is_transposed = entry.get("layout"), entry.get("transposed", False)
    if layout is not None and layout not in packing.LAYOUTS:
        raise ModelError(f"{where}: a layout is one of {', '.join(packing.LAYOUTS)}, not {_quoted(repr(layout))}")
    if type(is_transposed) is not bool:
        raise ModelError(f"{where}: transposed is true or false, not {_quoted(repr(is_transposed))}")
    if is_transposed and layout in (None, "nhwc"):
        raise ModelError(f"{where}: transposed is for a layout with planes")
    if method == NONE and layout not in (None, "nhwc"):
        raise ModelError(f"{where}: a layer that is not packed has no planes")
    return Override(str(method), scratch, rows, slow_gathers, layout, is_transposed)


def find_layer(
    entry: dict[str, Any], model: schema.ModelT, layers: Sequence[Layer], where: str, model_name: str
) -> Layer:
    """Returns the layer whose weights an entry names."""
    wanted, subgraph = entry["tensor"], entry.get("subgraph")
    if type(wanted) not in (int, str):
        raise ModelError(f"{where}: 'tensor' is a name or an index, not {_quoted(repr(wanted))}")
    if subgraph is not None and type(subgraph) is not int:
        raise ModelError(f"{where}: 'subgraph' is an index, not {_quoted(repr(subgraph))}")

    def matches(layer: Layer) -> bool:
        s, index = place(layer)
        if subgraph is not None and s != subgraph:
            return False
        if type(wanted) is int:
            return index == wanted and (subgraph is not None or s == 0)
        return wanted in (layer.name, tflite.text(model.subgraphs[s].tensors[index].name))

    shown = _quoted(repr(wanted))
    # One entry is for all operators that share a weight tensor.
    found = {place(layer): layer for layer in layers if matches(layer)}
    if not found:
        known = ", ".join(f"{place(layer)[1]} '{layer.name}'" for layer in layers[:4])
        more = ", ..." if len(layers) > 4 else ""
        raise ModelError(
            f"{where}: {model_name} has no layer whose weights are tensor {shown}; it has {known or 'none'}{more}"
            " (compress --dump-plan lists all)"
        )
    if len(found) > 1:
        indices = ", ".join(f"{s}: {index}" for s, index in sorted(found))
        raise ModelError(f"{where}: tensor {shown} is the name of several (subgraph: index {indices}); give the index")
    return next(iter(found.values()))


def plan_text(decisions: Sequence[Decision], title: str) -> str:
    """Returns the text of a plan file that reproduces the decisions.

    Args:
      decisions: one for each layer.
      title: text of the comment in the first line.
    """
    lines = [f"# {_printable(title)}", f"version: {_PLAN_VERSION}", "tensors:"]
    seen = set()
    for decision in decisions:
        layer, packed = decision.layer, decision.packed
        s, index = place(layer)
        if layer.matrix is None or layer.obstacle or (s, index) in seen:
            continue
        seen.add((s, index))
        lines.append(f"  - tensor: {index}  # {_printable(layer.name)}")
        if s:
            lines.append(f"    subgraph: {s}")
        lines.append(f"    method: {cost.coding(packed.streams) if packed else NONE}")
        if packed:
            lines.append(f"    rows: {packed.row_form}")
        if packed and packed.scratch_budget:
            lines.append(f"    scratch: {packed.scratch_budget}")
        if packed and packed.slow_gathers:
            lines.append("    slow_gathers: true")
        if packed:
            lines.append(f"    layout: {packed.layout}")
        if packed and packed.planes and packed.planes.is_transposed:
            lines.append("    transposed: true")
    if not seen:
        lines[-1] = "tensors: []"
    return "\n".join(lines) + "\n"


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() else "?" for c in text)
