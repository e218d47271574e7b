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

from dcsr import cc_array, compact_rows, encodings, packing, shared_rows
from dcsr.requantize import layer_multipliers

# Of the vectors with shared or compact rows.
INPUT_SCALE, OUTPUT_SCALE = np.float32(0.05), np.float32(0.04)


@dataclass(frozen=True)
class Vector:
    """A packed layer and what it computes for its `activations`.

    Attributes:
      name: its name in the document.
      layer: the packed layer.
      shared: its shared rows; None if it has its own.
      output: the output.
    """

    name: str
    layer: bytes
    shared: bytes | None
    output: bytes


@dataclass(frozen=True)
class Refused:
    """A vector with a change after which a reader must refuse it.

    Attributes:
      vector: name of the vector.
      change: "OFFSET: BYTES" writes hexadecimal bytes at a decimal offset; "size: N" keeps the first N bytes. After
        "shared ", the change is to the shared rows.
      status: what parsing or, after kDcsrOk, validation in C returns.
      reason: for the reader of the document.
    """

    vector: str
    change: str
    status: str
    reason: str

    def apply(self, vector: Vector) -> tuple[bytes, bytes | None]:
        """Returns the changed (packed layer, shared rows) of the vector."""
        change = self.change.removeprefix("shared ")
        if change == self.change:
            return _changed(vector.layer, change), vector.shared
        assert vector.shared is not None
        return vector.layer, _changed(vector.shared, change)


def _changed(data: bytes, change: str) -> bytes:
    place, _, value = change.partition(": ")
    if place == "size":
        return data[: int(value)]
    changed = bytearray(data)
    new = bytes.fromhex(value)
    changed[int(place) : int(place) + len(new)] = new
    return bytes(changed)


_BLOCK = re.compile(
    r"^### Vector (?P<name>\w+)\n.*?^layer\n\n```\n(?P<layer>.*?)```\n\n"
    r"(shared\n\n```\n(?P<shared>.*?)```\n\n)?output\n\n```\n(?P<output>.*?)```",
    re.MULTILINE | re.DOTALL,
)

_ROW = re.compile(r"^\| (\w+) \| `([^`]+)` \| `(kDcsrError\w+)` \| (.*) \|$", re.MULTILINE)


def activations(layer: packing.PackedLayer) -> np.ndarray:
    """The input of every vector for packing.run: x[c] = (37 c + 11) mod 256 - 128, int8 or int16.

    A depthwise convolution reads an image of the size of its filter, in NHWC order.
    """
    is_depthwise = layer.op == packing.OP_DEPTHWISE_CONV_2D
    count = layer.streams.cols * (layer.channels if is_depthwise else 1)
    values = (37 * np.arange(count) + 11) % 256 - 128
    values = values.astype(np.int16 if layer.int16_activations else np.int8)
    return (values.reshape(-1, layer.channels).T if is_depthwise else values)[np.newaxis]


def load(document: str) -> list[Vector]:
    """The vectors in the text of docs/format.md."""
    return [
        Vector(
            match["name"],
            bytes.fromhex(match["layer"]),
            bytes.fromhex(match["shared"]) if match["shared"] else None,
            bytes.fromhex(match["output"]),
        )
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
        "int32_sums": dataclasses.replace(
            _layer(small, "dcsr4", packing.OP_CONV_2D, (1, 1)),
            bias=np.array([500, -700, 2**31 - 1, 900], np.int32),
            shift=np.array([-2, -9, 9, -1], np.int8),
            input_zero_point=0,
            output_zero_point=0,
            activation_min=-32768,
            activation_max=300,
            int16_activations=True,
            int32_sums=True,
        ),
        "dcsr_escape": _layer(wide, "dcsr4", packing.OP_FULLY_CONNECTED, (1, 1)),
        "dcsr_bytes": _layer(wide, "dcsr8", packing.OP_FULLY_CONNECTED, (1, 1)),
        "offset8": _layer(wide, "offset8", packing.OP_FULLY_CONNECTED, (1, 1)),
        "rle": _layer(small, "rle", packing.OP_FULLY_CONNECTED, (1, 1)),
        "dense": _layer(small[:2, :5], "dense", packing.OP_FULLY_CONNECTED, (1, 1)),
        "depthwise": _layer(
            small[2:, :12].reshape(4, 6),
            "dense",
            packing.OP_DEPTHWISE_CONV_2D,
            (2, 1),
            filter_size=(2, 3),
            depth_multiplier=2,
        ),
        "depthwise_huffman": _layer(
            small[2:3, 3:33].reshape(10, 3),
            "dense+huffman",
            packing.OP_DEPTHWISE_CONV_2D,
            (1, 1),
            filter_size=(1, 3),
            depth_multiplier=1,
        ),
        "rice": _layer(small, "rice", packing.OP_CONV_2D, (1, 2)),
        "bitmap": _layer(small, "bitmap", packing.OP_FULLY_CONNECTED, (1, 1)),
        "huffman": _layer(skewed, "rice+huffman", packing.OP_FULLY_CONNECTED, (1, 1)),
        "huffman_dcsr": _layer(small, "dcsr+huffman", packing.OP_CONV_2D, (1, 2)),
    }
    found["shared"] = _with_shared_rows(found["rice"], [0.01, 0.02, 0.0, 0.03], np.arange(4) * 1000 - 500)
    found["shared_int16"] = dataclasses.replace(found["int16"], bias=packing.int16_bias(None, 4))
    found["shared_int16"] = _with_shared_rows(found["shared_int16"], [0.01], None)
    found["compact"] = _with_compact_rows(found["rice"], [0.01, 0.02, 0.0, 0.03])
    found["checksum"] = dataclasses.replace(found["rice"], has_checksum=True)
    found["compact_checksum"] = dataclasses.replace(found["compact"], has_checksum=True)
    planes = packing.Planes((2, 3), has_input=True, has_output=True)
    found["planes"] = dataclasses.replace(found["depthwise"], planes=planes)
    planes = packing.Planes((1, 2), has_input=True, has_output=False, is_transposed=True)
    found["planes_compact"] = dataclasses.replace(found["compact"], planes=planes)
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
    per_row = op != packing.OP_FULLY_CONNECTED
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


