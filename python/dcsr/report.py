"""The figures of each layer, and the table that shows them. docs/compressing.md explains the columns."""

from __future__ import annotations

import io
import re
from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import IO, Any, Literal

import numpy as np

from dcsr import layers as layer_finder
from dcsr import metrics, packing
from dcsr import model as tflite
from dcsr.layers import Layer
from dcsr.passes.dead_channels import Removed
from dcsr.planning import cost, workload
from dcsr.planning.candidates import BELOW_MIN_SPARSITY, Candidate
from dcsr.planning.choice import Decision
from dcsr.schema import schema

_NAME_WIDTH = 32
# What quantisation-aware training appends to the names of weights: the operators that quantise them.
_GENERATED_ENDS = re.compile(
    r"(/(LastValueQuant|MovingAvgQuantize|AllValuesQuantize|ReadVariableOp|FakeQuantWithMinMaxVars(PerChannel)?)"
    r"(_\d+)?)+(:\d+)?$"
)
_ABOVE_BOUND = 1.04  # bytes of the streams relative to the bound, see docs/results.md


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
      estimated_cycles, dense_cycles: the same in cycles; None also on cores for which cycles are not estimated
        (cost.CYCLE_CPUS).
      scratch_bytes: bytes of scratch that the core's kernel requests; None if the layer is not packed.
      note: reason why the layer is not packed; empty if it is packed.
      constant_bytes: bytes of the constants of an operator that is not a layer; None for layers.
      shares_weights_of: (subgraph, operator) of the first layer with the same weights; None for that layer itself, and
        for a layer whose weights no other layer has. Sums count the weights once.
      stored_with: (subgraph, operator) of the first layer whose packed layer is the same and is stored once; None for
        that layer itself, and for all others. Sums count the packed layer once.
      shared_bytes: bytes of the shared rows, a part of layer_bytes; 0 if the layer has its own rows or is not packed.
      shares_rows_with: (subgraph, operator) of the first layer with the same shared rows, which are stored once; None
        for that layer itself, and for all others. Sums count the shared rows once.
      caveat: how the dense layer differs in older versions of TFLM; empty if it does not, or if it is not packed.
      removed: the dead channels that were removed before all other figures were taken; None if there were none.
      row_form: form of bias, multipliers and shifts: "plain", "compact" or "shared"; None if the layer is not packed.
      kernel: name of the core's kernel; None if the layer is not packed.
      layout: layout of input and output, "nhwc", "planes", "nhwc to planes" or "planes to nhwc"; None if the layer is
        not packed.
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
    estimated_cycles: int | None
    dense_cycles: int | None
    scratch_bytes: int | None
    note: str
    constant_bytes: int | None = None
    shares_weights_of: tuple[int, int] | None = None
    stored_with: tuple[int, int] | None = None
    shared_bytes: int = 0
    shares_rows_with: tuple[int, int] | None = None
    caveat: str = ""
    removed: Removed | None = None
    row_form: str | None = None
    kernel: str | None = None
    layout: str | None = None

    @property
    def sparsity(self) -> float | None:
        """Share of zero weights, 0..1; None if there is no int8 matrix."""
        return 1 - self.nonzeros / self.dense_bytes if self.dense_bytes and self.nonzeros is not None else None

    def estimated_time(self, unit: str) -> int | None:
        """Returns estimated_cycles or estimated_instructions; `unit` is cost.unit() of the core."""
        return self.estimated_cycles if unit == cost.CYCLES else self.estimated_instructions

    def dense_time(self, unit: str) -> int | None:
        """Returns dense_cycles or dense_instructions."""
        return self.dense_cycles if unit == cost.CYCLES else self.dense_instructions

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
      estimated_cycles, other_cycles: the same in cycles; None also on cores for which cycles are not estimated.
      scratch_bytes: largest scratch of a layer in bytes. All layers use the same scratch, one after the other.
      layers_with_shared_rows: number of layers for which the firmware has to register AddDcsrOpsWithSharedRows().
    """

    nonzeros: int
    dense_bytes: int
    packed_bytes: int
    layer_bytes: int
    bound_bytes: int
    estimated_instructions: int | None
    other_instructions: int | None
    estimated_cycles: int | None
    other_cycles: int | None
    scratch_bytes: int
    layers_with_shared_rows: int

    def estimated_time(self, unit: str) -> int | None:
        """Returns estimated_cycles or estimated_instructions; `unit` is cost.unit() of the core."""
        return self.estimated_cycles if unit == cost.CYCLES else self.estimated_instructions

    def other_time(self, unit: str) -> int | None:
        """Returns other_cycles or other_instructions."""
        return self.other_cycles if unit == cost.CYCLES else self.other_instructions


def time_unit(cpu: str) -> str:
    """Returns the unit of times on a core: "cycles" or "instructions"."""
    return cost.unit(cpu)


def row(decision: Decision) -> Row:
    """Returns the figures of a layer after planning."""
    layer, candidate, matrix = decision.layer, decision.candidate, decision.layer.matrix
    packed = decision.packed
    shared_bytes = len(candidate.shared_blob or b"") if candidate else 0
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
        layer_bytes=len(candidate.blob) + shared_bytes if candidate else None,
        bound_bytes=None if matrix is None else int(np.ceil(metrics.bounds(matrix)[0])),
        encoding=packed.streams.scheme if packed else "dense",
        coding=cost.coding(packed.streams) if packed else "dense",
        estimated_instructions=candidate.estimate.instructions if candidate else None,
        dense_instructions=decision.dense_instructions,
        estimated_cycles=candidate.estimate.cycles if candidate else None,
        dense_cycles=decision.dense_cycles,
        scratch_bytes=candidate.estimate.scratch_bytes if candidate else None,
        note=printable(decision.note),
        shared_bytes=shared_bytes,
        caveat=(layer.caveat or "") if candidate else "",
        row_form=packed.row_form if packed else None,
        kernel=candidate.estimate.kernel if candidate else None,
        layout=packed.layout if packed else None,
    )


def inspected_row(model: schema.ModelT, layer: Layer, cpu: str, memory: str) -> Row:
    """Returns the figures of a layer as the model holds it, packed or not.

    Its cost is estimated for the core `cpu`, with the data in `memory`.
    """
    if layer.packed is None:
        return row(Decision(layer, note=layer.obstacle or "", kept=workload.kept(model, layer, cpu)))
    shape = workload.shape(model, layer)
    estimate = cost.estimate(cpu, layer.packed, shape, memory)
    estimate = workload.compared(model, layer, layer.packed, estimate, cpu)
    inspected = row(Decision(layer, Candidate(layer.packed, shape, estimate)))
    # The sizes in the file, because another encoder may have written the layer.
    tensors = model.subgraphs[layer.subgraph].tensors
    sizes = [len(tflite.buffer_bytes(model, tensors[index])) for index in layer.operator.inputs[1:]]
    return replace(inspected, layer_bytes=sum(sizes), shared_bytes=sum(sizes[1:]))


def other_row(other: layer_finder.OtherOperator) -> Row:
    """Returns the row of an operator that holds constants but is not a layer that could be packed."""
    nothing: dict[str, Any] = dict.fromkeys(
        ["rows", "cols", "nonzeros", "dense_bytes", "packed_bytes", "layer_bytes", "bound_bytes"]
        + ["estimated_instructions", "dense_instructions", "estimated_cycles", "dense_cycles", "scratch_bytes"]
    )
    return Row(
        subgraph=other.subgraph,
        operator=other.position,
        name=other.name,
        op=printable(other.op),
        shape=" x ".join(map(str, other.shape)),
        encoding="dense",
        coding="dense",
        note=printable(other.reason),
        constant_bytes=other.constant_bytes,
        **nothing,
    )


def complete(
    model: schema.ModelT,
    rows: Sequence[Row],
    weights: Sequence[int],
    stored: Sequence[Sequence[Hashable]],
    removed: Mapping[tuple[int, int], Removed] | None = None,
) -> tuple[Row, ...]:
    """Adds the rows of operators that are not layers and the removed channels, and marks layers that share weights.

    Args:
      model: the model of the rows.
      rows: the rows of its layers.
      weights: for each row, the index of the tensor with the weights.
      stored: for each row, an identifier of each tensor of its packed layer: the packed layer, then the shared rows if
        it has them. Equal identifiers are stored once. Empty for dense layers.
      removed: {(subgraph, operator): its removed channels}; None if none were removed.

    Returns:
      All rows in the order of the model.
    """
    first: dict[int, tuple[int, int]] = {}
    first_stored: dict[Hashable, tuple[int, int]] = {}
    marked = []
    for entry, tensor, contents in zip(rows, weights, stored, strict=True):
        buffer = model.subgraphs[entry.subgraph].tensors[tensor].buffer
        place = (entry.subgraph, entry.operator)
        owner = first.setdefault(buffer, place) if entry.rows is not None else place
        # A packed layer is the same if all its tensors are.
        same = first_stored.setdefault(tuple(contents), place) if contents else place
        shared = first_stored.setdefault(contents[1], place) if len(contents) > 1 else place
        marked.append(
            replace(
                entry,
                shares_weights_of=None if owner == place else owner,
                stored_with=None if same == place else same,
                shares_rows_with=None if shared == place else shared,
            )
        )
    for other in layer_finder.others(model):
        place = (other.subgraph, other.position)
        owner = first.setdefault(other.buffer, place)
        marked.append(replace(other_row(other), shares_weights_of=None if owner == place else owner))
    places = removed or {}
    marked = [replace(entry, removed=places.get((entry.subgraph, entry.operator))) for entry in marked]
    return tuple(sorted(marked, key=lambda entry: (entry.subgraph, entry.operator)))


def table(rows: Sequence[Row], cpu: str) -> str:
    """Formats the rows as lines of plain text, with a header that names the unit of the core's time."""
    return _table(rows, cpu, io.StringIO())


