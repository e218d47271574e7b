"""Tests that the HTML report is complete and self-contained."""

import dataclasses
import html.parser
import re

import numpy as np
import pytest

from dcsr import compressing, html_report, report
from dcsr.planning.choice import Decision
from dcsr.planning.firmware import Figures, Firmware
from dcsr.testing.models import fully_connected_model, sparse_matrix

WAYS = [{"way": "TFLM <LUT>", "flash_bytes": 1234, "arena_bytes": None, "latency_ratio": 1.5, "note": "a & b"}]


@pytest.fixture(name="rows")
def report_rows():
    rng = np.random.default_rng(0)
    model = fully_connected_model(rng, sparse_matrix(rng, 64, 200, 0.9))
    model.subgraphs[0].tensors[1].name = '<script src="http://x">"&'
    _, decisions, *_ = compressing.compress(model, "m")
    other = Decision(decisions[0].layer, note="would not <get> smaller")
    return [report.row(decisions[0]), report.row(other)]


@pytest.fixture(name="text")
def report_text(rows):
    page = html_report.Page("a<b>.tflite", "cortex-m55", "balanced", [20000, 5000], [7000, None], WAYS)
    return html_report.render(page, rows)


class Checker(html.parser.HTMLParser):
    """Counts open elements and collects references to other resources."""

    VOID = {"meta", "rect"}

    def __init__(self):
        super().__init__()
        self.open, self.seen, self.references, self.attributes = [], [], [], []

    def handle_starttag(self, tag, attrs):
        self.seen.append(tag)
        if tag not in self.VOID:
            self.open.append(tag)
        self.attributes.append(dict(attrs))
        self.references += [name for name, _ in attrs if name in ("src", "href", "xlink:href", "data", "action")]

    def handle_startendtag(self, tag, attrs):
        self.seen.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_page_refers_to_nothing_and_has_no_script(text):
    checker = Checker()
    checker.feed(text)
    assert not checker.open and not checker.references
    assert not {"script", "link", "img", "iframe", "object"} & set(checker.seen)
    assert not re.search(r"@import|url\(", text)
    assert "prefers-color-scheme: dark" in text


def test_names_are_escaped(text):
    assert "<script" not in text and "&lt;script src=" in text
    assert "a&lt;b&gt;.tflite" in text and "TFLM &lt;LUT&gt;" in text and "would not &lt;get&gt; smaller" in text


@pytest.mark.parametrize("name", ['a" onclick="x', "a' onclick='x", "a>b<c&d", '"', "'"])
def test_names_in_attributes_cannot_end_them(rows, name):
    page = html_report.Page("m", "cortex-m4", None, [100], [None])
    checker = Checker()
    checker.feed(html_report.render(page, [dataclasses.replace(row, name=name) for row in rows]))
    assert [found["title"] for found in checker.attributes if "title" in found] == [name] * len(rows)
    assert not any("onclick" in found for found in checker.attributes)


def test_bars_and_numbers_are_those_of_the_rows(text, rows):
    packed = rows[0]
    for number in (packed.dense_bytes, packed.packed_bytes, packed.bound_bytes, packed.estimated_cycles):
        assert f"<td>{number:,}</td>" in text
    widths = [float(width) for width in re.findall(r'class="\w+" x="0" y="\d+" width="([\d.]+)"', text)]
    shares = [100 * size / packed.dense_bytes for size in (packed.dense_bytes, packed.packed_bytes, packed.bound_bytes)]
    assert widths[:3] == pytest.approx(shares, abs=0.01)
    assert "from 20,000, -75.0%" in text
    assert "Cycles are estimated for cortex-m55." in text and "packed layers, cycles" in text
    assert "<td>1,234</td><td>-</td><td>1.50</td>" in text


def test_model_without_packed_layers(rows):
    page = html_report.Page("m", "cortex-m4", None, [100], [None])
    text = html_report.render(page, rows[1:])
    assert "Packed layers</h2>" not in text and "Other layers" in text and "Against" not in text
    html_report.render(page, [])


def test_page_shows_the_whole_firmware(rows):
    firmware = Firmware(Figures(30_000, None, 10_000_000), Figures(27_000, None, 5_000_000), ("<TANH>",))
    page = html_report.Page("a", "cortex-m55", "balanced", [20000, 5000], [7000, None], firmware=firmware)
    text = html_report.render(page, rows)
    assert "<b>27,000</b><span>from 30,000, -10.0%; estimated for cortex-m55, with TFLM's structures</span>" in text
    assert "<b>5,000,000</b><span>from 10,000,000, -50.0%; estimated; without &lt;TANH&gt;</span>" in text


def test_page_fits_any_width_and_paper(text):
    style = text[text.index("<style>") : text.index("</style>")]
    body = re.search(r"^body \{(.*?)\}", style, re.DOTALL | re.MULTILINE)
    assert "max-width" not in body[1] and not re.search(r"(?<![-\w])width: *\d+(px|rem)", style)
    assert "@media print" in style and "@page { size: A4 landscape" in style
    assert ".wide { overflow: visible; }" in style and "display: table-header-group" in style