def _with_shared_rows(
    layer: packing.PackedLayer, weight_scale: list[float], bias: np.ndarray | None
) -> packing.PackedLayer:
    """Returns the layer with shared rows and with multipliers and shifts that follow from the scales."""
    scale = np.array(weight_scale, np.float32)
    multiplier, shift = layer_multipliers(INPUT_SCALE, scale, OUTPUT_SCALE, product_in_float=False)
    found = shared_rows.find_ratio(INPUT_SCALE, scale, OUTPUT_SCALE, (multiplier, shift), 7)
    assert found is not None
    return dataclasses.replace(
        layer, multiplier=multiplier, shift=shift, shared=shared_rows.SharedRows(scale, *found, bias)
    )


def _with_compact_rows(layer: packing.PackedLayer, weight_scale: list[float]) -> packing.PackedLayer:
    """Returns the layer with compact rows and with multipliers and shifts that follow from the scales."""
    scale = np.array(weight_scale, np.float32)
    multiplier, shift = layer_multipliers(INPUT_SCALE, scale, OUTPUT_SCALE, product_in_float=False)
    found = compact_rows.find(layer.bias, (multiplier, shift), scale, INPUT_SCALE, OUTPUT_SCALE)
    assert found is not None
    return dataclasses.replace(layer, multiplier=multiplier, shift=shift, compact=found)


_EXPLANATIONS = {
    "dcsr": "A CONV_2D with stride (1, 2), requantized per row. Row 0 has 1, -2, 3, -128 in columns 0, 1, 18, 39. Row 1"
    " is empty. Row 2 has -9 .. 8 in columns 3, 5 .. 37, except for 127 in column 21. Row 3 is -1 in every column.",
    "filter": "Vector dcsr with stride (1, 1), a filter of 2 x 4 pixels with 5 channels and VALID padding. The input is"
    " an image of the size of the filter.",
    "int32_sums": "The matrix of vector dcsr as CONV_2D with int16 activations and sums of 32 bits: zero points 0,"
    " clamp -32768 .. 300, x and output are i16. The biases are 500, -700, 2^31 - 1, 900, and the shifts -2, -9, 9,"
    " -1.",
    "int16": "The matrix of vector dcsr as FULLY_CONNECTED with int16 activations: zero points 0, clamp -32768 .. 300,"
    " x and output are i16.",
    "dcsr_escape": "A FULLY_CONNECTED with eight and nine planes. The base of row 1 is escaped. Row 0 has 5, 6, 7"
    " in columns 4990, 4991, 4999. Row 1 has 1 .. 15 in columns 0 .. 14 and -16 in column 300.",
    "dcsr_bytes": "The matrix of dcsr_escape with 8-bit deltas. The base of row 0 is escaped. Row 1 has one plane, of"
    " which only lane 15 is 1.",
    "offset8": "The matrix of dcsr_escape. The first group of row 1 ends before column 300 and has one filler.",
    "rle": "The matrix of vector dcsr as FULLY_CONNECTED with one multiplier for all rows.",
    "dense": "Rows 0 and 1, columns 0 .. 4 of the matrix of vector dcsr.",
    "depthwise": "A DEPTHWISE_CONV_2D with stride (2, 1), a filter of 2 x 3 pixels, VALID padding and depth multiplier"
    " 2: 2 input channels, 4 output channels. Its rows are halves of columns 0 .. 11 of rows 2 and 3 of vector dcsr."
    " The input is an image of the size of the filter.",
    "depthwise_huffman": "A DEPTHWISE_CONV_2D of 10 channels with a filter of 1 x 3 pixels and depth multiplier 1. Its"
    " rows are columns 3 .. 32 of row 2 of vector dcsr.",
    "rice": "The matrix of vector dcsr.",
    "bitmap": "The matrix of vector dcsr as FULLY_CONNECTED.",
    "huffman": "A rice layer with Huffman-coded values of two raw bits. Row 0 has 1 in columns 0, 3 .. 597, except for"
    " 2, -1, 127, -128, 2, 2, -1 in columns 0, 3 .. 18. Row 1 has 2 in column 599.",
    "shared": "Vector rice with shared rows: weight scales 0.01, 0.02, 0 and 0.03, input scale 0.05, output scale"
    " 0.04.",
    "compact": "Vector rice with compact rows and the scales of vector shared. Row 2 is an exception.",
    "checksum": "Vector rice with a checksum.",
    "compact_checksum": "Vector compact with a checksum.",
    "shared_int16": "Vector int16 with shared rows, one weight scale of 0.01, and without bias.",
    "planes": "Vector depthwise with planes at both ends. The output is the first byte of each plane.",
    "planes_compact": "Vector compact with its input in planes, transposed, and an NHWC output. The map of the input"
    " has 1 x 2 pixels, of which the second is not read.",
    "huffman_dcsr": "Vector dcsr with Huffman-coded values of four raw bits.",
}


