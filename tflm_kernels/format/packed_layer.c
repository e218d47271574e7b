// Parsing and validation of the packed layer: docs/format.md, from "Header" to
// "Encodings".
//
// The blob is not trusted. Sizes are added in 64 bits, where the ranges of the
// header fields exclude an overflow. Unused bits and the padding of sections
// are not checked, as no kernel uses them.

#include "tflm_kernels/packed_layer.h"

#include <stdbool.h>
#include <string.h>

#include "tflm_kernels/common/compiler.h"
#include "tflm_kernels/common/row_tail.h"
#include "tflm_kernels/format/bit_reader.h"
#include "tflm_kernels/format/compact_rows.h"
#include "tflm_kernels/format/decoders.h"
#include "tflm_kernels/format/huffman.h"
#include "tflm_kernels/format/row_reader.h"
#include "tflm_kernels/format/shift_range.h"
#include "tflm_kernels/kernels.h"

#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "packed layers are little-endian, and this target is not"
#endif

enum {
  kFlagPerRow = 1,
  kFlagInt16 = 2,
  kFlagSamePadding = 4,
  kFlagBias = 8,          // version 2, shared rows
  kFlagCompactRows = 16,  // version 2
  kFlagInt32Sums = 32,    // with kFlagInt16
  kFlagChecksum = 64,     // version 2, not with shared rows
  kFlagSlowGathers = 128,
  kRatioBytes = 8,
  kChecksumBytes = 4,
  kOpConv2dWithLayout = 4,
  kOpDepthwiseConv2dWithLayout = 5,
};

// The header in memory. All fields are naturally aligned.
typedef struct {
  uint8_t magic[4];
  uint8_t version;
  uint8_t op;
  uint8_t encoding;
  uint8_t value_coding;
  uint32_t total_bytes;
  uint32_t rows;
  uint32_t cols;
  uint32_t elements;
  int16_t input_zero_point;
  int16_t output_zero_point;
  int16_t activation_min;
  int16_t activation_max;
  uint8_t stride_h;
  uint8_t stride_w;
  uint8_t flags;
  uint8_t row_length_bytes;
  uint8_t index_parameter;
  uint8_t row_length_bits;
  uint8_t raw_bits;
  uint8_t depth_multiplier;  // DEPTHWISE_CONV_2D; else 0
  uint32_t index_bytes;
  uint32_t delta_bytes;
  uint32_t plane_bytes;
  uint32_t scratch_budget;
  uint32_t value_bytes;
  uint8_t filter_h;  // 0 for a 1x1 filter, like the next three
  uint8_t filter_w;
  uint8_t dilation_h;
  uint8_t dilation_w;
} Header;

_Static_assert(sizeof(Header) == kDcsrHeaderBytes, "docs/format.md, Header");
_Static_assert(sizeof(DcsrLayout) == kDcsrLayoutBytes, "docs/format.md, Layout");

static bool is_int8(int32_t value) { return value >= INT8_MIN && value <= INT8_MAX; }

static bool is_int16(const Header* h) { return (h->flags & kFlagInt16) != 0; }

static bool has_int32_sums(const Header* h) { return (h->flags & kFlagInt32Sums) != 0; }

// Bytes of the bias of a row.
static uint32_t bias_bytes(const Header* h) { return is_int16(h) && !has_int32_sums(h) ? 8 : 4; }

static bool has_1x1_filter(const Header* h) {
  return h->filter_h == 0 && h->filter_w == 0 && h->dilation_h == 0 && h->dilation_w == 0;
}

// A 1x1 filter is encoded as four zero bytes with SAME padding cleared. No other
// encoding of a 1x1 filter is valid.
static bool filter_is_valid(const Header* h) {
  if (has_1x1_filter(h)) return (h->flags & kFlagSamePadding) == 0;
  const uint32_t taps = (uint32_t)h->filter_h * h->filter_w;
  return taps > 1 && h->dilation_h >= 1 && h->dilation_w >= 1 && h->cols % taps == 0;
}

