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
#include "tflm_kernels/format/bit_reader.h"
#include "tflm_kernels/format/huffman.h"
#include "tflm_kernels/format/row_reader.h"
#include "tflm_kernels/format/shift_range.h"

#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "packed layers are little-endian, and this target is not"
#endif

enum {
  kFlagPerRow = 1,
  kFlagInt16 = 2,
  kFlagSamePadding = 4,
  kFlagBias = 8,  // version 2
  kFlagSlowGathers = 128,
  kRatioBytes = 8,
  kMaxBase = 1 << 24,
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

static bool is_int8(int32_t value) { return value >= INT8_MIN && value <= INT8_MAX; }

static bool is_int16(const Header* h) { return (h->flags & kFlagInt16) != 0; }

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

// A row has one column per tap. Version 2 and int16 activations are for the other ops.
static bool depthwise_is_valid(const Header* h) {
  const uint32_t taps = has_1x1_filter(h) ? 1 : (uint32_t)h->filter_h * h->filter_w;
  return h->cols == taps && h->depth_multiplier >= 1 && h->rows % h->depth_multiplier == 0 &&
         !is_int16(h) && h->version == kDcsrFormatVersion;
}

static bool geometry_is_valid(const Header* h) {
  if (h->rows < 1 || h->rows > kDcsrMaxRows) return false;
  if (h->cols < 1 || h->cols > kDcsrMaxCols) return false;
  if ((uint64_t)h->rows * h->cols > kDcsrMaxWeights) return false;
  if (h->elements > (uint64_t)h->rows * h->cols) return false;
  if (h->stride_h < 1 || h->stride_w < 1 || !filter_is_valid(h)) return false;
  switch (h->op) {
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

// Version 1 defines the flags 1, 2, 4 and 128; version 2 also 8.
static bool unused_is_zero(const Header* h) {
  return (h->flags & ~kFlagSlowGathers) < 8 * h->version;
}

// Reads a header of this version and checks it.
DCSR_NOINLINE static DcsrStatus read_header(const void* data, size_t size, uint32_t version,
                                            Header* h) {
  if ((uintptr_t)data % 4 != 0) return kDcsrErrorAlignment;
  if (size < kDcsrHeaderBytes) return kDcsrErrorTruncated;
  memcpy(h, data, sizeof(*h));
  if (memcmp(h->magic, "dCSR", sizeof(h->magic)) != 0) return kDcsrErrorMagic;
  if (h->version != version) return kDcsrErrorVersion;
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
  layer->op = (DcsrOp)h->op;
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
  layer->slow_gathers = (h->flags & kFlagSlowGathers) != 0;
  layer->depth_multiplier = h->depth_multiplier;
  layer->channels = h->op == kDcsrOpDepthwiseConv2d ? h->rows / h->depth_multiplier
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

DcsrStatus dcsr_layer_parse(const void* data, size_t size, DcsrLayer* layer) {
  Header h;
  const DcsrStatus status = read_header(data, size, kDcsrFormatVersion, &h);
  if (status != kDcsrOk) return status;

  // These sections have less than 2^24 bytes, and their sizes are multiples of 4 before padding.
  const uint32_t count = (h.flags & kFlagPerRow) != 0 ? h.rows : 1;
  const uint32_t bias = kDcsrHeaderBytes;
  const uint32_t multiplier = bias + h.rows * (is_int16(&h) ? 8 : 4);
  const uint32_t shift = multiplier + count * 4;
  const uint8_t* base = (const uint8_t*)data;
  const uint64_t end = set_layer(&h, base, size, shift + (count + 3) / 4 * 4, layer);
  if (end != h.total_bytes) return kDcsrErrorSections;
  if (end > size) return kDcsrErrorTruncated;

  layer->bias = (const int32_t*)(const void*)(base + bias);
  layer->multiplier = (const int32_t*)(const void*)(base + multiplier);
  layer->shift = (const int8_t*)(base + shift);
  return kDcsrOk;
}

DcsrStatus dcsr_shared_layer_parse(const void* data, size_t size, const void* shared,
                                   size_t shared_size, DcsrLayer* layer, DcsrSharedRows* rows) {
  Header h;
  const DcsrStatus status = read_header(data, size, kDcsrFormatVersionSharedRows, &h);
  if (status != kDcsrOk) return status;
  if ((uintptr_t)shared % 4 != 0) return kDcsrErrorAlignment;

  const uint64_t count = h.rows;
  const bool has_bias = (h.flags & kFlagBias) != 0;
  uint64_t end = kDcsrHeaderBytes;
  const uint64_t ratio = append_section(&end, kRatioBytes);
  const uint64_t bias = append_section(&end, has_bias ? count * (is_int16(&h) ? 8 : 4) : 0);
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
  // A mantissa of fewer than 48 bits could give a multiplier below 2^30.
  return rows->ratio_high >> 15 != 0 ? kDcsrOk : kDcsrErrorHeader;
}

static DcsrStatus validate_requantize(const DcsrLayer* layer) {
  const uint32_t count = layer->requantize_stride ? layer->rows : 1;
  const int32_t max_shift = layer->int16_activations ? kDcsrMaxInt16Shift : kDcsrMaxShift;
  for (uint32_t i = 0; i < count; ++i) {
    if (layer->multiplier[i] < 0 || layer->shift[i] < kDcsrMinShift ||
        layer->shift[i] > max_shift) {
      return kDcsrErrorRequantize;
    }
  }
  return kDcsrOk;
}

static DcsrStatus validate_row_lengths(const DcsrLayer* layer) {
  uint64_t sum = 0;
  for (uint32_t row = 0; row < layer->rows; ++row) {
    const uint32_t length = dcsr_row_length(layer, row);
    if (length > layer->cols) return kDcsrErrorRowLength;
    sum += length;
  }
  return sum == layer->elements ? kDcsrOk : kDcsrErrorRowLength;
}

// Whether the next group is within its streams, and its base within the range in
// which columns cannot overflow.
static bool next_dcsr_group_is_valid(const DcsrRowReader* reader) {
  const DcsrLayer* layer = reader->layer;
  const size_t index_left = layer->index_bytes - (size_t)(reader->index - layer->index);
  const size_t delta_left = layer->delta_bytes - (size_t)(reader->delta - layer->delta);
  const size_t plane_left = layer->plane_bytes - (size_t)(reader->plane - layer->plane);
  const uint32_t lanes = reader->left < kDcsrGroupLanes ? reader->left : (uint32_t)kDcsrGroupLanes;

  if (index_left < kDcsrStepBytes) return false;
  if (index_left < dcsr_descriptor_bytes(reader->index)) return false;
  if (delta_left < dcsr_delta_bytes(layer, lanes)) return false;
  const uint32_t planes = dcsr_load_u16(reader->index) & kDcsrPlaneMask;
  if (plane_left < planes * dcsr_plane_bytes(lanes)) return false;
  const int32_t base = dcsr_group_base(reader->index, reader->expected);
  return base >= -kMaxBase && base <= kMaxBase;
}

static bool next_offset8_group_is_valid(const DcsrRowReader* reader) {
  const DcsrLayer* layer = reader->layer;
  return layer->index_bytes - (size_t)(reader->index - layer->index) >= kDcsrStepBytes;
}

// Whether the next group is within those of its streams whose sizes do not follow from the header.
static bool next_group_is_valid(const DcsrRowReader* reader) {
  switch (reader->layer->encoding) {
    case kDcsrEncodingDcsr:
      return next_dcsr_group_is_valid(reader);
    case kDcsrEncodingOffset8:
      return next_offset8_group_is_valid(reader);
    case kDcsrEncodingDense:
    case kDcsrEncodingRle:
    case kDcsrEncodingRice:  // dcsr_ran_out() tells
    case kDcsrEncodingBitmap:
      break;
  }
  return true;
}

static DcsrStatus validate_code(const DcsrLayer* layer) {
  if (layer->value_coding == kDcsrValuesPlain) return kDcsrOk;
  return dcsr_code_is_complete(dcsr_code_lengths(layer), layer->raw_bits) ? kDcsrOk
                                                                          : kDcsrErrorValues;
}

static bool all_positions_were_read(const DcsrRowReader* reader) {
  const DcsrLayer* layer = reader->layer;
  switch (layer->encoding) {
    case kDcsrEncodingDcsr:
    case kDcsrEncodingOffset8:
      return reader->index == layer->index + layer->index_bytes &&
             reader->delta == layer->delta + layer->delta_bytes &&
             reader->plane == layer->plane + layer->plane_bytes;
    case kDcsrEncodingRice:
      return dcsr_is_at_end(&reader->index_bits) && dcsr_is_at_end(&reader->delta_bits);
    case kDcsrEncodingDense:
    case kDcsrEncodingRle:
    case kDcsrEncodingBitmap:
      break;
  }
  return true;
}

// Requires valid row lengths and a complete code of the values. Row lengths limit how much is read
// from `index` of an rle layer and from `delta` of an offset8 layer.
static DcsrStatus validate_elements(const DcsrLayer* layer) {
  const bool increase = dcsr_columns_increase(layer);
  DcsrRowReader reader = dcsr_row_reader(layer);
  for (uint32_t row = 0; row < layer->rows; ++row) {
    dcsr_next_row(&reader);
    int32_t previous = -1;
    while (reader.left > 0) {
      if (!next_group_is_valid(&reader)) return kDcsrErrorIndex;
      DcsrGroup group;
      dcsr_next_group(&reader, &group);
      for (uint32_t l = 0; l < group.lanes; ++l) {
        const int32_t column = group.column[l];
        if (column <= previous || column >= (int32_t)layer->cols) return kDcsrErrorIndex;
        if (increase) previous = column;
      }
      if (dcsr_ran_out(&reader.index_bits) || dcsr_ran_out(&reader.delta_bits)) {
        return kDcsrErrorIndex;
      }
      if (dcsr_ran_out(&reader.value_bits)) return kDcsrErrorValues;
    }
  }
  if (!all_positions_were_read(&reader)) return kDcsrErrorIndex;
  const bool all_values_were_read =
      layer->value_coding == kDcsrValuesPlain || dcsr_is_at_end(&reader.value_bits);
  return all_values_were_read ? kDcsrOk : kDcsrErrorValues;
}

DcsrStatus dcsr_layer_validate(const DcsrLayer* layer) {
  DcsrStatus status = validate_requantize(layer);
  if (status == kDcsrOk) status = validate_code(layer);
  const bool has_no_streams =
      layer->encoding == kDcsrEncodingDense && layer->value_coding == kDcsrValuesPlain;
  if (status != kDcsrOk || has_no_streams) return status;
  status = validate_row_lengths(layer);
  if (status != kDcsrOk) return status;
  return validate_elements(layer);
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
  }
  return "unknown status";
}
