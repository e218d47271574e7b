"""The test vectors of docs/format.md, and its table of blobs to refuse.

`format_vectors header docs/format.md OUT.h` makes a C header of both, `format_vectors document` prints both sections.
"""

from __future__ import annotations

import dataclasses
import re
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dcsr import cc_array, encodings, packing


@dataclass(frozen=True)
class Vector:
    """A packed layer and what it computes for its `activations`."""

    name: str
    layer: bytes
    output: bytes


@dataclass(frozen=True)
class Refused:
    """A vector with a change after which a reader must refuse it.

    Attributes:
      vector: name of the vector.
      change: "OFFSET: BYTES" writes hexadecimal bytes at a decimal offset; "size: N" keeps the first N bytes.
      status: what dcsr_layer_parse() or, after kDcsrOk, dcsr_layer_validate() returns.
      reason: for the reader of the document.
    """

    vector: str
    change: str
    status: str
    reason: str

    def apply(self, layer: bytes) -> bytes:
        """The changed blob.

        Args:
          layer: the vector's packed layer.
        """
        place, _, value = self.change.partition(": ")
        if place == "size":
            return layer[: int(value)]
        changed = bytearray(layer)
        new = bytes.fromhex(value)
        changed[int(place) : int(place) + len(new)] = new
        return bytes(changed)


_BLOCK = re.compile(
    r"^### Vector (?P<name>\w+)\n.*?^layer\n\n```\n(?P<layer>.*?)```\n\noutput\n\n```\n(?P<output>.*?)```",
    re.MULTILINE | re.DOTALL,
)

_ROW = re.compile(r"^\| (\w+) \| `([^`]+)` \| `(kDcsrError\w+)` \| (.*) \|$", re.MULTILINE)


def activations(layer: packing.PackedLayer) -> np.ndarray:
    """The input [1, cols] of every vector: x[c] = (37 c + 11) mod 256 - 128, int8 or int16."""
    values = (37 * np.arange(layer.streams.cols) + 11) % 256 - 128
    return values.astype(np.int16 if layer.int16_activations else np.int8)[np.newaxis]


def load(document: str) -> list[Vector]:
    """The vectors in the text of docs/format.md."""
    return [
        Vector(match["name"], bytes.fromhex(match["layer"]), bytes.fromhex(match["output"]))
        for match in _BLOCK.finditer(document)
    ]


def load_refused(document: str) -> list[Refused]:
    """The table of blobs to refuse in the text of docs/format.md."""
    return [Refused(*match.groups()) for match in _ROW.finditer(document)]


def layers() -> dict[str, packing.PackedLayer]:
    """The layers whose vectors the document holds, by name."""
    small = np.zeros((4, 40), np.int8)
    small[0, [0, 1, 18, 39]] = [1, -2, 3, -128]
    small[2, 3:38:2] = np.arange(18) - 9
    small[2, 21] = 127
    small[3] = -1
    wide = np.zeros((2, 5000), np.int8)
    wide[0, [4990, 4991, 4999]] = [5, 6, 7]
    wide[1, [*range(15), 300]] = [*range(1, 16), -16]
    skewed = np.zeros((2, 600), np.int8)
    skewed[0, ::3] = 1
    skewed[0, [0, 3, 6, 9, 12, 15, 18]] = [2, -1, 127, -128, 2, 2, -1]
    skewed[1, 599] = 2
    found = {
        "dcsr": _layer(small, "dcsr4", packing.OP_CONV_2D, (1, 2)),
        "filter": _layer(small, "dcsr4", packing.OP_CONV_2D, (1, 1), filter_size=(2, 4)),
        "int16": dataclasses.replace(
            _layer(small, "dcsr4", packing.OP_FULLY_CONNECTED, (1, 1)),
            bias=packing.int16_bias(np.arange(4) * 1000 - 500, 4),
            input_zero_point=0,
            output_zero_point=0,
            activation_min=-32768,
            activation_max=300,
            int16_activations=True,
        ),
        "dcsr_escape": _layer(wide, "dcsr4", packing.OP_FULLY_CONNECTED, (1, 1)),
        "dcsr_bytes": _layer(wide, "dcsr8", packing.OP_FULLY_CONNECTED, (1, 1)),
        "offset8": _layer(wide, "offset8", packing.OP_FULLY_CONNECTED, (1, 1)),
        "rle": _layer(small, "rle", packing.OP_FULLY_CONNECTED, (1, 1)),
        "dense": _layer(small[:2, :5], "dense", packing.OP_FULLY_CONNECTED, (1, 1)),
        "rice": _layer(small, "rice", packing.OP_CONV_2D, (1, 2)),
        "bitmap": _layer(small, "bitmap", packing.OP_FULLY_CONNECTED, (1, 1)),
        "huffman": _layer(skewed, "rice+huffman", packing.OP_FULLY_CONNECTED, (1, 1)),
        "huffman_dcsr": _layer(small, "dcsr+huffman", packing.OP_CONV_2D, (1, 2)),
    }
    # Every other encoding has the matrix of rle.
    named = {layer.streams.encoding for layer in found.values()}
    for name in encodings.REGISTRY:
        if name not in named:
            found[name] = _layer(small, name, packing.OP_FULLY_CONNECTED, (1, 1))
    return found