def printed_table(rows: Sequence[Row], cpu: str, file: IO[str]) -> str:
    """Formats the rows as lines for printing to `file`. The header is bold on a terminal."""
    return _table(rows, cpu, file)


def _table(rows: Sequence[Row], cpu: str, file: IO[str]) -> str:
    """Formats the rows as lines, with the styles that `file` can show."""
    # Imported here because importing rich is slow.
    from rich.console import Console
    from rich.table import Table

    unit = cost.unit(cpu)
    grid = Table(box=None, pad_edge=False, header_style="bold")
    removes = any(entry.removed for entry in rows)
    has_planes = any(entry.layout and "planes" in entry.layout for entry in rows)
    columns = (
        _COLUMNS[:4]
        + (_REMOVED_COLUMNS if removes else [])
        + _COLUMNS[4:-1]
        + ([_LAYOUT_COLUMN] if has_planes else [])
        + _COLUMNS[-1:]
    )
    for title, justify in columns:
        grid.add_column(unit if title == _TIME else title, justify=justify, no_wrap=True)
    if not any(entry.note or entry.shares_weights_of for entry in rows):
        grid.columns[-1].header = ""
    subgraphs = len({entry.subgraph for entry in rows}) > 1
    names = shortened_names([entry.name for entry in rows])

    def place(subgraph: int, operator: int) -> str:
        return f"{subgraph}.{operator}" if subgraphs else str(operator)

    for entry, name in zip(rows, names, strict=True):
        note = entry.note
        if entry.shares_weights_of:
            note = f"{note + '; ' if note else ''}weights of #{place(*entry.shares_weights_of)}"
            if entry.stored_with or entry.shares_rows_with:
                note += ", stored once"
        grid.add_row(
            place(entry.subgraph, entry.operator),
            name,
            entry.op,
            entry.shape,
            *(_removed_cells(entry.removed) if removes else []),
            _or_dash(entry.sparsity, "{:.1%}"),
            entry.coding,
            _or_dash(entry.dense_bytes if entry.constant_bytes is None else entry.constant_bytes, "{:,}"),
            _or_dash(entry.packed_bytes, "{:,}"),
            _or_dash(entry.overhead_bits, "{:.2f}"),
            _or_dash(entry.layer_bytes, "{:,}"),
            _or_dash(entry.estimated_time(unit), "{:,}"),
            _or_dash(entry.scratch_bytes, "{:,}"),
            entry.kernel or "",
            *([entry.layout or ""] if has_planes else []),
            note,
        )
    # A large width keeps rich from truncating columns. A long line is better than truncated numbers.
    console = Console(file=file, highlight=False, markup=False, width=1000)
    with console.capture() as capture:
        console.print(grid)
    return "".join(line.rstrip() + "\n" for line in capture.get().splitlines())


