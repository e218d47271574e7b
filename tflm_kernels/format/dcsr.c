// The encoding dcsr: docs/format.md#dcsr.

#include "tflm_kernels/common/compiler.h"
#include "tflm_kernels/format/decoders.h"
#include "tflm_kernels/format/group_words.h"
#include "tflm_kernels/format/offset_columns.h"
#include "tflm_kernels/format/row_reader.h"

enum { kMaxBase = 1 << 24 };

static void read_columns(DcsrRowReader* reader, DcsrGroup* group) {
  const DcsrLayer* layer = reader->layer;
  const uint32_t lanes = group->lanes;
  const uint32_t planes = dcsr_load_u16(reader->index) & kDcsrPlaneMask;
  const int32_t base = dcsr_group_base(reader->index, reader->expected);

  for (uint32_t l = 0; l < lanes; ++l) {
    const uint32_t line = (reader->slope * l) >> kDcsrSlopeBits;
    const uint32_t delta =
        dcsr_has_byte_deltas(layer) ? reader->delta[l] : dcsr_load_nibble(reader->delta, l);
    group->column[l] = base + (int32_t)(line + delta);
  }
  for (uint32_t p = 0; p < planes; ++p) {
    for (uint32_t l = 0; l < lanes; ++l) {
      const uint32_t bit = (uint32_t)(reader->plane[l / 8] >> (l % 8)) & 1;
      group->column[l] += (int32_t)(bit << (layer->index_parameter + p));
    }
    reader->plane += dcsr_plane_bytes(lanes);
  }

  reader->index += dcsr_descriptor_bytes(reader->index);
  reader->delta += dcsr_delta_bytes(layer, lanes);
  reader->expected = base + (int32_t)reader->slope;
}

// Whether the next group is within its streams, and its base within the range in which columns
// cannot overflow.
static bool next_dcsr_group_is_valid(const DcsrRowReader* reader, uint32_t lanes) {
  const DcsrLayer* layer = reader->layer;
  const size_t index_left = layer->index_bytes - (size_t)(reader->index - layer->index);
  const size_t delta_left = layer->delta_bytes - (size_t)(reader->delta - layer->delta);
  const size_t plane_left = layer->plane_bytes - (size_t)(reader->plane - layer->plane);
  if (index_left < kDcsrStepBytes) return false;
  if (index_left < dcsr_descriptor_bytes(reader->index)) return false;
  if (delta_left < dcsr_delta_bytes(layer, lanes)) return false;
  const uint32_t planes = dcsr_load_u16(reader->index) & kDcsrPlaneMask;
  if (plane_left < planes * dcsr_plane_bytes(lanes)) return false;
  const int32_t base = dcsr_group_base(reader->index, reader->expected);
  return base >= -kMaxBase && base <= kMaxBase;
}

static void begin_row(DcsrRowReader* reader, uint32_t length) {
  const DcsrLayer* layer = reader->layer;
  if (!dcsr_has_byte_deltas(layer) && length > 0) {
    reader->slope = (layer->cols << kDcsrSlopeBits) / length;
  }
}

// Writes eight columns. `line` is 16 times the distance of the line from the base.
static inline void add_deltas(uint32_t base, uint32_t line, uint32_t slope, uint32_t even,
                              uint32_t odd, int32_t* column) {
  DCSR_UNROLL("GCC unroll 8")
  for (uint32_t l = 0; l < 4; ++l) {
    column[2 * l] = (int32_t)(base + (line >> kDcsrSlopeBits) + (even >> (8 * l) & 0xFF));
    line += slope;
    DCSR_LANE_DONE(line);
    column[2 * l + 1] = (int32_t)(base + (line >> kDcsrSlopeBits) + (odd >> (8 * l) & 0xFF));
    line += slope;
    DCSR_LANE_DONE(line);
  }
}

