"""The figures of each layer, and the table that shows them. docs/compressing.md explains the columns."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import IO, Literal

import numpy as np

from dcsr import metrics
from dcsr import model as tflite
from dcsr.layers import Layer
from dcsr.planning import cost, workload
from dcsr.planning.candidates import Candidate
from dcsr.planning.choice import Decision
from dcsr.schema import schema

_NAME_WIDTH = 32


@dataclass(frozen=True)
class Row:
    """The figures of one layer.

    Attributes:
      subgraph, operator: index of the subgraph, and of the operator in the subgraph.
      name: name of the layer (layers.Layer.name).
      op: operator and filter size, such as "CONV_2D 1x1".
      shape: "rows x cols"; the shape of the weight tensor if it is not an int8 matrix.
      rows, cols, nonzeros: size of the weights and number of nonzeros; None if they are not an int8 matrix.
      dense_bytes: bytes of the dense weights; None if they are not an int8 matrix.
      packed_bytes: bytes of the encoded weights: all streams without header, requantisation and bias. dense_bytes if
        the layer is not packed.
      layer_bytes: bytes of the whole packed layer; None if the layer is not packed.
      bound_bytes: entropy bound of the positions, plus plain values, in bytes; None if there is no matrix.
      encoding: scheme of the streams; "dense" if the layer is not packed.
      coding: encoding with its parameters, as in a plan file; "dense" if the layer is not packed.
      estimated_instructions: instructions of the packed layer on the core of the plan; None if the layer is not packed,
        or if the core has no constants for its coding.
      dense_instructions: instructions of the layer's dense product; a rough count if the layer is not packed. None if
        unknown.
      scratch_bytes: bytes of scratch that the core's kernel requests; None if the layer is not packed.
      note: reason why the layer is not packed; empty if it is packed.
    """

    subgraph: int
    operator: int
    name: str
    op: str
    shape: str
    rows: int | None
    cols: int | None
    nonzeros: int | None
    dense_bytes: int | None
    packed_bytes: int | None
    layer_bytes: int | None
    bound_bytes: int | None
    encoding: str
    coding: str
    estimated_instructions: int | None
    dense_instructions: int | None
    scratch_bytes: int | None
    note: str

    @property
    def sparsity(self) -> float | None:
        """Share of zero weights, 0..1; None if there is no int8 matrix."""
        return 1 - self.nonzeros / self.dense_bytes if self.dense_bytes and self.nonzeros is not None else None

    @property
    def overhead_bits(self) -> float | None:
        """Bits per nonzero beyond the 8 bits of its value; None without nonzeros."""
        if not self.nonzeros or self.packed_bytes is None:
            return None
        return 8 * (self.packed_bytes - self.nonzeros) / self.nonzeros


@dataclass(frozen=True)
class Totals:
    """Sums over the packed layers.

    Attributes:
      nonzeros, dense_bytes, packed_bytes, layer_bytes, bound_bytes: sums of the fields of Row.
      estimated_instructions: instructions of the packed layers; None if a layer has no estimate.
      other_instructions: rough count of the layers with weights that are not packed; None if one is unknown.
      scratch_bytes: largest scratch of a layer in bytes. All layers use the same scratch, one after the other.
    """

    nonzeros: int
    dense_bytes: int
    packed_bytes: int
    layer_bytes: int
    bound_bytes: int
    estimated_instructions: int | None
    other_instructions: int | None
    scratch_bytes: int


def row(decision: Decision) -> Row:
    """Returns the figures of a layer after planning."""
    layer, candidate, matrix = decision.layer, decision.candidate, decision.layer.matrix
    packed = decision.packed
    return Row(
        subgraph=layer.subgraph,
        operator=layer.position,
        name=layer.name,
        op=layer.op,
        shape=" x ".join(map(str, layer.shape if matrix is None else matrix.shape)),
        rows=None if matrix is None else matrix.shape[0],
        cols=None if matrix is None else matrix.shape[1],
        nonzeros=None if matrix is None else int(np.count_nonzero(matrix)),
        dense_bytes=None if matrix is None else matrix.nbytes,
        packed_bytes=packed.streams.nbytes if packed else None if matrix is None else matrix.nbytes,
        layer_bytes=len(candidate.blob) if candidate else None,
        bound_bytes=None if matrix is None else int(np.ceil(metrics.bounds(matrix)[0])),
        encoding=packed.streams.scheme if packed else "dense",
        coding=cost.coding(packed.streams) if packed else "dense",
        estimated_instructions=candidate.estimate.instructions if candidate else None,
        dense_instructions=decision.dense_instructions,
        scratch_bytes=candidate.estimate.scratch_bytes if candidate else None,
        note=decision.note,
    )


def inspected_row(model: schema.ModelT, layer: Layer, cpu: str) -> Row:
    """Returns the figures of a layer as the model holds it, packed or not. Its cost is estimated for the core `cpu`."""
    kept = workload.kept_instructions(model, layer, cpu)
    if layer.packed is None:
        return row(Decision(layer, note=layer.obstacle or "", kept_instructions=kept))
    shape = workload.shape(model, layer)
    inspected = row(Decision(layer, Candidate(layer.packed, shape, cost.estimate(cpu, layer.packed, shape))))
    # The size in the file, because another encoder may have written the layer.
    tensor = model.subgraphs[layer.subgraph].tensors[layer.operator.inputs[1]]
    return replace(inspected, layer_bytes=len(tflite.buffer_bytes(model, tensor)))


def table(rows: Sequence[Row]) -> str:
    """Formats the rows as lines of plain text, with a header."""
    return _table(rows, io.StringIO())


def print_table(rows: Sequence[Row], file: IO[str]) -> None:
    """Prints the rows to `file` as lines. The header is bold on a terminal."""
    file.write(_table(rows, file))


def _table(rows: Sequence[Row], file: IO[str]) -> str:
    """Formats the rows as lines, with the styles that `file` can show."""
    # Imported here because importing rich is slow.
    from rich.console import Console
    from rich.table import Table

    grid = Table(box=None, pad_edge=False, header_style="bold")
    for title, justify in _COLUMNS:
        grid.add_column(title, justify=justify, no_wrap=True)
    if all(not entry.note for entry in rows):
        grid.columns[-1].header = ""
    subgraphs = len({entry.subgraph for entry in rows}) > 1
    for entry in rows:
        place = f"{entry.subgraph}.{entry.operator}" if subgraphs else str(entry.operator)
        grid.add_row(
            place,
            shortened(entry.name),
            entry.op,
            entry.shape,
            _or_dash(entry.sparsity, "{:.1%}"),
            entry.coding,
            _or_dash(entry.dense_bytes, "{:,}"),
            _or_dash(entry.packed_bytes, "{:,}"),
            _or_dash(entry.overhead_bits, "{:.2f}"),
            _or_dash(entry.layer_bytes, "{:,}"),
            _or_dash(entry.estimated_instructions, "{:,}"),
            _or_dash(entry.scratch_bytes, "{:,}"),
            entry.note,
        )
    # A large width keeps rich from truncating columns. A long line is better than truncated numbers.
    console = Console(file=file, highlight=False, markup=False, width=1000)
    with console.capture() as capture:
        console.print(grid)
    return "".join(line.rstrip() + "\n" for line in capture.get().splitlines())


_COLUMNS: list[tuple[str, Literal["left", "right"]]] = [
    ("#", "right"),
    ("layer", "left"),
    ("op", "left"),
    ("rows x cols", "left"),
    ("sparsity", "right"),
    ("encoding", "left"),
    ("before", "right"),
    ("after", "right"),
    ("bits/nz", "right"),
    ("layer", "right"),
    ("instructions", "right"),
    ("scratch", "right"),
    ("kept dense: why", "left"),
]


def summary(rows: Sequence[Row], before: int, after: int, cpu: str) -> list[str]:
    """Returns the lines below the table: the layers that stay dense, the file's bytes `before` and `after`."""
    lines = []
    kept = Counter(entry.note for entry in rows if entry.layer_bytes is None)
    if kept:
        reasons = ", ".join(f"{count} {note}" for note, count in kept.most_common())
        lines.append(f"{sum(kept.values())} layers kept dense: {reasons}")
    line = f"flash {before:,} -> {after:,} bytes ({(after - before) / before:+.1%})"
    return [*lines, "   ".join([line, *layer_summary(rows, cpu)])]


