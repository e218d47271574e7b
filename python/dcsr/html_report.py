"""Renders the table of layers as one self-contained HTML page without scripts, links or fonts."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass

from dcsr import firmware_report, report
from dcsr.planning.firmware import Firmware
from dcsr.report import Row

STYLE = """\
:root { color-scheme: light dark; --page: #fff; --text: #1b1f24; --soft: #5d6670; --line: #d9dee3; --card: #f5f7f9;
  --dense: #b9c2cc; --chosen: #0b6e99; --bound: #e08a1e; --good: #18794e; }
@media (prefers-color-scheme: dark) { :root { --page: #14181c; --text: #e6e9ec; --soft: #9aa4ae; --line: #333b43;
  --card: #1d2329; --dense: #56616c; --chosen: #4cb3dc; --bound: #f0a848; --good: #5fcf9a; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 2rem 1.5rem 4rem; background: var(--page); color: var(--text);
  font: 15px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.5rem; margin: 0; overflow-wrap: anywhere; } h2 { font-size: 1.1rem; margin: 2.5rem 0 .75rem; }
p { margin: .25rem 0; color: var(--soft); max-width: 60rem; }
.cards { display: flex; flex-wrap: wrap; gap: .75rem; margin-top: 1.5rem; }
.card { flex: 1 1 13rem; background: var(--card); border: 1px solid var(--line); border-radius: .5rem;
  padding: .75rem 1rem; }
.card b { display: block; font-size: 1.4rem; font-variant-numeric: tabular-nums; }
.card span { color: var(--soft); font-size: .85rem; display: block; }
.legend { display: flex; margin-top: 2rem; flex-wrap: wrap; gap: 1.25rem; color: var(--soft); font-size: .85rem; }
.legend i { display: inline-block; width: .8rem; height: .8rem; border-radius: .15rem; margin-right: .4rem;
  vertical-align: -.05rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: .85rem; font-variant-numeric: tabular-nums; }
th, td { text-align: right; padding: .3rem .4rem; border-bottom: 1px solid var(--line); white-space: nowrap; }
th { color: var(--soft); font-weight: 600; }
.l { text-align: left; white-space: normal; overflow-wrap: anywhere; min-width: 4rem; } .soft { color: var(--soft); }
td.bars { width: 20%; min-width: 4rem; } svg { display: block; width: 100%; }
.dense { fill: var(--dense); background: var(--dense); } .chosen { fill: var(--chosen); background: var(--chosen); }
.bound { fill: var(--bound); background: var(--bound); }
@media print {
  :root { color-scheme: light; --page: #fff; --text: #000; --soft: #444; --line: #bbb; --card: #fff; --dense: #b9c2cc;
    --chosen: #0b6e99; --bound: #e08a1e; }
  @page { size: A4 landscape; margin: 12mm; }
  * { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
  body { font-size: 11px; padding: 0; }
  .wide { overflow: visible; }
  table { font-size: 9px; } th, td { padding: .15rem .3rem; }
  thead { display: table-header-group; } tr, .card { break-inside: avoid; } h2 { break-after: avoid; }
}
"""

_LEGEND = """\
<div class="legend"><span><i class="dense"></i>dense</span><span><i class="chosen"></i>chosen</span>
<span><i class="bound"></i>bound: log2 C(n, k) bits a row for positions, 8-bit values</span></div>
"""


@dataclass(frozen=True)
class Page:
    """The contents of a page besides its layers.

    Attributes:
      title: name of the model.
      cpu: core of the estimates.
      objective: objective of the planner; None if the model was only inspected.
      file_bytes: size of the file in bytes: [size], or [before, after] if the model was compressed.
      arena_bytes: measured arena in bytes, in the same order; None if the interpreter could not load the model.
      comparison: other ways to store the model, as benchmarks/tflm_compression.py writes them.
      firmware: estimates of the whole model on the core; None if the model was only inspected.
    """

    title: str
    cpu: str
    objective: str | None
    file_bytes: Sequence[int]
    arena_bytes: Sequence[int | None]
    comparison: Sequence[Mapping[str, object]] = ()
    firmware: Firmware | None = None


def render(page: Page, rows: Sequence[Row]) -> str:
    """Returns the page as HTML."""
    title = html.escape(page.title)
    aim = f"Compressed with objective {page.objective}. " if page.objective else ""
    parts = [
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n',
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n',
        f"<title>{title}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<h1>{title}</h1>\n",
        f"<p>{aim}{report.time_unit(page.cpu).capitalize()} are estimated for {html.escape(page.cpu)}.</p>\n",
        _cards(page, rows),
        _LEGEND,
        _layers(rows, report.time_unit(page.cpu)),
        _dead_channels(rows),
        _comparison(page.comparison),
        "</body>\n</html>\n",
    ]
    return "".join(parts)


def _cards(page: Page, rows: Sequence[Row]) -> str:
    total = report.totals(rows)
    cards = [_change("flash, bytes", page.file_bytes)]
    if total.dense_bytes:
        dense = total.dense_bytes
        cards.append(
            (
                "packed layers, bytes",
                f"{total.packed_bytes:,}",
                f"from {dense:,}, × {total.packed_bytes / dense:.3f}; bound × {total.bound_bytes / dense:.3f}",
            )
        )
        cards.append(
            (
                "stored besides, bytes",
                f"{total.layer_bytes - total.packed_bytes:,}",
                "headers, bias and requantisation of packed layers",
            )
        )
        unit = report.time_unit(page.cpu)
        cards.append(
            (
                f"packed layers, {unit}",
                _text(total.estimated_time(unit)),
                f"estimated; scratch up to {total.scratch_bytes:,} bytes",
            )
        )
    cards[1:1] = _firmware_cards(page)
    shown = "".join(
        f'<div class="card"><span>{label}</span><b>{value}</b><span>{note}</span></div>\n'
        for label, value, note in cards
    )
    return f'<div class="cards">\n{shown}</div>\n'


def _firmware_cards(page: Page) -> list[tuple[str, str, str]]:
    """Returns the cards of arena and time of the whole model."""
    measured = _change("arena on the host, bytes", page.arena_bytes, "measured in the interpreter")
    if page.firmware is None:
        return [measured]
    cards = []
    if (code := firmware_report.code(page.firmware)) is not None:
        cards.append(_change("code of the operators, bytes", code, "without operators that stay in TFLM in any case"))
    arenas = firmware_report.arenas(page.firmware)
    cards += [_change("arena, bytes", arenas, f"estimated for {html.escape(page.cpu)}, with TFLM's structures")]
    times = firmware_report.inference(page.firmware, page.cpu)
    if times is not None:
        unknown = page.firmware.unknown
        lacks = f"; without {html.escape(', '.join(map(report.printable, unknown)))}" if unknown else ""
        cards.append(_change(f"inference, {report.time_unit(page.cpu)}", times, f"estimated{lacks}"))
    starts = firmware_report.start_ups(page.firmware)
    if starts is not None:
        cards.append(_change("start-up, instructions", starts, "AllocateTensors, estimated"))
    return [*cards, measured]


def _change(label: str, values: Sequence[int | None], note: str = "") -> tuple[str, str, str]:
    """Returns a card: (label, last value, note that compares the last value with the first)."""
    notes = [note] if note else []
    known = [value for value in values if value is not None]
    if len(values) == len(known) == 2 and known[0]:
        before, after = known
        notes.insert(0, f"from {before:,}, {(after - before) / before:+.1%}")
    return label, _text(values[-1]), "; ".join(notes)


def _layers(rows: Sequence[Row], unit: str) -> str:
    """Returns one table of the packed layers and one of the others. All bars share one scale."""
    most = max((row.dense_bytes or 0 for row in rows), default=0)
    several = len({row.subgraph for row in rows}) > 1

    def what(row: Row) -> list[str]:
        place = f"{row.subgraph}.{row.operator}" if several else str(row.operator)
        short, name = (html.escape(text, quote=True) for text in (report.shortened(row.name), row.name))
        return [
            f"<td>{place}</td>",
            f'<td class="l" title="{name}">{short}</td>',
            f'<td class="l">{html.escape(row.op)}</td>',
            f"<td>{html.escape(row.shape).replace(' x ', '&#8239;×&#8239;')}</td>",
            f"<td>{_text(row.sparsity, '{:.1%}')}</td>",
        ]

    packed = [
        [
            *what(row),
            f'<td class="l">{html.escape(row.coding)}</td>',
            f'<td class="bars">{_bars(row, most)}</td>',
            f"<td>{_text(row.dense_bytes)}</td>",
            f"<td>{_text(row.packed_bytes)}</td>",
            f"<td>{_text(row.bound_bytes)}</td>",
            f"<td>{_text(_ratio(row), '{:.3f}')}</td>",
            f"<td>{_text(row.estimated_time(unit))}</td>",
            f"<td>{_text(row.scratch_bytes)}</td>",
            f'<td class="l">{html.escape(row.kernel or "")}</td>',
            f'<td class="l">{html.escape(row.layout or "")}</td>',
        ]
        for row in rows
        if row.layer_bytes is not None
    ]
    others = [
        [
            *what(row),
            f'<td class="l soft">{html.escape(row.note)}</td>',
            f'<td class="bars">{_bars(row, most)}</td>',
            f"<td>{_text(row.dense_bytes if row.constant_bytes is None else row.constant_bytes)}</td>",
            f"<td>{_text(row.bound_bytes)}</td>",
        ]
        for row in rows
        if row.layer_bytes is None
    ]
    first = ("#", "layer", "op", "rows × cols", "sparsity")
    last = ("ratio", unit, "scratch", "kernel", "layout")
    return "".join(
        [
            table("Packed layers", (*first, "encoding", "bytes", "dense", "chosen", "bound", *last), packed),
            table("Other layers with weights", (*first, "why", "bytes", "dense", "bound"), others),
        ]
    )


def _dead_channels(rows: Sequence[Row]) -> str:
    """Returns a table of the layers that lost channels; nothing if none did."""
    cells = [
        [
            f"<td>{row.subgraph}.{row.operator}</td>",
            f'<td class="l">{html.escape(report.shortened(row.name))}</td>',
            f'<td class="l">{html.escape(row.op)}</td>',
            *(f"<td>{_text(number)}</td>" for number in astuple(row.removed)),
        ]
        for row in rows
        if row.removed
    ]
    head = ("#", "layer", "op", "channels", "after", "input channels", "after", "constants", "after")
    text = f"<p>{report.dead_channels(rows)}. The other tables show the layers after that.</p>\n" if cells else ""
    return table("Dead channels", head, cells, text)


_LEFT = {"layer", "op", "encoding", "bytes", "why", "way", "note"}


def table(title: str, head: Sequence[str], rows: Sequence[Sequence[str]], text: str = "") -> str:
    """A table below a heading and `text`, which is HTML as the cells are; nothing if there are no rows."""
    if not rows:
        return ""
    titles = "".join(f'<th class="l">{name}</th>' if name in _LEFT else f"<th>{name}</th>" for name in head)
    body = "".join(f"<tr>{''.join(cells)}</tr>\n" for cells in rows)
    table = f'<div class="wide"><table>\n<thead><tr>{titles}</tr></thead>\n<tbody>\n{body}</tbody></table></div>\n'
    return f"<h2>{title}</h2>\n{text}{table}"


def _ratio(row: Row) -> float | None:
    """Encoded bytes over dense bytes of the weights."""
    return row.packed_bytes / row.dense_bytes if row.packed_bytes is not None and row.dense_bytes else None


def _bars(row: Row, most: int) -> str:
    """Returns the bars of a layer: dense, chosen (only if it is packed) and bound."""
    if not row.dense_bytes:
        return ""
    chosen = None if row.layer_bytes is None else row.packed_bytes
    sizes = [("dense", row.dense_bytes), ("chosen", chosen), ("bound", row.bound_bytes)]
    bars = [(kind, size) for kind, size in sizes if size is not None]
    drawn = "".join(
        f'<rect class="{kind}" x="0" y="{7 * i}" width="{max(100 * size / most, 0.3):.2f}" height="6"/>'
        for i, (kind, size) in enumerate(bars)
    )
    label = ", ".join(f"{kind} {size:,}" for kind, size in bars)
    return (
        f'<svg viewBox="0 0 100 {7 * len(bars)}" preserveAspectRatio="none" role="img" aria-label="{label} bytes"'
        f' style="height:{0.45 * len(bars):.2f}rem">{drawn}</svg>'
    )


def _comparison(ways: Sequence[Mapping[str, object]]) -> str:
    rows = [
        [
            f'<td class="l">{html.escape(str(way["way"]))}</td>',
            f"<td>{_text(way['flash_bytes'])}</td>",
            f"<td>{_text(way['arena_bytes'])}</td>",
            f"<td>{_text(way['latency_ratio'], '{:.2f}')}</td>",
            f'<td class="l soft">{html.escape(str(way["note"]))}</td>',
        ]
        for way in ways
    ]
    text = "<p>All in one run of benchmarks/tflm_compression. Latency is that on the host, relative to dense.</p>\n"
    return table("Against TFLM's own compression", ("way", "flash", "arena", "latency", "note"), rows, text)


def _text(value: object, form: str = "{:,}") -> str:
    return "-" if value is None else form.format(value)