static void read_nibble_columns(DcsrRowReader* reader, DcsrGroup* group, uint32_t planes) {
  const uint32_t lanes = group->lanes;
  const int32_t base = dcsr_group_base(reader->index, reader->expected);
  const uint32_t slope = reader->slope;
  const DcsrDeltaWords words = dcsr_delta_words(reader->delta, &reader->plane, planes, lanes);
  add_deltas((uint32_t)base, 0, slope, dcsr_even_deltas(&words, 0), dcsr_odd_deltas(&words, 0),
             group->column);
  if (lanes > 8) {
    add_deltas((uint32_t)base, 8 * slope, slope, dcsr_even_deltas(&words, 1),
               dcsr_odd_deltas(&words, 1), group->column + 8);
  }
  reader->index += dcsr_descriptor_bytes(reader->index);
  reader->delta += dcsr_delta_bytes(reader->layer, lanes);
  reader->expected = base + (int32_t)slope;
}

static void decode_columns(DcsrRowReader* reader, DcsrGroup* group) {
  if (dcsr_has_byte_deltas(reader->layer)) {
    if (dcsr_is_offset_group(reader)) {
      dcsr_read_offset_columns(reader, group);
      return;
    }
  } else {
    const uint32_t planes = dcsr_load_u16(reader->index) & kDcsrPlaneMask;
    if (planes <= kDcsrMostWordPlanes) {
      read_nibble_columns(reader, group, planes);
      return;
    }
  }
  read_columns(reader, group);
}

// Groups with few planes are checked without columns: from each lane to the next, the steps of line
// and delta have to add up to at least 1. A word has the sums for four lanes, 0x80 more than what
// exceeds that, so that the highest bit of a byte says whether its lane is valid. No sum exceeds a
// byte: deltas are at most 63.
enum { kStepWords = 4, kMostStepPlanes = 2, kMostStepSlope = (65 << kDcsrSlopeBits) - 1 };

// Sets the words to 0x7F plus the step of the line after lanes 0, 2, 4, 6, after 1, 3, 5, 7, and
// the same from lane 8 on.
static void set_line_steps(uint32_t slope, uint32_t* steps) {
  static const uint32_t kLanes[kStepWords] = {0x06040200, 0x07050301, 0x0E0C0A08, 0x0F0D0B09};
  const uint32_t each = UINT32_C(0x01010101);
  const uint32_t fraction = slope % (1 << kDcsrSlopeBits);
  for (uint32_t w = 0; w < kStepWords; ++w) {
    const uint32_t line = fraction * kLanes[w] & 0xF * each;
    const uint32_t carry = (line + fraction * each) >> kDcsrSlopeBits & each;
    steps[w] = (0x7F + (slope >> kDcsrSlopeBits)) * each + carry;
  }
}