static bool has_compact_rows(const Header* h) { return (h->flags & kFlagCompactRows) != 0; }

static bool has_checksum(const Header* h) { return (h->flags & kFlagChecksum) != 0; }

static bool has_layout(const Header* h) {
  return h->op == kOpConv2dWithLayout || h->op == kOpDepthwiseConv2dWithLayout;
}

// Returns the op, with or without a layout; any other number if it is unknown.
static uint32_t op_of(const Header* h) {
  if (!has_layout(h)) return h->op;
  return h->op == kOpConv2dWithLayout ? kDcsrOpConv2d : kDcsrOpDepthwiseConv2d;
}

// A header of version 2 with neither compact rows nor a checksum.
static bool has_shared_rows(const Header* h) {
  return h->version == kDcsrFormatVersion2 && !has_compact_rows(h) && !has_checksum(h);
}

// A row has one column per tap. Shared rows and int16 activations are for the other ops.
static bool depthwise_is_valid(const Header* h) {
  const uint32_t taps = has_1x1_filter(h) ? 1 : (uint32_t)h->filter_h * h->filter_w;
  return h->cols == taps && h->depth_multiplier >= 1 && h->rows % h->depth_multiplier == 0 &&
         !is_int16(h) && !has_shared_rows(h);
}

static bool geometry_is_valid(const Header* h) {
  if (h->rows < 1 || h->rows > kDcsrMaxRows) return false;
  if (h->cols < 1 || h->cols > kDcsrMaxCols) return false;
  if ((uint64_t)h->rows * h->cols > kDcsrMaxWeights) return false;
  if (h->elements > (uint64_t)h->rows * h->cols) return false;
  if (h->stride_h < 1 || h->stride_w < 1 || !filter_is_valid(h)) return false;
  if (has_layout(h) && (is_int16(h) || has_shared_rows(h))) return false;
  switch (op_of(h)) {
    case kDcsrOpConv2d:
      return h->depth_multiplier == 0;
    case kDcsrOpFullyConnected:
      return h->stride_h == 1 && h->stride_w == 1 && has_1x1_filter(h) && h->depth_multiplier == 0;
    case kDcsrOpDepthwiseConv2d:
      return depthwise_is_valid(h);
    default:
      return false;
  }
}

static bool quantization_is_valid(const Header* h) {
  if (is_int16(h)) {
    return h->input_zero_point == 0 && h->output_zero_point == 0 &&
           h->activation_min <= h->activation_max;
  }
  return is_int8(h->input_zero_point) && is_int8(h->output_zero_point) &&
         is_int8(h->activation_min) && is_int8(h->activation_max) &&
         h->activation_min <= h->activation_max;
}

static bool row_length_bytes_is_valid(const Header* h) {
  return h->row_length_bytes == 1 || h->row_length_bytes == 2 || h->row_length_bytes == 4;
}

static bool value_coding_is_valid(const Header* h) {
  if (h->value_coding == kDcsrValuesPlain) return h->raw_bits == 0 && h->value_bytes == 0;
  if (h->value_coding != kDcsrValuesHuffman || h->raw_bits > kDcsrMaxRawBits) return false;
  const uint32_t lengths = dcsr_code_length_bytes(h->raw_bits);
  // Every code has at least one bit.
  return h->value_bytes >= lengths && h->elements <= 8 * (uint64_t)(h->value_bytes - lengths);
}

static uint64_t bits_to_bytes(uint64_t bits) { return (bits + 7) / 8; }

