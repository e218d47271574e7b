"""Serialises and parses packed layers (docs/format.md): one constant tensor with all data that a kernel needs.

The streams of a layer with shared rows are in a second tensor, which other layers read, too.
"""

from __future__ import annotations

import dataclasses
import itertools
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from dcsr import compact_rows, encodings
from dcsr.compact_rows import CompactRows
from dcsr.encodings import Streams, bits, huffman
from dcsr.encodings.streams import LENGTH_BITS, LENGTH_BYTES, Layout
from dcsr.requantize import INT8_RANGE, INT16_RANGE, MAX_INT16_SHIFT, MAX_SHIFT, requantize, requantize_int16
from dcsr.shared_rows import RATIO_BITS, SharedRows, multipliers

MAGIC = b"dCSR"
VERSION = 1
VERSION_2 = 2  # with shared rows, compact rows or a checksum
HEADER_BYTES = 64
OP_CONV_2D = 1
OP_FULLY_CONNECTED = 2
OP_DEPTHWISE_CONV_2D = 3
MAX_STRIDE = 255  # also the limit of filter sizes and dilations

_HEADER = struct.Struct("<4s4B4I4h8B5I4B")
# The header fields that describe the streams and their place: encoding and value_coding, rows to elements, flags to
# plane_bytes, value_bytes.
_OF_STREAMS = (slice(6, 8), slice(12, 24), slice(34, 52), slice(56, 60))
_FLAG_PER_ROW = 1
_FLAG_INT16 = 2
_FLAG_SAME_PADDING = 4
_FLAG_INT32_SUMS = 32
_FLAG_SLOW_GATHERS = 128
_FLAGS = _FLAG_PER_ROW | _FLAG_INT16 | _FLAG_SAME_PADDING | _FLAG_INT32_SUMS | _FLAG_SLOW_GATHERS
_FLAG_BIAS = 8  # with shared rows
_FLAG_COMPACT_ROWS = 16
_FLAG_CHECKSUM = 64  # not with shared rows
_CHECKSUM = struct.Struct("<I")
_CHECKSUM_FACTOR = 0x9E3779B9
_RATIO = struct.Struct("<IHh")
_LAYOUT = struct.Struct("<HH4B")
# Numbers of the ops with a layout.
_WITH_LAYOUT = {OP_CONV_2D: 4, OP_DEPTHWISE_CONV_2D: 5}
_MAX_ROW_LENGTH_BITS = 18
_POSITIONS = ("index", "delta", "plane")
_MAX_TENSOR_BYTES = (1 << 31) - 1


# Layouts of input and output, by whether each is in planes (docs/planes.md).
LAYOUTS = {
    "nhwc": (False, False),
    "nhwc to planes": (False, True),
    "planes to nhwc": (True, False),
    "planes": (True, True),
}


@dataclass(frozen=True)
class Planes:
    """The layout of a layer whose activations are in planes, at one end or both (docs/planes.md).

    Attributes:
      input_size: (height, width) of the input's map in pixels.
      has_input, has_output: whether the input and the output are in planes; else they are NHWC. One of them is.
      is_transposed: whether rows of the map are columns of the image. Filter, stride and weights are those of the map.
    """

    input_size: tuple[int, int]
    has_input: bool
    has_output: bool
    is_transposed: bool = False


