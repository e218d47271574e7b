"""Reads the test vectors of docs/format.md, and writes them as a C header or as the section of the document.

`format_vectors header docs/format.md OUT.h` writes the header, `format_vectors document` prints the section.
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
    """A packed layer and its output for its `activations`."""

    name: str
    layer: bytes
    output: bytes


_BLOCK = re.compile(
    r"^### Vector (?P<name>\w+)\n.*?^layer\n\n```\n(?P<layer>.*?)```\n\noutput\n\n```\n(?P<output>.*?)```",
    re.MULTILINE | re.DOTALL,
)


def activations(layer: packing.PackedLayer) -> np.ndarray:
    """The input [1, cols] of every vector: x[c] = (37 c + 11) mod 256 - 128, int8 or int16."""
    values = (37 * np.arange(layer.streams.cols) + 11) % 256 - 128
    return values.astype(np.int16 if layer.int16_activations else np.int8)[np.newaxis]


def load(document: str) -> list[Vector]:
    """Parses the vectors in the text of docs/format.md."""
    return [
        Vector(match["name"], bytes.fromhex(match["layer"]), bytes.fromhex(match["output"]))
        for match in _BLOCK.finditer(document)
    ]


def layers() -> dict[str, packing.PackedLayer]:
    """Returns the layers of the document's vectors, by name."""
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
    return {
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
    "dcsr": "A CONV_2D with stride (1, 2), requantised per row. Row 0 has 1, -2, 3, -128 in columns 0, 1, 18, 39;"
    " row 1 is empty; row 2 has -9 .. 8 in columns 3, 5 .. 37 except for 127 in column 21; row 3 is -1 throughout.",
    "filter": "The same with a filter of 2 x 4 pixels, five channels each, and VALID padding; the vector is an image of"
    " that size.",
    "int16": "The first matrix as FULLY_CONNECTED with int16 activations, zero points 0, clamped to -32768 .. 300; x"
    " and output are i16.",
    "dcsr_escape": "A FULLY_CONNECTED with many planes, eight and nine; the base of row 1 is escaped. Row 0 has"
    " 5, 6, 7 in columns 4990, 4991, 4999; row 1 has 1 .. 15 in columns 0 .. 14 and -16 in column 300.",
    "dcsr_bytes": "The matrix of dcsr_escape with deltas of 8 bits. Row 0 is escaped; row 1 has one plane, in which"
    " lane 15 is.",
    "offset8": "The matrix of dcsr_escape. The group of row 1 that ends before column 300 has one filler.",
    "rle": "The matrix of the first vector as FULLY_CONNECTED, requantised with one multiplier.",
    "dense": "Rows 0 and 1, columns 0 .. 4 of it.",
    "rice": "The matrix of the first vector.",
    "bitmap": "The same as FULLY_CONNECTED.",
    "huffman": "A rice layer with Huffman-coded values that have two raw bits. Row 0 has 1 in columns 0, 3 .. 597"
    " except for 2, -1, 127, -128, 2, 2, -1 in columns 0, 3 .. 18; row 1 has 2 in column 599.",
    "huffman_dcsr": "The first vector with Huffman-coded values that have four raw bits.",
}


def document() -> str:
    """Returns the section of docs/format.md."""
    parts = [
        "## Test vectors\n\n"
        "Input zero point -5, output zero point 7, activations clamped to -100 .. 127; the unfolded bias of row r is"
        " 1000 r - 500.\n`output` is the layer times one vector (one pixel) x[c] = (37 c + 11) mod 256 - 128.\n"
    ]
    for name, layer in layers().items():
        output = packing.run(layer, activations(layer))[1]
        parts.append(
            f"\n### Vector {name}\n\n{_EXPLANATIONS[name]}\n\nlayer\n\n```\n{_dump(packing.pack(layer))}```\n\n"
            f"output\n\n```\n{_dump(output.tobytes())}```\n"
        )
    return "".join(parts)


def header(vectors: list[Vector]) -> str:
    """Returns a C header with all vectors."""
    parts = ["// The test vectors of docs/format.md. Generated; do not edit.\n\n#include <stdint.h>\n"]
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
    return "".join(parts)


def _dump(data: bytes) -> str:
    lines = [data[i : i + 16].hex(" ") for i in range(0, len(data), 16)]
    return "".join(f"{line}\n" for line in lines)


if __name__ == "__main__":
    if sys.argv[1] == "document":
        print(document(), end="")
    else:
        Path(sys.argv[3]).write_text(header(load(Path(sys.argv[2]).read_text())))