static bool encoding_is_valid(const Header* h) {
  if (h->encoding != kDcsrEncodingRice && h->row_length_bits != 0) return false;
  switch ((DcsrEncoding)h->encoding) {
    case kDcsrEncodingDense:
      return h->elements == (uint64_t)h->rows * h->cols && h->row_length_bytes == 0 &&
             h->index_parameter == 0 && h->index_bytes == 0 && h->delta_bytes == 0 &&
             h->plane_bytes == 0;
    case kDcsrEncodingDcsr:
      return row_length_bytes_is_valid(h) &&
             (h->index_parameter == kDcsrNibbleBits || h->index_parameter == kDcsrByteBits);
    case kDcsrEncodingRle:
      return row_length_bytes_is_valid(h) && h->index_parameter == 0 &&
             h->index_bytes == ((uint64_t)h->elements + 1) / 2 && h->delta_bytes == 0 &&
             h->plane_bytes == 0;
    case kDcsrEncodingOffset8:
      return row_length_bytes_is_valid(h) && h->index_parameter == 0 &&
             h->delta_bytes == h->elements && h->plane_bytes == 0;
    case kDcsrEncodingRice:
      return h->row_length_bytes == 0 && h->row_length_bits <= kDcsrMaxRowLengthBits &&
             h->index_parameter >= 1 && h->index_parameter <= kDcsrMaxRiceParameter &&
             h->elements <= 8 * (uint64_t)h->index_bytes && h->plane_bytes == 0;
    case kDcsrEncodingBitmap:
      return h->row_length_bytes == 0 && h->index_parameter == 0 &&
             h->index_bytes == bits_to_bytes((uint64_t)h->rows * h->cols) && h->delta_bytes == 0 &&
             h->plane_bytes == 0;
  }
  return false;
}

// Plain rows define the flags 1, 2, 4, 32 and 128; shared rows also 8 but not 32; compact rows only
// 1, 4 and 128.
static bool unused_is_zero(const Header* h) {
  uint32_t flags = h->flags & ~(uint32_t)(kFlagSlowGathers | kFlagChecksum);
  if (has_int32_sums(h)) {
    if (has_shared_rows(h) || op_of(h) != kDcsrOpConv2d || !is_int16(h)) return false;
    flags &= ~(uint32_t)kFlagInt32Sums;
  }
  return has_compact_rows(h)
             ? (flags & ~(uint32_t)kFlagSamePadding) == (kFlagCompactRows | kFlagPerRow)
             : flags < (has_shared_rows(h) ? 2U * kFlagBias : kFlagBias);
}

// Reads a header and checks it. `is_shared`: version 2 with shared rows; else version 1, or version
// 2 with compact rows or a checksum.
DCSR_NOINLINE static DcsrStatus read_header(const void* data, size_t size, bool is_shared,
                                            Header* h) {
  if ((uintptr_t)data % 4 != 0) return kDcsrErrorAlignment;
  if (size < kDcsrHeaderBytes) return kDcsrErrorTruncated;
  memcpy(h, data, sizeof(*h));
  if (memcmp(h->magic, "dCSR", sizeof(h->magic)) != 0) return kDcsrErrorMagic;
  const bool has_version_2_flag = has_compact_rows(h) || has_checksum(h);
  const bool is_version_2 = is_shared || has_version_2_flag;
  if (h->version != (is_version_2 ? kDcsrFormatVersion2 : kDcsrFormatVersion) ||
      (is_shared && has_version_2_flag)) {
    return kDcsrErrorVersion;
  }
  if (!geometry_is_valid(h) || !quantization_is_valid(h) || !encoding_is_valid(h) ||
      !value_coding_is_valid(h) || !unused_is_zero(h)) {
    return kDcsrErrorHeader;
  }
  return kDcsrOk;
}

// Returns the offset of a section of `bytes` bytes and moves *end past it.
static uint64_t append_section(uint64_t* end, uint64_t bytes) {
  const uint64_t offset = *end;
  *end += (bytes + 3) / 4 * 4;
  return offset;
}