def _layer(
    matrix: np.ndarray, encoding: str, op: int, stride: tuple[int, int], **options: object
) -> packing.PackedLayer:
    rows = matrix.shape[0]
    per_row = op == packing.OP_CONV_2D
    bias = np.arange(rows, dtype=np.int32) * 1000 - 500
    return packing.PackedLayer(
        op=op,
        streams=encodings.encode(matrix, encoding),
        bias=packing.fold_bias(bias, matrix, -5),
        multiplier=(np.arange(rows if per_row else 1) * 1000 + (5 << 28)).astype(np.int32),
        shift=-(np.arange(rows if per_row else 1) + 5).astype(np.int8),
        input_zero_point=-5,
        output_zero_point=7,
        activation_min=-100,
        activation_max=127,
        stride=stride,
        **options,
    )


_EXPLANATIONS = {
    "dcsr": "A CONV_2D with stride (1, 2), requantized per row. Row 0 has 1, -2, 3, -128 in columns 0, 1, 18, 39. Row 1"
    " is empty. Row 2 has -9 .. 8 in columns 3, 5 .. 37, except for 127 in column 21. Row 3 is -1 in every column.",
    "filter": "Vector dcsr with stride (1, 1), a filter of 2 x 4 pixels with 5 channels and VALID padding. The input is"
    " an image of the size of the filter.",
    "int16": "The matrix of vector dcsr as FULLY_CONNECTED with int16 activations: zero points 0, clamp -32768 .. 300,"
    " x and output are i16.",
    "dcsr_escape": "A FULLY_CONNECTED with eight and nine planes. The base of row 1 is escaped. Row 0 has 5, 6, 7"
    " in columns 4990, 4991, 4999. Row 1 has 1 .. 15 in columns 0 .. 14 and -16 in column 300.",
    "dcsr_bytes": "The matrix of dcsr_escape with 8-bit deltas. The base of row 0 is escaped. Row 1 has one plane, of"
    " which only lane 15 is 1.",
    "offset8": "The matrix of dcsr_escape. The first group of row 1 ends before column 300 and has one filler.",
    "rle": "The matrix of vector dcsr as FULLY_CONNECTED with one multiplier for all rows.",
    "dense": "Rows 0 and 1, columns 0 .. 4 of the matrix of vector dcsr.",
    "rice": "The matrix of vector dcsr.",
    "bitmap": "The matrix of vector dcsr as FULLY_CONNECTED.",
    "huffman": "A rice layer with Huffman-coded values of two raw bits. Row 0 has 1 in columns 0, 3 .. 597, except for"
    " 2, -1, 127, -128, 2, 2, -1 in columns 0, 3 .. 18. Row 1 has 2 in column 599.",
    "huffman_dcsr": "Vector dcsr with Huffman-coded values of four raw bits.",
}