def _removed_cells(removed: Removed | None) -> list[str]:
    """Returns the cells of _REMOVED_COLUMNS."""
    if removed is None:
        return ["", ""]
    return [removed_channels(removed), f"{removed.bytes_before - removed.bytes_after:,}"]


def removed_channels(removed: Removed) -> str:
    """Returns the output and input channels of an operator before and after, such as "64x64 > 60x52"."""
    before, after = (
        (removed.channels_before, removed.inputs_before),
        (removed.channels_after, removed.inputs_after),
    )
    if before[0] == before[1] and after[0] == after[1]:
        return f"{before[0]} > {after[0]}"
    return f"{before[0]}x{before[1]} > {after[0]}x{after[1]}"


def dead_channels(rows: Sequence[Row]) -> str:
    """Returns a line with the number of channels and bytes that were removed."""
    removed = [(entry.constant_bytes is None, entry.removed) for entry in rows if entry.removed]
    channels = sum(entry.channels_before - entry.channels_after for is_layer, entry in removed if is_layer)
    saved = sum(entry.bytes_before - entry.bytes_after for _, entry in removed)
    return f"dead channels: {channels:,} removed from the layers, with {saved:,} bytes of constants"


_TIME = "time"  # the table has the unit in its place
_LAYOUT_COLUMN: tuple[str, Literal["left", "right"]] = ("layout", "left")
_REMOVED_COLUMNS: list[tuple[str, Literal["left", "right"]]] = [("channels", "left"), ("removed", "right")]
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
    (_TIME, "right"),
    ("scratch", "right"),
    ("kernel", "left"),
    ("kept dense: why", "left"),
]