// Sets all fields but bias, multiplier and shift. The streams are in the blob of `size` bytes at
// `base`, from offset `begin` on. Returns the offset behind them. If that exceeds `size`, the
// fields are unspecified.
DCSR_NOINLINE static uint64_t set_layer(const Header* h, const uint8_t* base, size_t size,
                                        uint32_t begin, DcsrLayer* layer) {
  uint64_t end = begin;
  const uint64_t rows = h->rows;
  const uint64_t row_length =
      append_section(&end, rows * h->row_length_bytes + bits_to_bytes(rows * h->row_length_bits));
  const uint64_t index = append_section(&end, h->index_bytes);
  const uint64_t delta = append_section(&end, h->delta_bytes);
  const uint64_t plane = append_section(&end, h->plane_bytes);
  const uint32_t value_bytes = h->value_coding == kDcsrValuesPlain ? h->elements : h->value_bytes;
  const uint64_t values = append_section(&end, value_bytes);
  if (end > size) return end;

  // From here on all offsets are below `size` and fit a size_t.
  layer->op = (DcsrOp)op_of(h);
  layer->encoding = (DcsrEncoding)h->encoding;
  layer->value_coding = (DcsrValueCoding)h->value_coding;
  layer->rows = h->rows;
  layer->cols = h->cols;
  layer->elements = h->elements;
  layer->input_zero_point = h->input_zero_point;
  layer->output_zero_point = h->output_zero_point;
  layer->activation_min = h->activation_min;
  layer->activation_max = h->activation_max;
  layer->stride_h = h->stride_h;
  layer->stride_w = h->stride_w;
  const bool is_1x1 = has_1x1_filter(h);
  layer->filter_h = is_1x1 ? 1 : h->filter_h;
  layer->filter_w = is_1x1 ? 1 : h->filter_w;
  layer->dilation_h = is_1x1 ? 1 : h->dilation_h;
  layer->dilation_w = is_1x1 ? 1 : h->dilation_w;
  layer->same_padding = (h->flags & kFlagSamePadding) != 0;
  layer->int16_activations = is_int16(h);
  layer->int32_sums = has_int32_sums(h);
  layer->slow_gathers = (h->flags & kFlagSlowGathers) != 0;
  layer->depth_multiplier = h->depth_multiplier;
  layer->channels = layer->op == kDcsrOpDepthwiseConv2d
                        ? h->rows / h->depth_multiplier
                        : h->cols / (layer->filter_h * layer->filter_w);
  layer->requantize_stride = (h->flags & kFlagPerRow) != 0 ? 1 : 0;
  layer->row_length_bytes = h->row_length_bytes;
  layer->row_length_bits = h->row_length_bits;
  layer->index_parameter = h->index_parameter;
  layer->raw_bits = h->raw_bits;
  layer->index_bytes = h->index_bytes;
  layer->delta_bytes = h->delta_bytes;
  layer->plane_bytes = h->plane_bytes;
  layer->value_bytes = value_bytes;
  layer->scratch_budget = h->scratch_budget;
  layer->row_length = base + row_length;
  layer->index = base + index;
  layer->delta = base + delta;
  layer->plane = base + plane;
  layer->values = (const int8_t*)(base + values);
  return end;
}

// Offsets of the sections before the streams, and of the streams.
typedef struct {
  uint32_t bias;        // compact rows: head
  uint32_t multiplier;  // compact rows: records
  uint32_t shift;       // compact rows: upper bits of the biases
  uint32_t streams;
} RowSections;

// Finds the sections of rows. `base` is the blob of `size` bytes. Sections have less than 2^24
// bytes, and sizes of all but the last are multiples of 4 before padding.
static DcsrStatus find_rows(const Header* h, const uint8_t* base, size_t size,
                            RowSections* sections) {
  sections->bias = kDcsrHeaderBytes + (has_layout(h) ? kDcsrLayoutBytes : 0);
  if (!has_compact_rows(h)) {
    const uint32_t count = (h->flags & kFlagPerRow) != 0 ? h->rows : 1;
    sections->multiplier = sections->bias + h->rows * bias_bytes(h);
    sections->shift = sections->multiplier + count * 4;
    sections->streams = sections->shift + (count + 3) / 4 * 4;
    return kDcsrOk;
  }
  const uint32_t exceptions = sections->bias + kDcsrCompactHeadBytes;
  if (size < exceptions) return kDcsrErrorTruncated;
  const DcsrCompactRows* head = (const DcsrCompactRows*)(const void*)(base + sections->bias);
  sections->multiplier = exceptions + head->exceptions * kDcsrExceptionBytes;
  sections->shift = sections->multiplier + h->rows * kDcsrRecordBytes;
  sections->streams = sections->shift + (h->rows * kDcsrBiasHighBytes + 3) / 4 * 4;
  return kDcsrOk;
}