// Checks a group with few planes and no escaped base, in a layer with nibbles and whole words.
// Returns false, with the reader unchanged, if it is no such group or invalid.
DCSR_NOINLINE static bool short_group_is_valid(DcsrRowReader* reader, uint32_t lanes,
                                               const uint32_t* steps, int32_t* previous) {
  const DcsrLayer* layer = reader->layer;
  const uint8_t* index = reader->index;
  const uint8_t* delta = reader->delta;
  const uint8_t* plane = reader->plane;
  if (layer->index_bytes - (size_t)(index - layer->index) < kDcsrStepBytes) return false;
  const uint32_t planes = dcsr_load_u16(index) & kDcsrPlaneMask;
  const uint32_t step = dcsr_load_u16(index) >> kDcsrStepShift;
  const uint32_t delta_bytes = (lanes + 1) / 2;
  if (step == kDcsrStepEscape || planes > kMostStepPlanes ||
      layer->delta_bytes - (size_t)(delta - layer->delta) < delta_bytes ||
      layer->plane_bytes - (size_t)(plane - layer->plane) < planes * dcsr_plane_bytes(lanes)) {
    return false;
  }
  const int32_t base = reader->expected + (int32_t)(step ^ 0x800) - 0x800;
  if (base < -kMaxBase || base > kMaxBase) return false;

  DcsrDeltaWords words = dcsr_delta_words(delta, &plane, planes, lanes);
  const uint32_t first_delta = (words.low[0] & 0xF) | (words.high[0] & 0xF) << kDcsrNibbleBits;
  if (base + (int32_t)first_delta <= *previous) return false;
  const uint32_t last = lanes - 1;
  const uint32_t shift = last % 8 * kDcsrNibbleBits;
  uint32_t low = words.low[1];
  uint32_t high = words.high[1];
  // Lanes that do not exist get the largest delta, which is valid, as the line rises.
  const uint32_t none = UINT32_MAX << shift << kDcsrNibbleBits;
  const uint32_t largest = UINT32_C(0x33333333);
  if (lanes > 8) {
    words.low[1] |= none;
    words.high[1] |= none & largest;
  } else {
    low = words.low[0];
    high = words.high[0];
    words.low[0] |= none;
    words.high[0] |= none & largest;
    words.low[1] = UINT32_MAX;
    words.high[1] = largest;
  }
  const uint32_t even = dcsr_even_deltas(&words, 0);
  const uint32_t odd = dcsr_odd_deltas(&words, 0);
  const uint32_t next_even = dcsr_even_deltas(&words, 1);
  const uint32_t next_odd = dcsr_odd_deltas(&words, 1);
  uint32_t sums = steps[0] + odd - even;
  sums &= steps[1] + (even >> 8 | next_even << 24) - odd;
  sums &= steps[2] + next_odd - next_even;
  sums &= steps[3] + (next_even >> 8 | UINT32_C(63) << 24) - next_odd;
  if ((~sums & UINT32_C(0x80808080)) != 0) return false;

  const uint32_t last_delta = (low >> shift & 0xF) | (high >> shift & 0xF) << kDcsrNibbleBits;
  *previous = base + (int32_t)((reader->slope * last >> kDcsrSlopeBits) + last_delta);
  reader->index = index + kDcsrStepBytes;
  reader->delta = delta + delta_bytes;
  reader->plane = plane;
  reader->expected = base + (int32_t)reader->slope;
  return true;
}

// Checks any group.
DCSR_NOINLINE static bool group_is_valid(DcsrRowReader* reader, uint32_t lanes, int32_t* previous) {
  if (!next_dcsr_group_is_valid(reader, lanes)) return false;
  DcsrGroup group;
  group.lanes = lanes;
  const DcsrDecoder* decoder = reader->layer->decoder;
  const bool has_words = dcsr_has_word_groups(reader->layer);
  (has_words ? decoder->decode_columns : decoder->read_columns)(reader, &group);
  for (uint32_t l = 0; l < lanes; ++l) {
    if (group.column[l] <= *previous) return false;
    *previous = group.column[l];
  }
  return true;
}

// Columns are valid if they increase.
static bool positions_are_valid(const DcsrLayer* layer) {
  const bool has_nibbles = dcsr_has_word_groups(layer) && !dcsr_has_byte_deltas(layer);
  DcsrRowReader reader = dcsr_row_reader(layer);
  for (uint32_t row = 0; row < layer->rows; ++row) {
    uint32_t left = dcsr_row_length(layer, row);
    begin_row(&reader, left);
    reader.expected = 0;
    reader.left = left;
    uint32_t steps[kStepWords];
    const bool has_steps = has_nibbles && reader.slope <= kMostStepSlope;
    if (has_steps) set_line_steps(reader.slope, steps);
    int32_t previous = -1;
    while (reader.left > 0) {
      const uint32_t lanes =
          reader.left < kDcsrGroupLanes ? reader.left : (uint32_t)kDcsrGroupLanes;
      if (!(has_steps && short_group_is_valid(&reader, lanes, steps, &previous)) &&
          !group_is_valid(&reader, lanes, &previous)) {
        return false;
      }
      if (previous >= (int32_t)layer->cols) return false;
      reader.left -= lanes;
    }
  }
  return reader.index == layer->index + layer->index_bytes &&
         reader.delta == layer->delta + layer->delta_bytes &&
         reader.plane == layer->plane + layer->plane_bytes;
}

const DcsrDecoder kDcsrDcsrDecoder = {positions_are_valid, NULL,         NULL,
                                      begin_row,           read_columns, decode_columns};
const DcsrDecoder kDcsrDcsrUncheckedDecoder = {dcsr_unchecked, NULL,         NULL,
                                               begin_row,      read_columns, decode_columns};
