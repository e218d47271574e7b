"""The per-layer table and the numbers behind it. docs/compressing.md says what they mean."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import IO

import numpy as np

from dcsr import cost_model, metrics
from dcsr.convert import Choice
from dcsr.layers import Layer

_NAME_WIDTH = 32


@dataclass(frozen=True)
class Row:
    """A layer's numbers.

    Attributes:
      subgraph, operator: where it is in the model.
      name, op: weight tensor and operator.
      shape: "rows x cols", or the tensor's shape if it is no matrix.
      rows, cols, nonzeros: of the weights; None if they are no int8 matrix.
      dense_bytes: of the weights.
      packed_bytes: of the encoded weights: all streams, without header, requantisation and bias.
      layer_bytes: of the whole packed layer; None if the layer is not packed.
      bound_bytes: entropy bound of positions with plain values.
      encoding: scheme of the streams, "dense" if the layer is not packed.
      coding: the same with the encoding's parameters, as a plan file has it.
      estimated_instructions: of the layer on the core that is planned for; None if it is not packed, or if the core
        has no constants for its coding.
      dense_instructions: estimated likewise for the dense product of a packed layer; rough for one that is not packed;
        None if unknown.
      scratch_bytes: that the core's kernel asks for; None if the layer is not packed.
      note: why it is not packed.
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
        """Share of zeros."""
        return 1 - self.nonzeros / self.dense_bytes if self.dense_bytes and self.nonzeros is not None else None

    @property
    def overhead_bits(self) -> float | None:
        """Bits stored for each nonzero besides its value."""
        if not self.nonzeros or self.packed_bytes is None:
            return None
        return 8 * (self.packed_bytes - self.nonzeros) / self.nonzeros


def row(choice: Choice) -> Row:
    """The numbers of a layer that `compress` looked at."""
    layer, packed, matrix = choice.layer, choice.packed, choice.layer.matrix
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
        layer_bytes=len(choice.blob) if packed else None,
        bound_bytes=None if matrix is None else int(np.ceil(metrics.bounds(matrix)[0])),
        encoding=packed.streams.scheme if packed else "dense",
        coding=cost_model.coding(packed.streams) if packed else "dense",
        estimated_instructions=choice.estimate.instructions if choice.estimate else None,
        dense_instructions=choice.dense_instructions,
        scratch_bytes=choice.estimate.scratch_bytes if choice.estimate else None,
        note=choice.note,
    )


def inspected_row(layer: Layer, blob: bytes, shape: cost_model.Shape | None, kept_instructions: int, cpu: str) -> Row:
    """The numbers of a layer found in a model.

    Args:
      layer: packed or not.
      blob: its packed tensor, if it has one.
      shape: of what it is multiplied with; None if it is not packed.
      kept_instructions: that it takes, about, if it is not packed.
      cpu: core that the cost is estimated for.
    """
    packed = layer.packed
    if packed is None or shape is None:
        return row(Choice(layer, note=layer.obstacle or "", kept_instructions=kept_instructions))
    work = cost_model.work(packed, shape)
    return row(Choice(layer, packed, blob, work, cost_model.estimate(cpu, work)))


def print_table(rows: Sequence[Row], file: IO[str]) -> None:
    """Prints a line for each row."""
    # rich takes a while to import, which a library user need not pay.
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for title, justify in _COLUMNS:
        table.add_column(title, justify=justify, no_wrap=True)
    if all(not entry.note for entry in rows):
        table.columns[-1].header = ""
    subgraphs = len({entry.subgraph for entry in rows}) > 1
    for entry in rows:
        place = f"{entry.subgraph}.{entry.operator}" if subgraphs else str(entry.operator)
        table.add_row(
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
    # Columns are never squeezed: numbers cut short are of no use, a wide terminal line is.
    console = Console(file=file, highlight=False, markup=False, width=1000)
    with console.capture() as capture:
        console.print(table)
    file.writelines(line.rstrip() + "\n" for line in capture.get().splitlines())


_COLUMNS = [
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
    """Lines that say what became of the layers and of the file's `before` bytes."""
    lines = []
    kept = Counter(entry.note for entry in rows if entry.layer_bytes is None)
    if kept:
        reasons = ", ".join(f"{count} {note}" for note, count in kept.most_common())
        lines.append(f"{sum(kept.values())} layers kept dense: {reasons}")
    line = f"flash {before:,} -> {after:,} bytes ({(after - before) / before:+.1%})"
    return [*lines, "   ".join([line, *layer_summary(rows, cpu)])]


def layer_summary(rows: Sequence[Row], cpu: str) -> list[str]:
    """Phrases about all packed layers; none if there are none."""
    total = totals(rows)
    dense = total["dense_bytes"]
    if not dense:
        return []
    phrases = [
        f"layers {dense:,} -> {total['packed_bytes']:,}"
        f" ({total['packed_bytes'] / dense:.3f}; bound {total['bound_bytes'] / dense:.3f})"
    ]
    if total["estimated_instructions"] is not None:
        phrases.append(f"about {total['estimated_instructions']:,} instructions on {cpu}")
        phrases.append(f"other layers about {total['other_instructions']:,}")
    return phrases


def totals(rows: Sequence[Row]) -> dict[str, int | None]:
    """Sums over the packed layers; of scratch, which layers use one after the other, the most.

    `other_instructions` are those of the layers that are not packed; other operators count as nothing.
    """
    packed = [entry for entry in rows if entry.layer_bytes is not None]
    fields = ("nonzeros", "dense_bytes", "packed_bytes", "layer_bytes", "bound_bytes")
    total: dict[str, int | None] = {name: sum(getattr(entry, name) for entry in packed) for name in fields}
    instructions = [entry.estimated_instructions for entry in packed]
    total["estimated_instructions"] = None if None in instructions else sum(instructions)
    others = [entry.dense_instructions for entry in rows if entry.layer_bytes is None]
    total["other_instructions"] = None if None in others else sum(others)
    total["scratch_bytes"] = max((entry.scratch_bytes or 0 for entry in packed), default=0)
    return total


def as_json(rows: Sequence[Row], **more: object) -> dict[str, object]:
    """The table as data: totals over the packed layers, `more`, and a list of all layers."""
    layers = [asdict(entry) | {"sparsity": entry.sparsity, "overhead_bits": entry.overhead_bits} for entry in rows]
    return {"total": totals(rows) | more, "layers": layers}


def _or_dash(value: float | None, form: str) -> str:
    return "-" if value is None else form.format(value)


def shortened(name: str) -> str:
    """A layer's name for printing, cut at the front: its end tells layers apart."""
    name = "".join(c if c.isprintable() else "?" for c in name)
    return name if len(name) <= _NAME_WIDTH else "…" + name[1 - _NAME_WIDTH :]