// Finds the functions that read the layer. Returns false if `decoders` does not list them.
static bool set_decoders(const DcsrDecoders* decoders, DcsrLayer* layer) {
  const bool is_plain = layer->value_coding == kDcsrValuesPlain;
  layer->decoder = decoders->encoding[layer->encoding];
  layer->value_decoder = is_plain ? NULL : decoders->huffman;
  return layer->decoder != NULL && (is_plain || layer->value_decoder != NULL);
}

DcsrStatus dcsr_layer_parse_with(const DcsrDecoders* decoders, const void* data, size_t size,
                                 DcsrLayer* layer) {
  Header h;
  DcsrStatus status = read_header(data, size, false, &h);
  if (status != kDcsrOk) return status;

  const uint8_t* base = (const uint8_t*)data;
  RowSections rows;
  status = find_rows(&h, base, size, &rows);
  if (status != kDcsrOk) return status;
  uint64_t end = set_layer(&h, base, size, rows.streams, layer);
  if (has_checksum(&h)) end += kChecksumBytes;
  if (end != h.total_bytes) return kDcsrErrorSections;
  if (end > size) return kDcsrErrorTruncated;

  const bool is_compact = has_compact_rows(&h);
  const void* first = base + rows.bias;
  layer->compact_rows = is_compact ? (const DcsrCompactRows*)first : NULL;
  layer->bias = is_compact ? NULL : (const int32_t*)first;
  layer->multiplier = (const int32_t*)(const void*)(base + rows.multiplier);
  layer->shift = (const int8_t*)(base + rows.shift);
  layer->checksum =
      has_checksum(&h) ? (const uint32_t*)(const void*)(base + end - kChecksumBytes) : NULL;
  layer->layout = NULL;
  if (has_layout(&h)) {
    layer->layout = (const DcsrLayout*)(const void*)(base + kDcsrHeaderBytes);
    if (decoders->layouts == NULL) return kDcsrErrorDecoder;
    if (!decoders->layouts->is_valid(layer)) return kDcsrErrorLayout;
  }
  return set_decoders(decoders, layer) ? kDcsrOk : kDcsrErrorDecoder;
}

DcsrStatus dcsr_shared_layer_parse_with(const DcsrDecoders* decoders, const void* data, size_t size,
                                        const void* shared, size_t shared_size, DcsrLayer* layer,
                                        DcsrSharedRows* rows) {
  Header h;
  const DcsrStatus status = read_header(data, size, true, &h);
  if (status != kDcsrOk) return status;
  if ((uintptr_t)shared % 4 != 0) return kDcsrErrorAlignment;

  const uint64_t count = h.rows;
  const bool has_bias = (h.flags & kFlagBias) != 0;
  uint64_t end = kDcsrHeaderBytes;
  const uint64_t ratio = append_section(&end, kRatioBytes);
  const uint64_t bias = append_section(&end, has_bias ? count * bias_bytes(&h) : 0);
  if (end != h.total_bytes) return kDcsrErrorSections;
  if (end > size) return kDcsrErrorTruncated;

  const uint32_t scale_bytes = (h.flags & kFlagPerRow) != 0 ? h.rows * 4 : 4;
  if (set_layer(&h, (const uint8_t*)shared, shared_size, scale_bytes, layer) > shared_size)
    return kDcsrErrorTruncated;

  const uint8_t* base = (const uint8_t*)data;
  rows->weight_scale = (const uint32_t*)(const void*)(shared);
  rows->ratio_low = dcsr_load_u32(base + ratio);
  rows->ratio_high = dcsr_load_u16(base + ratio + 4);
  rows->ratio_exponent = (int16_t)dcsr_load_u16(base + ratio + 6);
  rows->bias = has_bias ? base + bias : NULL;
  layer->checksum = NULL;
  layer->layout = NULL;
  // A mantissa of fewer than 48 bits could give a multiplier below 2^30.
  if (rows->ratio_high >> 15 == 0) return kDcsrErrorHeader;
  return set_decoders(decoders, layer) ? kDcsrOk : kDcsrErrorDecoder;
}