_REFUSED = [
    Refused("dcsr", "size: 63", "kDcsrErrorTruncated", "shorter than a header"),
    Refused("dcsr", "size: 212", "kDcsrErrorTruncated", "shorter than `total_bytes`"),
    Refused("dcsr", "size: 0", "kDcsrErrorTruncated", "empty"),
    Refused("dcsr", "size: 64", "kDcsrErrorTruncated", "a header without sections"),
    Refused("dcsr", "0: 44", "kDcsrErrorMagic", '"DCSR"'),
    Refused("dcsr", "4: 00", "kDcsrErrorVersion", "version 0"),
    Refused("dcsr", "4: 02", "kDcsrErrorVersion", "version 2"),
    Refused("dcsr", "5: 06", "kDcsrErrorHeader", "unknown op"),
    Refused("dcsr", "5: 03", "kDcsrErrorHeader", "DEPTHWISE_CONV_2D with more columns than taps"),
    Refused("dcsr", "39: 01", "kDcsrErrorHeader", "a depth multiplier of CONV_2D"),
    Refused("rle", "39: 01", "kDcsrErrorHeader", "a depth multiplier of FULLY_CONNECTED"),
    Refused("depthwise", "39: 00", "kDcsrErrorHeader", "depth multiplier 0"),
    Refused("depthwise", "39: 03", "kDcsrErrorHeader", "depth multiplier 3 of 4 rows"),
    Refused("depthwise", "39: 08", "kDcsrErrorHeader", "depth multiplier 8 of 4 rows"),
    Refused("depthwise", "60: 03", "kDcsrErrorHeader", "a depthwise filter with more taps than columns"),
    Refused("depthwise", "60: 01", "kDcsrErrorHeader", "a depthwise filter with fewer taps than columns"),
    Refused("depthwise", "60: 00 00 00 00", "kDcsrErrorHeader", "a depthwise 1x1 filter with 6 columns"),
    Refused("int16", "34: 23", "kDcsrErrorHeader", "FULLY_CONNECTED with sums of 32 bits"),
    Refused("dcsr", "34: 21", "kDcsrErrorHeader", "sums of 32 bits with int8 activations"),
    Refused("int32_sums", "34: 22", "kDcsrErrorSections", "one multiplier for all rows, but the sections of four"),
    Refused("depthwise", "34: 03", "kDcsrErrorHeader", "DEPTHWISE_CONV_2D with int16 activations"),
    Refused("shared", "5: 03", "kDcsrErrorHeader", "DEPTHWISE_CONV_2D with shared rows"),
    Refused("depthwise", "20: 17", "kDcsrErrorHeader", "depthwise, dense: `elements` is not rows * cols"),
    Refused("dcsr", "5: 00", "kDcsrErrorHeader", "op 0"),
    Refused("dcsr", "6: ff", "kDcsrErrorHeader", "unknown encoding"),
    Refused("dcsr", "7: 02", "kDcsrErrorHeader", "unknown value coding"),
    Refused("dcsr", "8: dc", "kDcsrErrorSections", "`total_bytes` is 4 more than the sections take"),
    Refused("dcsr", "8: d7", "kDcsrErrorSections", "`total_bytes` is not a multiple of 4"),
    Refused("dcsr", "8: d4", "kDcsrErrorSections", "`total_bytes` is 4 less than the sections take"),
    Refused("dcsr", "8: d8 00 00 80", "kDcsrErrorSections", "`total_bytes` 2^31 + 216"),
    Refused("dcsr", "12: 00", "kDcsrErrorHeader", "no rows"),
    Refused("dcsr", "12: 00 00 10 01", "kDcsrErrorHeader", "more than 2^20 rows"),
    Refused("dcsr", "12: 01 20 00 00 ff ff 03 00", "kDcsrErrorHeader", "8193 x 262143 weights, more than 2^31 - 1"),
    Refused("dcsr", "12: 00 00 01 00 01 00 01 00", "kDcsrErrorHeader", "65536 x 65537 weights: 2^16 modulo 2^32"),
    Refused("dcsr", "16: 00", "kDcsrErrorHeader", "no columns"),
    Refused("dcsr", "16: 00 00 04 00", "kDcsrErrorHeader", "2^18 columns"),
    Refused("dcsr", "20: a1", "kDcsrErrorHeader", "161 elements in a 4 x 40 matrix"),
    Refused("dense", "20: 09", "kDcsrErrorHeader", "dense: `elements` is not rows * cols"),
    Refused("dcsr", "24: 80 00", "kDcsrErrorHeader", "input zero point 128 with int8 activations"),
    Refused("int16", "24: 01 00", "kDcsrErrorHeader", "input zero point 1 with int16 activations"),
    Refused("dcsr", "26: 7f ff", "kDcsrErrorHeader", "output zero point -129"),
    Refused("int16", "26: ff ff", "kDcsrErrorHeader", "output zero point -1 with int16 activations"),
    Refused("dcsr", "28: 7f 00 7e 00", "kDcsrErrorHeader", "`activation_min` above `activation_max`"),
    Refused("dcsr", "28: 00 80", "kDcsrErrorHeader", "`activation_min` -32768 with int8 activations"),
    Refused("int16", "28: 2d 01", "kDcsrErrorHeader", "`activation_min` 301 above `activation_max` 300"),
    Refused("dcsr", "30: 80 00", "kDcsrErrorHeader", "`activation_max` 128 with int8 activations"),
    Refused("int16", "32: 02", "kDcsrErrorHeader", "FULLY_CONNECTED with a stride"),
    Refused("dcsr", "32: 00", "kDcsrErrorHeader", "vertical stride 0"),
    Refused("dcsr", "33: 00", "kDcsrErrorHeader", "stride 0"),
    Refused("int16", "33: 02", "kDcsrErrorHeader", "FULLY_CONNECTED with a horizontal stride"),
    Refused("dcsr", "34: 09", "kDcsrErrorHeader", "reserved flag"),
    Refused("dcsr", "34: 05", "kDcsrErrorHeader", "1x1 filter with SAME padding"),
    Refused("int16", "34: 06", "kDcsrErrorHeader", "FULLY_CONNECTED with SAME padding"),
    Refused("dcsr", "34: 41", "kDcsrErrorVersion", "version 1 with the flag of a checksum"),
    Refused("dcsr", "35: 03", "kDcsrErrorHeader", "row lengths of 3 bytes"),
    Refused("dcsr", "35: 00", "kDcsrErrorHeader", "dcsr without row lengths"),
    Refused("bitmap", "35: 01", "kDcsrErrorHeader", "bitmap with row lengths"),
    Refused("rle", "35: 00", "kDcsrErrorHeader", "rle without row lengths"),
    Refused("offset8", "35: 00", "kDcsrErrorHeader", "offset8 without row lengths"),
    Refused("offset8", "35: 08", "kDcsrErrorHeader", "row lengths of 8 bytes"),
    Refused("dense", "35: 01", "kDcsrErrorHeader", "dense with row lengths"),
    Refused("rice", "35: 01", "kDcsrErrorHeader", "rice with row lengths in bytes"),
    Refused("dcsr", "36: 05", "kDcsrErrorHeader", "dcsr: deltas of 5 bits"),
    Refused("rice", "36: 00", "kDcsrErrorHeader", "rice: parameter 0"),
    Refused("rice", "36: 21", "kDcsrErrorHeader", "rice: parameter 33"),
    Refused("rle", "36: 01", "kDcsrErrorHeader", "`index_parameter` of an encoding that has none"),
    Refused("dcsr", "36: 00", "kDcsrErrorHeader", "dcsr: deltas of 0 bits"),
    Refused("dense", "36: 01", "kDcsrErrorHeader", "dense with an `index_parameter`"),
    Refused("offset8", "36: 04", "kDcsrErrorHeader", "offset8 with an `index_parameter`"),
    Refused("bitmap", "36: 01", "kDcsrErrorHeader", "bitmap with an `index_parameter`"),
    Refused("dcsr", "37: 01", "kDcsrErrorHeader", "`row_length_bits` without rice"),
    Refused("rice", "37: 13", "kDcsrErrorHeader", "rice: row lengths of 19 bits"),
    Refused("dcsr", "38: 01", "kDcsrErrorHeader", "`raw_bits` without huffman"),
    Refused("huffman", "38: 05", "kDcsrErrorHeader", "huffman: 5 raw bits"),
    Refused("huffman", "39: 80", "kDcsrErrorHeader", "reserved byte"),
    Refused("dcsr", "40: 10", "kDcsrErrorSections", "`index_bytes` is 4 more than stored"),
    Refused("rle", "40: 1f", "kDcsrErrorHeader", "rle: `index_bytes` is not ceil(elements / 2)"),
    Refused("bitmap", "40: 13", "kDcsrErrorHeader", "bitmap: `index_bytes` is not ceil(rows * cols / 8)"),
    Refused("dense", "40: 04", "kDcsrErrorHeader", "dense with an index section"),
    Refused("rice", "40: 07", "kDcsrErrorHeader", "rice: fewer bits of quotients than elements"),
    Refused("offset8", "44: 13", "kDcsrErrorHeader", "offset8: `delta_bytes` is not `elements`"),
    Refused("rle", "44: 04", "kDcsrErrorHeader", "delta section of an encoding that has none"),
    Refused("dense", "44: 04", "kDcsrErrorHeader", "dense with a delta section"),
    Refused("bitmap", "44: 04", "kDcsrErrorHeader", "bitmap with a delta section"),
    Refused("offset8", "48: 04", "kDcsrErrorHeader", "plane section of an encoding that has none"),
    Refused("dense", "48: 04", "kDcsrErrorHeader", "dense with a plane section"),
    Refused("rice", "48: 04", "kDcsrErrorHeader", "rice with a plane section"),
    Refused("rle", "48: 04", "kDcsrErrorHeader", "rle with a plane section"),
    Refused("dcsr", "56: 04", "kDcsrErrorHeader", "`value_bytes` without huffman"),
    Refused("huffman", "56: 1f", "kDcsrErrorHeader", "huffman: no room for the code lengths"),
    Refused("huffman", "56: 38", "kDcsrErrorHeader", "huffman: fewer bits of codes than elements"),
    Refused("filter", "60: 00", "kDcsrErrorHeader", "filter of height 0 and width 4"),
    Refused("filter", "60: 01 01 01 01", "kDcsrErrorHeader", "1x1 filter that is not encoded as zeros"),
    Refused("filter", "60: 03", "kDcsrErrorHeader", "3 x 4 does not divide 40 columns"),
    Refused("dcsr_escape", "60: 02 04 01 01", "kDcsrErrorHeader", "FULLY_CONNECTED with a filter"),
    Refused("filter", "60: 00 00 01 01", "kDcsrErrorHeader", "1x1 filter with dilations"),
    Refused("filter", "60: 01 01 02 02", "kDcsrErrorHeader", "1x1 filter with dilations of 2"),
    Refused("filter", "61: 00", "kDcsrErrorHeader", "filter of height 2 and width 0"),
    Refused("filter", "62: 00", "kDcsrErrorHeader", "vertical dilation 0"),
    Refused("filter", "63: 00", "kDcsrErrorHeader", "dilation 0"),
    Refused("dcsr", "83: d0", "kDcsrErrorRequantize", "negative multiplier"),
    Refused("dcsr", "96: 1f", "kDcsrErrorRequantize", "shift 31"),
    Refused("dcsr", "96: e0", "kDcsrErrorRequantize", "shift -32"),
    Refused("int16", "100: 08", "kDcsrErrorRequantize", "shift 8 with int16 activations"),
    Refused("bitmap", "83: 80", "kDcsrErrorRequantize", "one multiplier for all rows, negative"),
    Refused("bitmap", "84: 1f", "kDcsrErrorRequantize", "one shift for all rows, 31"),
    Refused("int16", "100: e0", "kDcsrErrorRequantize", "shift -32 with int16 activations"),
    Refused("dcsr", "100: 05", "kDcsrErrorRowLength", "row lengths do not add up to `elements`"),
    Refused("dcsr", "102: 11 29", "kDcsrErrorRowLength", "41 elements in a row of 40 columns"),
    Refused("bitmap", "88: 07", "kDcsrErrorRowLength", "bitmap: not as many 1 bits as `elements`"),
    Refused("rle", "20: 3f", "kDcsrErrorRowLength", "rle: 63 elements, one less than the row lengths have"),
    Refused("rice", "101: 60", "kDcsrErrorRowLength", "rice: row lengths do not add up"),
    Refused("bitmap", "20: 3d", "kDcsrErrorRowLength", "bitmap: fewer elements than 1 bits"),
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
    Refused("dcsr_escape", "88: ff ff ff fe", "kDcsrErrorIndex", "dcsr: base -2^24 - 1"),
    Refused("dcsr", "40: 0a", "kDcsrErrorIndex", "dcsr: descriptors end too early"),
    Refused("dcsr_bytes", "44: 14", "kDcsrErrorIndex", "dcsr8: the delta section has a byte left over"),
    Refused("dcsr_bytes", "44: 12", "kDcsrErrorIndex", "dcsr8: the delta section ends too early"),
    Refused("dcsr", "44: 1e", "kDcsrErrorIndex", "dcsr: the delta section ends too early"),
    Refused("offset8", "40: 05", "kDcsrErrorIndex", "offset8: the steps end within a step"),
    Refused("offset8", "40: 07", "kDcsrErrorIndex", "offset8: the steps have a byte left over"),
    Refused("offset8", "40: 08", "kDcsrErrorIndex", "offset8: the steps have a step left over"),
    Refused("rice", "44: 03", "kDcsrErrorIndex", "rice: the remainders end too early"),
    Refused("rice", "36: 01", "kDcsrErrorIndex", "rice: another parameter, so remainders of another size"),
    Refused("huffman", "241: 02", "kDcsrErrorValues", "huffman: incomplete code"),
    Refused("huffman", "241: 11", "kDcsrErrorValues", "huffman: more codes than fit"),
    Refused("huffman", "241: 09", "kDcsrErrorValues", "huffman: a code of 9 bits"),
    Refused("huffman", "168: ff ff ff ff", "kDcsrErrorValues", "huffman: the codes end too early"),
    Refused("huffman", "56: 6e", "kDcsrErrorValues", "huffman: the codes have a byte left over"),
    Refused("shared", "size: 63", "kDcsrErrorTruncated", "shorter than a header"),
    Refused("shared", "size: 84", "kDcsrErrorTruncated", "shared rows: shorter than `total_bytes`"),
    Refused("shared", "shared size: 0", "kDcsrErrorTruncated", "shared rows: empty"),
    Refused("shared", "shared size: 96", "kDcsrErrorTruncated", "shared rows: shorter than the streams"),
    Refused("shared", "4: 01", "kDcsrErrorVersion", "version 1 with shared rows"),
    Refused("shared", "4: 03", "kDcsrErrorVersion", "version 3"),
    Refused("shared", "8: 5c", "kDcsrErrorSections", "shared rows: `total_bytes` is 4 more than the sections take"),
    Refused("shared", "34: 01", "kDcsrErrorSections", "shared rows: a bias section without its flag"),
    Refused("dcsr", "34: 09", "kDcsrErrorHeader", "bias flag of shared rows in version 1"),
    Refused("shared", "34: 29", "kDcsrErrorHeader", "shared rows: reserved flag"),
    Refused("shared", "69: 7f", "kDcsrErrorHeader", "shared rows: a ratio below 2^47"),
    Refused("shared", "70: ff 7f", "kDcsrErrorRequantize", "shared rows: a shift above 30"),
    Refused("shared_int16", "70: 0f", "kDcsrErrorRequantize", "shared rows: shift 8 with int16 activations"),
    Refused("shared", "shared 3: bc", "kDcsrErrorRequantize", "shared rows: a negative weight scale"),
    Refused("shared", "shared 0: 00 00 80 7f", "kDcsrErrorRequantize", "shared rows: an infinite weight scale"),
    Refused("shared", "shared 8: 01", "kDcsrErrorRequantize", "shared rows: a weight scale that is not normal"),
    Refused("shared", "shared 16: ff", "kDcsrErrorRowLength", "shared rows: row lengths do not add up"),
    Refused("shared", "shared 20: 00", "kDcsrErrorIndex", "shared rows: a quotient above cols >> k"),
    Refused("compact", "size: 79", "kDcsrErrorTruncated", "compact rows: shorter than their head"),
    Refused("compact", "size: 196", "kDcsrErrorTruncated", "compact rows: shorter than `total_bytes`"),
    Refused("compact", "4: 01", "kDcsrErrorVersion", "compact rows: version 1"),
    Refused("compact", "34: 01", "kDcsrErrorVersion", "compact rows: without their flag"),
    Refused("compact", "34: 10", "kDcsrErrorHeader", "compact rows: one multiplier for all rows"),
    Refused("compact", "34: 13", "kDcsrErrorHeader", "compact rows: int16 activations"),
    Refused("compact", "34: 19", "kDcsrErrorHeader", "compact rows: bias flag of shared rows"),
    Refused("compact", "34: 31", "kDcsrErrorHeader", "compact rows: reserved flag"),
    Refused("compact", "71: 80", "kDcsrErrorRequantize", "compact rows: negative multipliers"),
    Refused("compact", "76: 20 00", "kDcsrErrorRequantize", "compact rows: a shift above 30"),
    Refused("compact", "76: d0 ff", "kDcsrErrorRequantize", "compact rows: a shift below -31"),
    Refused("compact", "78: 00", "kDcsrErrorSections", "compact rows: fewer exceptions than stored"),
    Refused("compact", "78: 01 01", "kDcsrErrorSections", "compact rows: 257 exceptions"),
    Refused("compact", "87: 80", "kDcsrErrorRequantize", "compact rows: negative multiplier of an exception"),
    Refused("compact", "88: 1f", "kDcsrErrorRequantize", "compact rows: shift 31 of an exception"),
    Refused("compact", "88: e0 ff ff ff", "kDcsrErrorRequantize", "compact rows: shift -32 of an exception"),
    Refused("compact", "100: 01", "kDcsrErrorRequantize", "compact rows: an exception that does not exist"),
    Refused(
        "compact", "108: 00 00", "kDcsrErrorRequantize", "compact rows: a record that is no number of an exception"
    ),
    Refused("compact", "116: ff", "kDcsrErrorRowLength", "compact rows: row lengths do not add up"),
    Refused("shared", "34: 49", "kDcsrErrorVersion", "shared rows with the flag of a checksum"),
    Refused("checksum", "4: 01", "kDcsrErrorVersion", "checksum: version 1"),
    Refused("checksum", "34: 01", "kDcsrErrorVersion", "checksum: without its flag"),
    Refused("checksum", "34: 49", "kDcsrErrorHeader", "checksum: bias flag of shared rows"),
    Refused("checksum", "8: b8 00", "kDcsrErrorSections", "checksum: `total_bytes` ends before the checksum"),
    Refused("checksum", "size: 187", "kDcsrErrorTruncated", "checksum: shorter than `total_bytes`"),
    Refused("checksum", "24: fc", "kDcsrErrorChecksum", "checksum: another input zero point"),
    Refused("checksum", "128: 02", "kDcsrErrorChecksum", "checksum: another value"),
    Refused("checksum", "184: 00", "kDcsrErrorChecksum", "checksum: another checksum"),
    Refused("compact_checksum", "64: 00", "kDcsrErrorChecksum", "checksum: another ratio of compact rows"),
    Refused("planes", "size: 71", "kDcsrErrorTruncated", "layout: shorter than it"),
    Refused("planes", "5: 06", "kDcsrErrorHeader", "unknown op, after those with a layout"),
    Refused("planes", "5: 03", "kDcsrErrorSections", "layout: an op without a layout"),
    Refused("planes", "4: 02", "kDcsrErrorVersion", "layout: version 2 with plain rows"),
    Refused("planes", "34: 03", "kDcsrErrorHeader", "layout: int16 activations"),
    Refused("planes", "34: 09", "kDcsrErrorHeader", "layout: bias flag of shared rows"),
    Refused("planes", "64: 00", "kDcsrErrorLayout", "layout: a map without rows"),
    Refused("planes", "64: 01", "kDcsrErrorLayout", "layout: a map that is smaller than the filter"),
    Refused("planes", "66: 00", "kDcsrErrorLayout", "layout: a map without columns"),
    Refused("planes", "64: ff ff ff ff", "kDcsrErrorLayout", "layout: planes of more than 2^31 - 1 bytes"),
    Refused("planes", "68: 02", "kDcsrErrorLayout", "layout: unknown layout of the input"),
    Refused("planes", "69: 02", "kDcsrErrorLayout", "layout: unknown layout of the output"),
    Refused("planes", "68: 00 00", "kDcsrErrorLayout", "layout: NHWC at both ends"),
    Refused("planes", "70: 02", "kDcsrErrorLayout", "layout: transposed twice"),
    Refused("planes", "71: 01", "kDcsrErrorLayout", "layout: reserved byte"),
    Refused("planes_compact", "68: 00", "kDcsrErrorLayout", "compact rows with a layout: NHWC at both ends"),
    Refused("shared", "5: 04", "kDcsrErrorHeader", "shared rows with a layout"),
    Refused("huffman", "38: 01", "kDcsrErrorValues", "huffman: 1 raw bit, but a table of lengths for 2"),
]