def plane_bytes(size: tuple[int, int]) -> int:
    """Returns the bytes of the plane of a channel, given the (height, width) of the map: a multiple of 4."""
    return -(-size[0] * size[1] // 4) * 4


@dataclass(frozen=True)
class PackedLayer:
    """The contents of a packed layer.

    Attributes:
      op: OP_CONV_2D, OP_FULLY_CONNECTED or OP_DEPTHWISE_CONV_2D.
      streams: the encoded int8 weights. Columns are (tap * channels + channel), of a depthwise convolution taps; taps
        are in row-major order.
      bias: int32 [rows] with the input zero point folded in; int64 with int16 activations, unless int32_sums.
      multiplier: int32 [rows] or [1].
      shift: int8, same shape as multiplier.
      input_zero_point, output_zero_point: int8 range; 0 with int16 activations.
      activation_min, activation_max: clamp of the output, within the range of its type.
      stride: (vertical, horizontal) of a convolution, else (1, 1).
      scratch_budget: bytes of scratch that a kernel should not exceed; 0 for the kernel's default.
      filter_size, dilation: (vertical, horizontal) of a convolution, else (1, 1).
      same_padding: whether a convolution pads its input; always False for a 1x1 filter, which never pads.
      int16_activations: True if input and output are int16, False if they are int8.
      int32_sums: whether the sums of a convolution with int16 activations have 32 bits; else they have 64.
      slow_gathers: whether kernels gather up to fewer pixels, because the data is behind a cache.
      shared: the parts from which bias, multiplier and shift are derived, if the layer has shared rows; else None.
      depth_multiplier: output channels for each input channel of a depthwise convolution; else 0.
      compact: the stored form of bias, multiplier and shift, if the layer has compact rows; else None.
      has_checksum: whether a checksum follows the layer; not with shared rows.
      planes: the layout, if activations are in planes; None if they are NHWC at both ends.
    """

    op: int
    streams: Streams
    bias: NDArray[Any]
    multiplier: NDArray[Any]
    shift: NDArray[Any]
    input_zero_point: int
    output_zero_point: int
    activation_min: int
    activation_max: int
    stride: tuple[int, int] = (1, 1)
    scratch_budget: int = 0
    filter_size: tuple[int, int] = (1, 1)
    dilation: tuple[int, int] = (1, 1)
    same_padding: bool = False
    int16_activations: bool = False
    int32_sums: bool = False
    slow_gathers: bool = False
    shared: SharedRows | None = None
    depth_multiplier: int = 0
    compact: CompactRows | None = None
    has_checksum: bool = False
    planes: Planes | None = None

    @property
    def channels(self) -> int:
        """Input channels."""
        if self.op == OP_DEPTHWISE_CONV_2D:
            return self.streams.rows // self.depth_multiplier
        return self.streams.cols // (self.filter_size[0] * self.filter_size[1])

    @property
    def output_size(self) -> tuple[int, int]:
        """(height, width) of the output's map in pixels, for a layer with planes."""
        assert self.planes is not None
        height, width = (
            (size + stride - (1 if self.same_padding else (taps - 1) * dilation + 1)) // stride
            for size, stride, taps, dilation in zip(
                self.planes.input_size, self.stride, self.filter_size, self.dilation, strict=True
            )
        )
        return height, width

    def tensors_in_planes(
        self, inputs: Sequence[int], outputs: Sequence[int]
    ) -> list[tuple[int, tuple[int, int], int]]:
        """Returns [(tensor, (height, width) of its map, channels)] of the activations that are in planes.

        Args:
          inputs: tensors that the operator reads; the first is its activations.
          outputs: tensors that the operator writes; the first is its activations.
        """
        if self.planes is None:
            return []
        ends = (
            (self.planes.has_input, inputs[0], self.planes.input_size, self.channels),
            (self.planes.has_output, outputs[0], self.output_size, self.streams.rows),
        )
        return [(int(index), size, channels) for has_planes, index, size, channels in ends if has_planes]

    def in_image(self, sizes: tuple[int, int]) -> tuple[int, int]:
        """Returns (vertical, horizontal) of the image, given those of the layer's map."""
        is_transposed = self.planes is not None and self.planes.is_transposed
        return (sizes[1], sizes[0]) if is_transposed else sizes

    @property
    def with_plain_rows(self) -> PackedLayer:
        """The same layer in version 1: everything in one tensor, and bias, multipliers and shifts as they are."""
        return dataclasses.replace(self, shared=None, compact=None, has_checksum=False)

    @property
    def row_form(self) -> str:
        """The form of bias, multipliers and shifts: "plain", "compact" or "shared"."""
        return "shared" if self.shared else "compact" if self.compact else "plain"

    @property
    def layout(self) -> str:
        """The layout of input and output, one of LAYOUTS."""
        ends = (False, False) if self.planes is None else (self.planes.has_input, self.planes.has_output)
        return next(name for name, of_ends in LAYOUTS.items() if of_ends == ends)

    @property
    def row_bytes(self) -> int:
        """Stored bytes of bias, multipliers and shifts in the layer's own tensor."""
        return sum(size + -size % 4 for size in map(len, _row_sections(self)))


def int16_bias(bias: NDArray[Any] | None, rows: int) -> NDArray[Any]:
    """Returns the bias of a layer with int16 activations, int64 [rows]. Their zero point is 0, so nothing is folded."""
    return np.zeros(rows, np.int64) if bias is None else bias.astype(np.int64)


def fold_bias(bias: NDArray[Any] | None, matrix: NDArray[Any], input_zero_point: int) -> NDArray[Any]:
    """Folds the input zero point into the bias.

    Args:
      bias: int32 [rows]; None for zeros.
      matrix: int8 [rows, cols].
      input_zero_point: zero point of the input.

    Returns:
      bias - input_zero_point * row sums, modulo 2^32, int32 [rows].
    """
    return _fold(bias, matrix.sum(axis=1, dtype=np.int64), input_zero_point)


def _fold(bias: NDArray[Any] | None, sums: NDArray[Any], input_zero_point: int) -> NDArray[Any]:
    original = np.zeros_like(sums) if bias is None else bias.astype(np.int64)
    folded: NDArray[np.int64] = original - input_zero_point * sums
    return folded.astype(np.int32)


def unfold_bias(layer: PackedLayer, matrix: NDArray[Any]) -> NDArray[Any]:
    """Undoes fold_bias. Returns the original bias [rows], int32, or int64 with int16 activations."""
    if layer.int16_activations:
        return layer.bias
    return fold_bias(layer.bias, matrix, -layer.input_zero_point)


def pack(layer: PackedLayer) -> bytes:
    """Serialises a layer in the format of docs/format.md; with shared rows, all but the tensor of `pack_shared`.

    Raises:
      ValueError: if the weights are not int8.
    """
    streams = layer.streams
    if streams.values.dtype != np.int8:
        raise ValueError(f"a packed layer holds int8 weights, not {streams.values.dtype}")
    body = _padded([*_row_sections(layer), *([] if layer.shared else _stream_sections(streams))])
    planes = layer.planes
    if planes is not None:
        body = _LAYOUT.pack(*planes.input_size, planes.has_input, planes.has_output, planes.is_transposed, 0) + body
    header = _HEADER.pack(
        MAGIC,
        VERSION_2 if layer.shared or layer.compact or layer.has_checksum else VERSION,
        layer.op if planes is None else _WITH_LAYOUT[layer.op],
        encodings.REGISTRY[streams.encoding].CODE,
        encodings.VALUE_CODINGS.index(streams.value_coding),
        HEADER_BYTES + len(body) + (_CHECKSUM.size if layer.has_checksum else 0),
        streams.rows,
        streams.cols,
        len(streams.values),
        layer.input_zero_point,
        layer.output_zero_point,
        layer.activation_min,
        layer.activation_max,
        *layer.stride,
        (_FLAG_PER_ROW if len(layer.multiplier) == streams.rows and streams.rows > 1 else 0)
        | (_FLAG_INT16 if layer.int16_activations else 0)
        | (_FLAG_INT32_SUMS if layer.int32_sums else 0)
        | (_FLAG_SAME_PADDING if layer.same_padding else 0)
        | (_FLAG_SLOW_GATHERS if layer.slow_gathers else 0)
        | (_FLAG_BIAS if layer.shared is not None and layer.shared.bias is not None else 0)
        | (_FLAG_COMPACT_ROWS if layer.compact else 0)
        | (_FLAG_CHECKSUM if layer.has_checksum else 0),
        streams.row_length_bytes,
        streams.index_parameter,
        streams.row_length_bits or 0,
        streams.raw_bits,
        layer.depth_multiplier,
        len(streams.index),
        len(streams.delta),
        len(streams.plane),
        layer.scratch_budget,
        len(streams.codes),
        *((0, 0, 0, 0) if layer.filter_size == (1, 1) else (*layer.filter_size, *layer.dilation)),
    )
    if not layer.has_checksum:
        return header + body
    assert layer.shared is None
    return header + body + _CHECKSUM.pack(checksum(header + body))


def pack_shared(layer: PackedLayer) -> bytes | None:
    """Serialises the tensor with the shared rows of a layer; None if it has its own rows."""
    if layer.shared is None:
        return None
    return _padded([layer.shared.weight_scale.astype("<f4").tobytes(), *_stream_sections(layer.streams)])


def _row_sections(layer: PackedLayer) -> list[bytes]:
    """Returns the sections between the header and the streams, or the end with shared rows."""
    if layer.compact is not None:
        return [compact_rows.pack(layer.compact, layer.bias, layer.multiplier, layer.shift)]
    bias_type = "<i8" if layer.int16_activations and not layer.int32_sums else "<i4"
    if layer.shared is None:
        return [
            layer.bias.astype(bias_type).tobytes(),
            layer.multiplier.astype("<i4").tobytes(),
            layer.shift.astype(np.int8).tobytes(),
        ]
    ratio, bias = layer.shared.ratio, layer.shared.bias
    return [
        _RATIO.pack(ratio & 0xFFFFFFFF, ratio >> 32, layer.shared.exponent),
        b"" if bias is None else bias.astype(bias_type).tobytes(),
    ]


def _stream_sections(streams: Streams) -> list[bytes]:
    return [
        _pack_row_lengths(streams),
        streams.index,
        streams.delta,
        streams.plane,
        streams.values.tobytes() if streams.value_coding == encodings.PLAIN else streams.codes,
    ]


def _padded(sections: list[bytes]) -> bytes:
    return b"".join(section + bytes(-len(section) % 4) for section in sections)


def _pack_row_lengths(streams: Streams) -> bytes:
    if streams.row_lengths is None:
        return b""
    if streams.row_length_bits is None:
        return streams.row_lengths.astype(f"<u{streams.row_length_bytes}").tobytes()
    return bits.pack(streams.row_lengths, np.full(streams.rows, streams.row_length_bits))


def _unpack_row_lengths(section: bytes, rows: int, width: int, width_bits: int | None) -> NDArray[Any] | None:
    """Returns the row lengths, uint32 [rows]; None if they are not stored."""
    if width_bits is not None:
        return bits.unpack(section, np.arange(rows) * width_bits, width_bits).astype(np.uint32)
    return np.frombuffer(section, f"<u{width}").astype(np.uint32) if width else None


class _Header(NamedTuple):
    """The header of a packed layer, as it is stored (docs/format.md#header)."""

    magic: bytes
    version: int
    op: int
    encoding: int
    value_coding: int
    total_bytes: int
    rows: int
    cols: int
    elements: int
    input_zero_point: int
    output_zero_point: int
    activation_min: int
    activation_max: int
    stride_h: int
    stride_w: int
    flags: int
    row_length_bytes: int
    index_parameter: int
    row_length_bits: int
    raw_bits: int
    depth_multiplier: int
    index_bytes: int
    delta_bytes: int
    plane_bytes: int
    scratch_budget: int
    code_bytes: int
    filter_h: int
    filter_w: int
    dilation_h: int
    dilation_w: int

    @property
    def has_layout(self) -> bool:
        return self.op in _WITH_LAYOUT.values()

    @property
    def operator(self) -> int:
        """The op, with or without a layout."""
        return next((op for op, number in _WITH_LAYOUT.items() if number == self.op), self.op)

    @property
    def window(self) -> tuple[int, int, int, int]:
        return self.filter_h, self.filter_w, self.dilation_h, self.dilation_w

    @property
    def is_huffman_coded(self) -> bool:
        return self.value_coding == encodings.VALUE_CODINGS.index(encodings.HUFFMAN)

    @property
    def is_int16(self) -> bool:
        return bool(self.flags & _FLAG_INT16)

    @property
    def has_int32_sums(self) -> bool:
        return bool(self.flags & _FLAG_INT32_SUMS)

    @property
    def has_wide_sums(self) -> bool:
        return self.is_int16 and not self.has_int32_sums

    @property
    def has_shared_rows(self) -> bool:
        return self.version == VERSION_2 and not self.flags & (_FLAG_COMPACT_ROWS | _FLAG_CHECKSUM)

    @property
    def has_compact_rows(self) -> bool:
        return self.version == VERSION_2 and bool(self.flags & _FLAG_COMPACT_ROWS)

    @property
    def has_checksum(self) -> bool:
        return self.version == VERSION_2 and bool(self.flags & _FLAG_CHECKSUM)

    @property
    def end_of_sections(self) -> int:
        return self.total_bytes - (_CHECKSUM.size if self.has_checksum else 0)

    @property
    def flags_are_valid(self) -> bool:
        allowed = _FLAG_CHECKSUM if self.has_checksum else 0
        if self.has_compact_rows:
            others = _FLAG_SAME_PADDING | _FLAG_SLOW_GATHERS | allowed
            return self.flags & ~others == _FLAG_COMPACT_ROWS | _FLAG_PER_ROW
        if self.has_int32_sums and (self.has_shared_rows or self.operator != OP_CONV_2D or not self.is_int16):
            return False
        return not self.flags & ~(_FLAGS | (_FLAG_BIAS if self.has_shared_rows else 0) | allowed)

    @property
    def multipliers(self) -> int:
        """The number of multipliers, shifts and weight scales."""
        return self.rows if self.flags & _FLAG_PER_ROW else 1

    @property
    def position_bytes(self) -> tuple[int, int, int]:
        return self.index_bytes, self.delta_bytes, self.plane_bytes

    def is_valid(self, layout: Layout) -> bool:
        """Whether every field is in its range, for an encoding with this layout."""
        packs_lengths = layout.row_lengths == LENGTH_BITS
        lowest, highest = INT16_RANGE if self.is_int16 else INT8_RANGE
        return not (
            self.operator not in (OP_CONV_2D, OP_FULLY_CONNECTED, OP_DEPTHWISE_CONV_2D)
            or (self.has_layout and (self.is_int16 or self.has_shared_rows))
            or self.value_coding >= len(encodings.VALUE_CODINGS)
            or not self.flags_are_valid
            or self.row_length_bytes not in ((1, 2, 4) if layout.row_lengths == LENGTH_BYTES else (0,))
            or self.row_length_bits > (_MAX_ROW_LENGTH_BITS if packs_lengths else 0)
            or (not self.is_huffman_coded and (self.raw_bits or self.code_bytes))
            or self.elements > self.rows * self.cols
            or not (lowest <= self.activation_min <= self.activation_max <= highest)
            or (self.is_int16 and (self.input_zero_point or self.output_zero_point))
            or not (-128 <= self.input_zero_point <= 127 and -128 <= self.output_zero_point <= 127)
            or not (self.stride_h and self.stride_w)
            or (self.operator == OP_FULLY_CONNECTED and (self.stride_h, self.stride_w) != (1, 1))
            or (self.index_parameter and not layout.has_parameter)
            or any(
                size and name not in layout.positions
                for size, name in zip(self.position_bytes, _POSITIONS, strict=True)
            )
            or not _window_is_valid(self.operator, self.window, bool(self.flags & _FLAG_SAME_PADDING), self.cols)
            or not self._depth_multiplier_is_valid()
        )

    def _depth_multiplier_is_valid(self) -> bool:
        if self.operator != OP_DEPTHWISE_CONV_2D:
            return self.depth_multiplier == 0
        divides = self.depth_multiplier > 0 and self.rows % self.depth_multiplier == 0
        return divides and not self.is_int16 and not self.has_shared_rows


def _stream_sizes(header: _Header) -> list[int]:
    """Returns the bytes of row lengths, index, delta, plane and values."""
    return [
        header.row_length_bytes * header.rows + (header.row_length_bits * header.rows + 7) // 8,
        *header.position_bytes,
        header.code_bytes if header.is_huffman_coded else header.elements,
    ]


def _sections(data: bytes, sizes: list[int], start: int, end: int | None) -> list[bytes]:
    """Returns the sections with these sizes, without their padding.

    Args:
      data: the tensor.
      sizes: bytes of the sections.
      start: offset of the first section.
      end: offset of the end of the last one; None if it is not known.

    Raises:
      ValueError: if the sections do not end at `end`, or after the end of `data`.
    """
    starts = list(itertools.accumulate((size + -size % 4 for size in sizes), initial=start))
    if starts[-1] > len(data) or (end is not None and starts[-1] != end):
        raise ValueError("the sections of the packed layer do not fit its size")
    return [data[begin : begin + size] for begin, size in zip(starts, sizes, strict=False)]


def _read_header(data: bytes, is_shared: bool) -> tuple[_Header, Any]:
    """Returns the header of a packed layer and the module of its encoding. Raises ValueError as `unpack`."""
    if len(data) < HEADER_BYTES or data[:4] != MAGIC:
        raise ValueError("not a packed layer")
    header = _Header._make(_HEADER.unpack_from(data))
    if header.version not in (VERSION, VERSION_2):
        raise ValueError(
            f"packed layer of version {header.version}; this is a reader of versions {VERSION} and {VERSION_2}"
        )
    if header.has_shared_rows != is_shared:
        raise ValueError(
            "the packed layer has shared rows, but no tensor with them"
            if header.has_shared_rows
            else "the packed layer has no shared rows, but there is a tensor with them"
        )
    module = encodings.by_code(header.encoding)
    encodings.check_shape(header.rows, header.cols)
    if not header.is_valid(module.LAYOUT):
        raise ValueError("a header field of the packed layer is out of range")
    return header, module


# {(header fields of the streams, shared rows): streams}
Known: TypeAlias = dict[tuple[bytes, bytes], Streams]


def unpack(data: bytes, shared: bytes | None = None, known: Known | None = None) -> PackedLayer:
    """Parses a packed layer. Decodes Huffman-coded values, but no positions (encodings.decode does).

    Args:
      data: the packed layer; bytes behind it are ignored.
      shared: the tensor with its shared rows, likewise; None if the operator has no such tensor.
      known: the streams of shared rows that were read so far; these are added. Layers with the same shared rows then
        have the same object.

    Raises:
      ValueError: if `data` is not a packed layer of a version that this reader knows, if its header or sections are
        invalid, or if `shared` is missing or superfluous.
    """
    header, module = _read_header(data, shared is not None)
    if header.has_checksum:
        end = header.end_of_sections
        if end < HEADER_BYTES or end % 4 or len(data) < header.total_bytes:
            raise ValueError("the sections of the packed layer do not fit its size")
        if _CHECKSUM.unpack_from(data, end)[0] != checksum(data[:end]):
            raise ValueError("the checksum of the packed layer is wrong")
    bias_size, bias_type = (8, "<i8") if header.has_wide_sums else (4, "<i4")
    highest_shift = MAX_INT16_SHIFT if header.has_wide_sums else MAX_SHIFT
    rows: SharedRows | None = None
    compact: CompactRows | None = None
    start = HEADER_BYTES + (_LAYOUT.size if header.has_layout else 0)
    if len(data) < start:
        raise ValueError("the sections of the packed layer do not fit its size")
    if header.has_compact_rows:
        size = compact_rows.size_of(data[start:], header.rows)
        stored, *sections = _sections(data, [size, *_stream_sizes(header)], start, header.end_of_sections)
        compact, bias_array, multiplier_array, shift_array = compact_rows.unpack(stored, header.rows)
        streams = _streams(header, module, sections)
    elif shared is None:
        sizes = [bias_size * header.rows, 4 * header.multipliers, header.multipliers]
        sections = _sections(data, sizes + _stream_sizes(header), start, header.end_of_sections)
        bias_array = _array(sections[0], bias_type)
        multiplier_array, shift_array = _array(sections[1], "<i4"), _array(sections[2], "i1")
        if multiplier_array.min() < 0 or shift_array.min() < -31 or shift_array.max() > highest_shift:
            raise ValueError("a multiplier or shift of the packed layer is out of range")
        streams = _streams(header, module, sections[3:])
    else:
        sizes = [_RATIO.size, bias_size * header.rows if header.flags & _FLAG_BIAS else 0]
        ratio_section, bias_section = _sections(data, sizes, HEADER_BYTES, header.total_bytes)
        scale, *sections = _sections(shared, [4 * header.multipliers, *_stream_sizes(header)], 0, None)
        low, high, exponent = _RATIO.unpack(ratio_section)
        rows = SharedRows(
            _array(scale, "<f4"), high << 32 | low, exponent, _array(bias_section, bias_type) if bias_section else None
        )
        if rows.ratio >> RATIO_BITS - 1 == 0:
            raise ValueError("a header field of the packed layer is out of range")
        multiplier_array, shift_array = multipliers(rows.weight_scale, rows.ratio, exponent, highest_shift)
        key = b"".join(data[part] for part in _OF_STREAMS), shared
        known = {} if known is None else known
        if key not in known:
            known[key] = _streams(header, module, sections)
        streams = known[key]
        bias_array = (
            int16_bias(rows.bias, header.rows)
            if header.is_int16
            else _fold(rows.bias, _row_sums(streams), header.input_zero_point)
        )
    layer = PackedLayer(
        op=header.operator,
        streams=streams,
        bias=bias_array,
        multiplier=multiplier_array,
        shift=shift_array,
        input_zero_point=header.input_zero_point,
        output_zero_point=header.output_zero_point,
        activation_min=header.activation_min,
        activation_max=header.activation_max,
        stride=(header.stride_h, header.stride_w),
        scratch_budget=header.scratch_budget,
        filter_size=header.window[:2] if any(header.window) else (1, 1),
        dilation=header.window[2:] if any(header.window) else (1, 1),
        same_padding=bool(header.flags & _FLAG_SAME_PADDING),
        int16_activations=header.is_int16,
        int32_sums=header.has_int32_sums,
        slow_gathers=bool(header.flags & _FLAG_SLOW_GATHERS),
        shared=rows,
        depth_multiplier=header.depth_multiplier,
        compact=compact,
        has_checksum=header.has_checksum,
    )
    return dataclasses.replace(layer, planes=_planes(data, layer)) if header.has_layout else layer


def _planes(data: bytes, layer: PackedLayer) -> Planes:
    """Returns the layout in a packed layer that has one, given everything else. Raises ValueError as `unpack`."""
    height, width, has_input, has_output, is_transposed, reserved = _LAYOUT.unpack_from(data, HEADER_BYTES)
    planes = Planes((height, width), bool(has_input), bool(has_output), bool(is_transposed))
    output = dataclasses.replace(layer, planes=planes).output_size
    sizes = ((planes.input_size, layer.channels), (output, layer.streams.rows))
    if (
        not (has_input or has_output)
        or max(has_input, has_output, is_transposed) > 1
        or reserved
        or min(*planes.input_size, *output) < 1
        or max(plane_bytes(size) * channels for size, channels in sizes) > _MAX_TENSOR_BYTES
    ):
        raise ValueError("a field of the packed layer's layout is out of range")
    return planes


def checksum(data: bytes) -> int:
    """Returns the checksum of the words of `data` (docs/format.md#checksum)."""
    total = 0
    for word in np.frombuffer(data, "<u4").tolist():
        total = ((total << 5 & 0xFFFFFFFF | total >> 27) ^ word) * _CHECKSUM_FACTOR & 0xFFFFFFFF
    return total


def _row_sums(streams: Streams) -> NDArray[Any]:
    """Returns the sum of the values of each row, int64 [rows].

    Raises:
      ValueError: if the row lengths do not add up to the number of values.
    """
    ends = np.cumsum(encodings.row_lengths(streams))
    if ends[-1] != len(streams.values):
        raise ValueError("the row lengths of the packed layer do not add up")
    sums = np.concatenate([np.zeros(1, np.int64), np.cumsum(streams.values, dtype=np.int64)])[ends]
    return np.diff(sums, prepend=np.int64(0))


def _array(section: bytes, dtype: str) -> NDArray[Any]:
    """Returns a section of little-endian numbers in the byte order of the machine."""
    stored: NDArray[Any] = np.frombuffer(section, dtype)
    return stored.astype(stored.dtype.newbyteorder("="))


def _streams(header: _Header, module: Any, sections: list[bytes]) -> Streams:
    """Makes the streams from the sections row lengths, index, delta, plane and values. Decodes Huffman-coded values."""
    lengths, index, delta, plane, values = sections
    layout: Layout = module.LAYOUT
    length_bits = header.row_length_bits if layout.row_lengths == LENGTH_BITS else None
    return Streams(
        module.NAME,
        header.rows,
        header.cols,
        values=huffman.decode(values, header.elements, header.raw_bits)
        if header.is_huffman_coded
        else np.frombuffer(values, np.int8),
        row_lengths=_unpack_row_lengths(lengths, header.rows, header.row_length_bytes, length_bits),
        index=index,
        delta=delta,
        plane=plane,
        index_parameter=header.index_parameter,
        row_length_bits=length_bits,
        value_coding=encodings.VALUE_CODINGS[header.value_coding],
        codes=values if header.is_huffman_coded else b"",
        raw_bits=header.raw_bits,
    )


def _window_is_valid(op: int, window: tuple[int, ...], same_padding: bool, cols: int) -> bool:
    """Whether (filter_h, filter_w, dilation_h, dilation_w) is valid for the layer. Four zeros encode a 1x1 filter."""
    if not any(window):
        return not same_padding and (op != OP_DEPTHWISE_CONV_2D or cols == 1)
    taps = window[0] * window[1]
    if not all(window) or taps == 1:
        return False
    return cols == taps if op == OP_DEPTHWISE_CONV_2D else op == OP_CONV_2D and cols % taps == 0


def run(layer: PackedLayer, activations: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Computes the outputs of a layer: the reference implementation of docs/format.md#arithmetic.

    Args:
      layer: a layer with any encoding.
      activations: [vectors, cols], int8, or int16 if the layer has int16 activations. One vector holds the input of
        one output pixel, or one batch. Of a depthwise convolution: [vectors, channels, cols].

    Returns:
      (accumulators, outputs), both [vectors, rows]: int32 and int8; with int16 activations int64 and int16, with
      int32_sums int32 and int16.
    """
    matrix = encodings.decode(layer.streams)
    # Sums of up to 2^18 products are exact in float64. numpy multiplies float64 matrices fastest.
    if layer.op == OP_DEPTHWISE_CONV_2D:
        of_rows = np.repeat(activations, layer.depth_multiplier, axis=1)
        sums = np.einsum("vrc,rc->vr", of_rows.astype(np.int64), matrix.astype(np.int64))
    else:
        sums = (activations.astype(np.float64) @ matrix.T.astype(np.float64)).astype(np.int64)
    if layer.int32_sums:
        accumulators = (sums + layer.bias).astype(np.int32)
        outputs = requantize(accumulators, layer.multiplier, layer.shift)
        return accumulators, np.clip(outputs, layer.activation_min, layer.activation_max).astype(np.int16)
    if layer.int16_activations:
        accumulators = sums + layer.bias
        outputs = requantize_int16(accumulators, layer.multiplier, layer.shift)
        return accumulators, np.clip(outputs, layer.activation_min, layer.activation_max).astype(np.int16)
    accumulators = (sums + layer.bias).astype(np.int32)
    outputs = requantize(accumulators, layer.multiplier, layer.shift) + np.int32(layer.output_zero_point)
    outputs = np.clip(outputs, layer.activation_min, layer.activation_max)
    return accumulators, outputs.astype(np.int8)