def summary(rows: Sequence[Row], cpu: str) -> list[str]:
    """Returns the lines about the layers: those that stay dense, and the sums over the packed ones."""
    lines = []
    kept = Counter(entry.note for entry in rows if entry.layer_bytes is None and entry.constant_bytes is None)
    others = [
        0 if entry.shares_weights_of else entry.constant_bytes for entry in rows if entry.constant_bytes is not None
    ]
    if kept:
        reasons = ", ".join(f"{count} {note}" for note, count in kept.most_common())
        lines.append(f"{sum(kept.values())} layers kept dense: {reasons}")
    lines += _left_on_the_table(rows)
    if others:
        operators = "1 other operator" if len(others) == 1 else f"{len(others)} other operators"
        lines.append(f"{sum(others):,} bytes of constants in {operators} stay as they are")
    caveats = Counter(entry.caveat for entry in rows if entry.caveat)
    lines += [f"packed layers, {count}: {caveat}" for caveat, count in caveats.most_common()]
    lines += registration(rows)
    phrases = layer_summary(rows, cpu)
    return [*lines, "   ".join(phrases)] if phrases else lines


def registration(rows: Sequence[Row]) -> list[str]:
    """Returns a line with the registration that the firmware needs for shared rows; an empty list without them."""
    count = totals(rows).layers_with_shared_rows
    if not count:
        return []
    layers = "1 layer has" if count == 1 else f"{count} layers have"
    return [f"the firmware registers the ops with dcsr::AddDcsrOpsWithSharedRows: {layers} shared rows"]