def document() -> str:
    """The sections of docs/format.md from the test vectors on."""
    parts = [
        "## Test vectors\n\n"
        "All vectors have input zero point -5, output zero point 7 and the clamp -100 .. 127. The bias of row r is"
        " 1000 r - 500 before folding.\n`layer` is the packed layer, and `shared` are its shared rows. `output` is its"
        " output for the input (one batch, or one output pixel)\nx[c] = (37 c + 11) mod 256 - 128.\n"
    ]
    for name, layer in layers().items():
        output = packing.run(layer, activations(layer))[1]
        explanation = _EXPLANATIONS.get(name, _EXPLANATIONS["rle"])
        blocks = {"layer": packing.pack(layer), "shared": packing.pack_shared(layer), "output": output.tobytes()}
        parts.append(f"\n### Vector {name}\n\n{explanation}\n")
        parts += [f"\n{key}\n\n```\n{_dump(data)}```\n" for key, data in blocks.items() if data is not None]
    parts.append(
        "\n## Blobs to refuse\n\n"
        "Each row changes a vector: `OFFSET: BYTES` overwrites bytes at a decimal offset, `size: N` keeps the first N"
        " bytes. After `shared`\nit changes the shared rows. A reader must refuse the result. The status is that of"
        " the C reader (`dcsr_layer_parse`, then `dcsr_layer_validate`;\nwith shared rows `dcsr_shared_layer_parse` and"
        " `dcsr_shared_layer_validate`).\n\n| vector | change | status | reason |\n|---|---|---|---|\n"
    )
    parts += [f"| {r.vector} | `{r.change}` | `{r.status}` | {r.reason} |\n" for r in _REFUSED]
    return "".join(parts)