_REFUSED = [
    Refused("dcsr", "size: 63", "kDcsrErrorTruncated", "shorter than a header"),
    Refused("dcsr", "size: 212", "kDcsrErrorTruncated", "shorter than `total_bytes`"),
    Refused("dcsr", "0: 44", "kDcsrErrorMagic", '"DCSR"'),
    Refused("dcsr", "4: 00", "kDcsrErrorVersion", "version 0"),
    Refused("dcsr", "4: 02", "kDcsrErrorVersion", "version 2"),
    Refused("dcsr", "5: 03", "kDcsrErrorHeader", "unknown op"),
    Refused("dcsr", "6: ff", "kDcsrErrorHeader", "unknown encoding"),
    Refused("dcsr", "7: 02", "kDcsrErrorHeader", "unknown value coding"),
    Refused("dcsr", "8: dc", "kDcsrErrorSections", "`total_bytes` is 4 more than the sections take"),
    Refused("dcsr", "8: d7", "kDcsrErrorSections", "`total_bytes` is not a multiple of 4"),
    Refused("dcsr", "12: 00", "kDcsrErrorHeader", "no rows"),
    Refused("dcsr", "12: 00 00 10 01", "kDcsrErrorHeader", "more than 2^20 rows"),
    Refused("dcsr", "16: 00", "kDcsrErrorHeader", "no columns"),
    Refused("dcsr", "16: 00 00 04 00", "kDcsrErrorHeader", "2^18 columns"),
    Refused("dcsr", "20: a1", "kDcsrErrorHeader", "161 elements in a 4 x 40 matrix"),
    Refused("dense", "20: 09", "kDcsrErrorHeader", "dense: `elements` is not rows * cols"),
    Refused("dcsr", "24: 80 00", "kDcsrErrorHeader", "input zero point 128 with int8 activations"),
    Refused("dcsr", "26: 7f ff", "kDcsrErrorHeader", "output zero point -129"),
    Refused("int16", "24: 01 00", "kDcsrErrorHeader", "input zero point 1 with int16 activations"),
    Refused("dcsr", "28: 7f 00 7e 00", "kDcsrErrorHeader", "`activation_min` above `activation_max`"),
    Refused("dcsr", "28: 00 80", "kDcsrErrorHeader", "`activation_min` -32768 with int8 activations"),
    Refused("dcsr", "33: 00", "kDcsrErrorHeader", "stride 0"),
    Refused("int16", "32: 02", "kDcsrErrorHeader", "FULLY_CONNECTED with a stride"),
    Refused("dcsr", "34: 09", "kDcsrErrorHeader", "reserved flag"),
    Refused("dcsr", "34: 05", "kDcsrErrorHeader", "1x1 filter with SAME padding"),
    Refused("dcsr", "35: 03", "kDcsrErrorHeader", "row lengths of 3 bytes"),
    Refused("dcsr", "35: 00", "kDcsrErrorHeader", "dcsr without row lengths"),
    Refused("bitmap", "35: 01", "kDcsrErrorHeader", "bitmap with row lengths"),
    Refused("dcsr", "36: 05", "kDcsrErrorHeader", "dcsr: deltas of 5 bits"),
    Refused("rice", "36: 00", "kDcsrErrorHeader", "rice: parameter 0"),
    Refused("rice", "36: 21", "kDcsrErrorHeader", "rice: parameter 33"),
    Refused("rle", "36: 01", "kDcsrErrorHeader", "`index_parameter` of an encoding that has none"),
    Refused("dcsr", "37: 01", "kDcsrErrorHeader", "`row_length_bits` without rice"),
    Refused("rice", "37: 13", "kDcsrErrorHeader", "rice: row lengths of 19 bits"),
    Refused("dcsr", "38: 01", "kDcsrErrorHeader", "`raw_bits` without huffman"),
    Refused("huffman", "38: 05", "kDcsrErrorHeader", "huffman: 5 raw bits"),
    Refused("dcsr", "39: 01", "kDcsrErrorHeader", "reserved byte"),
    Refused("dcsr", "40: 10", "kDcsrErrorSections", "`index_bytes` is 4 more than stored"),
    Refused("rle", "40: 1f", "kDcsrErrorHeader", "rle: `index_bytes` is not ceil(elements / 2)"),
    Refused("bitmap", "40: 13", "kDcsrErrorHeader", "bitmap: `index_bytes` is not ceil(rows * cols / 8)"),
    Refused("offset8", "44: 13", "kDcsrErrorHeader", "offset8: `delta_bytes` is not `elements`"),
    Refused("rle", "44: 04", "kDcsrErrorHeader", "delta section of an encoding that has none"),
    Refused("offset8", "48: 04", "kDcsrErrorHeader", "plane section of an encoding that has none"),
    Refused("dcsr", "56: 04", "kDcsrErrorHeader", "`value_bytes` without huffman"),
    Refused("huffman", "56: 1f", "kDcsrErrorHeader", "huffman: no room for the code lengths"),
    Refused("filter", "60: 00", "kDcsrErrorHeader", "filter of height 0 and width 4"),
    Refused("filter", "60: 01 01 01 01", "kDcsrErrorHeader", "1x1 filter that is not encoded as zeros"),
    Refused("filter", "60: 03", "kDcsrErrorHeader", "3 x 4 does not divide 40 columns"),
    Refused("filter", "63: 00", "kDcsrErrorHeader", "dilation 0"),
    Refused("dcsr_escape", "60: 02 04 01 01", "kDcsrErrorHeader", "FULLY_CONNECTED with a filter"),
    Refused("dcsr", "83: d0", "kDcsrErrorRequantize", "negative multiplier"),
    Refused("dcsr", "96: 1f", "kDcsrErrorRequantize", "shift 31"),
    Refused("dcsr", "96: e0", "kDcsrErrorRequantize", "shift -32"),
    Refused("int16", "100: 08", "kDcsrErrorRequantize", "shift 8 with int16 activations"),
    Refused("dcsr", "100: 05", "kDcsrErrorRowLength", "row lengths do not add up to `elements`"),
    Refused("dcsr", "102: 11 29", "kDcsrErrorRowLength", "41 elements in a row of 40 columns"),
    Refused("bitmap", "88: 07", "kDcsrErrorRowLength", "bitmap: not as many 1 bits as `elements`"),
    Refused("dcsr", "104: 61", "kDcsrErrorIndex", "dcsr: column -1"),
    Refused("dcsr", "105: 00", "kDcsrErrorIndex", "dcsr: column beyond the last one"),
    Refused("dcsr", "116: 00", "kDcsrErrorIndex", "dcsr: columns do not increase"),
    Refused("dcsr_escape", "88: 01 00 00 01", "kDcsrErrorIndex", "dcsr: base 2^24 + 1"),
    Refused("dcsr_escape", "84: 29", "kDcsrErrorIndex", "dcsr: the plane section ends too early"),
    Refused("dcsr_escape", "84: 27", "kDcsrErrorIndex", "dcsr: the plane section has bytes left over"),
    Refused("dcsr", "44: 20", "kDcsrErrorIndex", "dcsr: the delta section has a byte left over"),
    Refused("rle", "94: ff", "kDcsrErrorIndex", "rle: column beyond the last one"),
    Refused("offset8", "84: 88 13", "kDcsrErrorIndex", "offset8: column 5000 of 5000"),
    Refused("rice", "104: 00", "kDcsrErrorIndex", "rice: a quotient above cols >> k"),
    Refused("rice", "112: 03", "kDcsrErrorIndex", "rice: the quotients end too early"),
    Refused("rice", "40: 0a", "kDcsrErrorIndex", "rice: the quotients have a byte left over"),
    Refused("huffman", "241: 02", "kDcsrErrorValues", "huffman: incomplete code"),
    Refused("huffman", "241: 11", "kDcsrErrorValues", "huffman: more codes than fit"),
    Refused("huffman", "241: 09", "kDcsrErrorValues", "huffman: a code of 9 bits"),
    Refused("huffman", "168: ff ff ff ff", "kDcsrErrorValues", "huffman: the codes end too early"),
]