static DcsrStatus validate_requantize(const DcsrLayer* layer) {
  const uint32_t count = layer->requantize_stride ? layer->rows : 1;
  const bool is_reduced = layer->int16_activations && !layer->int32_sums;
  const int32_t max_shift = is_reduced ? kDcsrMaxInt16Shift : kDcsrMaxShift;
  for (uint32_t i = 0; i < count; ++i) {
    const DcsrRowTail tail = dcsr_fast_row_tail(layer, i);
    if (tail.shift < kDcsrMinShift || tail.shift > max_shift || tail.multiplier < 0) {
      return kDcsrErrorRequantize;
    }
  }
  return kDcsrOk;
}

static DcsrStatus validate_row_lengths(const DcsrLayer* layer) {
  if (layer->decoder->row_lengths_are_valid != NULL) {
    return layer->decoder->row_lengths_are_valid(layer) ? kDcsrOk : kDcsrErrorRowLength;
  }
  uint64_t sum = 0;
  for (uint32_t row = 0; row < layer->rows; ++row) {
    const uint32_t length = dcsr_row_length(layer, row);
    if (length > layer->cols) return kDcsrErrorRowLength;
    sum += length;
  }
  return sum == layer->elements ? kDcsrOk : kDcsrErrorRowLength;
}

static DcsrStatus validate_streams(const DcsrLayer* layer) {
  if (layer->decoder->positions_are_valid != NULL && !layer->decoder->positions_are_valid(layer)) {
    return kDcsrErrorIndex;
  }
  const DcsrValueDecoder* values = layer->value_decoder;
  return values == NULL || values->values_are_valid(layer) ? kDcsrOk : kDcsrErrorValues;
}

DcsrStatus dcsr_layer_validate(const DcsrLayer* layer) {
  DcsrStatus status = validate_requantize(layer);
  if (status != kDcsrOk) return status;
  const DcsrValueDecoder* values = layer->value_decoder;
  if (values != NULL && !values->code_is_complete(layer)) return kDcsrErrorValues;
  if (layer->encoding == kDcsrEncodingDense && values == NULL) return kDcsrOk;
  status = validate_row_lengths(layer);
  return status == kDcsrOk ? validate_streams(layer) : status;
}

const char* dcsr_status_string(DcsrStatus status) {
  switch (status) {
    case kDcsrOk:
      return "ok";
    case kDcsrErrorAlignment:
      return "is not aligned to 4 bytes";
    case kDcsrErrorTruncated:
      return "is truncated";
    case kDcsrErrorMagic:
      return "is no packed layer (wrong magic number)";
    case kDcsrErrorVersion:
      return "is of an unknown version";
    case kDcsrErrorHeader:
      return "a header field is out of range";
    case kDcsrErrorLayout:
      return "a field of its layout is out of range";
    case kDcsrErrorSections:
      return "its section sizes do not add up";
    case kDcsrErrorRequantize:
      return "a multiplier or shift is out of range";
    case kDcsrErrorRowLength:
      return "its row lengths do not add up";
    case kDcsrErrorIndex:
      return "an index leaves its row, or a stream its section";
    case kDcsrErrorValues:
      return "the code of its values is incomplete, or they leave their section";
    case kDcsrErrorDecoder:
      return "its encoding is not registered: use the header of this model, or AddDcsrOps";
    case kDcsrErrorChecksum:
      return "its checksum is wrong or missing";
  }
  return "unknown status";
}