def layer_summary(rows: Sequence[Row], cpu: str) -> list[str]:
    """Returns phrases about all packed layers; an empty list if no layer is packed."""
    total = totals(rows)
    if not total.dense_bytes:
        return []
    dense, packed, bound = total.dense_bytes, total.packed_bytes, total.bound_bytes
    phrases = [f"layers {dense:,} -> {packed:,} ({packed / dense:.3f}; bound {bound / dense:.3f})"]
    if total.estimated_instructions is not None:
        phrases.append(f"about {total.estimated_instructions:,} instructions on {cpu}")
        phrases.append(f"other layers about {total.other_instructions:,}")
    return phrases


def totals(rows: Sequence[Row]) -> Totals:
    """Sums over the packed layers."""
    packed = [entry for entry in rows if entry.layer_bytes is not None]

    def total(name: str) -> int:
        return sum(getattr(entry, name) for entry in packed)

    instructions = [entry.estimated_instructions for entry in packed]
    others = [entry.dense_instructions for entry in rows if entry.layer_bytes is None]
    return Totals(
        nonzeros=total("nonzeros"),
        dense_bytes=total("dense_bytes"),
        packed_bytes=total("packed_bytes"),
        layer_bytes=total("layer_bytes"),
        bound_bytes=total("bound_bytes"),
        estimated_instructions=_sum_if_known(instructions),
        other_instructions=_sum_if_known(others),
        scratch_bytes=max((entry.scratch_bytes or 0 for entry in packed), default=0),
    )


def _sum_if_known(values: Sequence[int | None]) -> int | None:
    known = [value for value in values if value is not None]
    return sum(known) if len(known) == len(values) else None


def as_json(rows: Sequence[Row], **more: object) -> dict[str, object]:
    """Returns the table as data for JSON: {"total": totals over the packed layers and `more`, "layers": all rows}."""
    layers = [asdict(entry) | {"sparsity": entry.sparsity, "overhead_bits": entry.overhead_bits} for entry in rows]
    return {"total": asdict(totals(rows)) | more, "layers": layers}


def _or_dash(value: float | None, form: str) -> str:
    return "-" if value is None else form.format(value)


def shortened(name: str) -> str:
    """Shortens a layer's name for printing. It removes the beginning, because the end distinguishes layers."""
    name = "".join(c if c.isprintable() else "?" for c in name)
    return name if len(name) <= _NAME_WIDTH else "…" + name[1 - _NAME_WIDTH :]