def document() -> str:
    """The sections of docs/format.md from the test vectors on."""
    parts = [
        "## Test vectors\n\n"
        "All vectors have input zero point -5, output zero point 7 and the clamp -100 .. 127. The bias of row r is"
        " 1000 r - 500 before folding.\n`layer` is the packed layer. `output` is its output for the input (one"
        " batch, or one output pixel) x[c] = (37 c + 11) mod 256 - 128.\n"
    ]
    for name, layer in layers().items():
        output = packing.run(layer, activations(layer))[1]
        explanation = _EXPLANATIONS.get(name, _EXPLANATIONS["rle"])
        parts.append(
            f"\n### Vector {name}\n\n{explanation}\n\nlayer\n\n```\n{_dump(packing.pack(layer))}```\n\n"
            f"output\n\n```\n{_dump(output.tobytes())}```\n"
        )
    parts.append(
        "\n## Blobs to refuse\n\n"
        "Each row changes a vector: `OFFSET: BYTES` overwrites bytes at a decimal offset, `size: N` keeps the first N"
        " bytes. A reader must refuse\nthe result. The status is that of the C reader (`dcsr_layer_parse`, then"
        " `dcsr_layer_validate`).\n\n| vector | change | status | reason |\n|---|---|---|---|\n"
    )
    parts += [f"| {r.vector} | `{r.change}` | `{r.status}` | {r.reason} |\n" for r in _REFUSED]
    return "".join(parts)