def _left_on_the_table(rows: Sequence[Row]) -> list[str]:
    """Returns a line if layers that --min-sparsity leaves dense would get smaller, by the bound of their positions."""
    savings = []
    for entry in rows:
        if entry.note.startswith(BELOW_MIN_SPARSITY) and entry.dense_bytes and not entry.shares_weights_of:
            assert entry.bound_bytes is not None and entry.sparsity is not None
            saving = entry.dense_bytes - int(_ABOVE_BOUND * entry.bound_bytes) - packing.HEADER_BYTES
            if saving > 0:
                savings.append((saving, entry.sparsity))
    if not savings:
        return []
    least = int(100 * min(sparsity for _, sparsity in savings)) / 100
    count = "1 layer" if len(savings) == 1 else f"{len(savings)} layers"
    total = sum(saving for saving, _ in savings)
    return [f"--min-sparsity leaves {count} dense; --min-sparsity {least:g} would save about {total:,} bytes more"]


def layer_summary(rows: Sequence[Row], cpu: str) -> list[str]:
    """Returns phrases about all packed layers; an empty list if no layer is packed."""
    total = totals(rows)
    if not total.dense_bytes:
        return []
    dense, packed, bound = total.dense_bytes, total.packed_bytes, total.bound_bytes
    phrases = [f"layers {dense:,} -> {packed:,} ({packed / dense:.3f}; bound {bound / dense:.3f})"]
    unit = cost.unit(cpu)
    time = total.estimated_time(unit)
    if time is not None:
        phrases.append(f"about {time:,} {unit} on {cpu}")
        phrases.append(f"dense layers about {total.other_time(unit):,}")
    return phrases


def totals(rows: Sequence[Row]) -> Totals:
    """Sums over the packed layers."""
    packed = [entry for entry in rows if entry.layer_bytes is not None]

    def layer_bytes(entry: Row) -> int:
        assert entry.layer_bytes is not None
        return entry.layer_bytes - (entry.shared_bytes if entry.shares_rows_with else 0)

    def total_of_weights(name: str) -> int:
        places = {(entry.subgraph, entry.operator) for entry in packed}
        return sum(getattr(entry, name) for entry in packed if entry.shares_weights_of not in places)

    others = [entry for entry in rows if entry.layer_bytes is None and entry.constant_bytes is None]
    return Totals(
        nonzeros=total_of_weights("nonzeros"),
        dense_bytes=total_of_weights("dense_bytes"),
        packed_bytes=sum(
            entry.packed_bytes or 0 for entry in packed if not (entry.stored_with or entry.shares_rows_with)
        ),
        layer_bytes=sum(layer_bytes(entry) for entry in packed if not entry.stored_with),
        bound_bytes=total_of_weights("bound_bytes"),
        estimated_instructions=_sum_if_known([entry.estimated_instructions for entry in packed]),
        other_instructions=_sum_if_known([entry.dense_instructions for entry in others]),
        estimated_cycles=_sum_if_known([entry.estimated_cycles for entry in packed]),
        other_cycles=_sum_if_known([entry.dense_cycles for entry in others]),
        scratch_bytes=max((entry.scratch_bytes or 0 for entry in packed), default=0),
        layers_with_shared_rows=sum(entry.shared_bytes > 0 for entry in packed),
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


def printable(text: str) -> str:
    """Replaces control characters. Names and custom codes in a model may contain anything."""
    return "".join(c if c.isprintable() else "?" for c in text)


def shortened(name: str) -> str:
    """Shortens a layer's name for printing. It removes the beginning, because the end distinguishes layers.

    The ends that quantisation-aware training gives to all names are removed first.
    """
    name = printable(name)
    name = _GENERATED_ENDS.sub("", name) or name
    return name if len(name) <= _NAME_WIDTH else "…" + name[1 - _NAME_WIDTH :]


def shortened_names(names: Sequence[str]) -> list[str]:
    """Shortens the names of a table. Different names that would look the same keep their beginning, too."""
    short = [shortened(name) for name in names]
    same = {text for text, count in Counter(short).items() if count > 1 and text.startswith("…")}
    half = _NAME_WIDTH // 2
    for number, (name, text) in enumerate(zip(names, short, strict=True)):
        if text in same and len({other for other, t in zip(names, short, strict=True) if t == text}) > 1:
            short[number] = f"{printable(name)[: half - 1]}…{text[-half:]}"
    return short