def header(vectors: list[Vector], refused: list[Refused]) -> str:
    """A C header with all vectors and all blobs to refuse."""
    parts = [
        "// The test vectors of docs/format.md. Generated; do not edit.\n\n#include <stddef.h>\n#include <stdint.h>\n\n"
        '#include "tflm_kernels/packed_layer.h"\n'
    ]
    for vector in vectors:
        for key, data in (("layer", vector.layer), ("shared", vector.shared), ("output", vector.output)):
            if data is not None:
                parts.append(_array(f"{vector.name}_{key}", data))
    rows = "".join(
        f'    {{"{v.name}", {_view(f"{v.name}_layer", v.layer)}, {_view(f"{v.name}_shared", v.shared)},'
        f" {_view(f'{v.name}_output', v.output)}}},\n"
        for v in vectors
    )
    parts.append(
        "\nstatic const struct {\n  const char* name;\n  const uint8_t* layer;\n  uint32_t layer_bytes;\n"
        "  const uint8_t* shared;  // NULL if the layer has its own rows\n  uint32_t shared_bytes;\n"
        f"  const uint8_t* output;\n  uint32_t output_bytes;\n}} format_vectors[] = {{\n{rows}}};\n"
    )
    vectors_by_name = {v.name: v for v in vectors}
    blobs = [r.apply(vectors_by_name[r.vector]) for r in refused]
    for i, (layer, shared) in enumerate(blobs):
        parts.append(_array(f"refused_{i}", layer))
        if shared is not None:
            parts.append(_array(f"refused_shared_{i}", shared))
    rows = "".join(
        f'    {{"{r.vector} {r.change}", {_view(f"refused_{i}", layer)}, {_view(f"refused_shared_{i}", shared)},'
        f" {r.status}}},\n"
        for i, (r, (layer, shared)) in enumerate(zip(refused, blobs, strict=True))
    )
    parts.append(
        "\nstatic const struct {\n  const char* name;\n  const uint8_t* blob;\n  uint32_t blob_bytes;\n"
        "  const uint8_t* shared;\n  uint32_t shared_bytes;\n"
        f"  DcsrStatus status;\n}} format_refused[] = {{\n{rows}}};\n"
    )
    return "".join(parts)


def _array(name: str, data: bytes) -> str:
    values = cc_array.values(np.frombuffer(data or bytes(1), np.uint8))  # C has no empty arrays
    return f"\n_Alignas(4) static const uint8_t {name}[] = {{\n{values}}};\n"


def _view(name: str, data: bytes | None) -> str:
    """Returns the initialisers of a pointer and a size."""
    return "NULL, 0" if data is None else f"{name}, {len(data)}"


def _dump(data: bytes) -> str:
    lines = [data[i : i + 16].hex(" ") for i in range(0, len(data), 16)]
    return "".join(f"{line}\n" for line in lines)


if __name__ == "__main__":
    if sys.argv[1] == "document":
        print(document(), end="")
    else:
        text = Path(sys.argv[2]).read_text()
        Path(sys.argv[3]).write_text(header(load(text), load_refused(text)))