def header(vectors: list[Vector], refused: list[Refused]) -> str:
    """A C header with all vectors and all blobs to refuse."""
    parts = [
        "// The test vectors of docs/format.md. Generated; do not edit.\n\n#include <stdint.h>\n\n"
        '#include "tflm_kernels/packed_layer.h"\n'
    ]
    for vector in vectors:
        for key, data in (("layer", vector.layer), ("output", vector.output)):
            parts.append(
                f"\n_Alignas(4) static const uint8_t {vector.name}_{key}[] = {{\n"
                f"{cc_array.values(np.frombuffer(data, np.uint8))}}};\n"
            )
    rows = "".join(
        f'    {{"{v.name}", {v.name}_layer, sizeof({v.name}_layer), {v.name}_output, sizeof({v.name}_output)}},\n'
        for v in vectors
    )
    parts.append(
        "\nstatic const struct {\n  const char* name;\n  const uint8_t* layer;\n  uint32_t layer_bytes;\n"
        f"  const uint8_t* output;\n  uint32_t output_bytes;\n}} format_vectors[] = {{\n{rows}}};\n"
    )
    layers_by_name = {v.name: v.layer for v in vectors}
    for i, r in enumerate(refused):
        data = np.frombuffer(r.apply(layers_by_name[r.vector]), np.uint8)
        parts.append(f"\n_Alignas(4) static const uint8_t refused_{i}[] = {{\n{cc_array.values(data)}}};\n")
    rows = "".join(
        f'    {{"{r.vector} {r.change}", refused_{i}, sizeof(refused_{i}), {r.status}}},\n'
        for i, r in enumerate(refused)
    )
    parts.append(
        "\nstatic const struct {\n  const char* name;\n  const uint8_t* blob;\n  uint32_t blob_bytes;\n"
        f"  DcsrStatus status;\n}} format_refused[] = {{\n{rows}}};\n"
    )
    return "".join(parts)


def _dump(data: bytes) -> str:
    lines = [data[i : i + 16].hex(" ") for i in range(0, len(data), 16)]
    return "".join(f"{line}\n" for line in lines)


if __name__ == "__main__":
    if sys.argv[1] == "document":
        print(document(), end="")
    else:
        text = Path(sys.argv[2]).read_text()
        Path(sys.argv[3]).write_text(header(load(text), load_refused(text)))
