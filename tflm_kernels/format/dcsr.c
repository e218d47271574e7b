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

// Returns the last of eight columns if they increase from `before` on, else INT32_MAX. `line` is 16
// times the line at the first of them. `low` and `high` are the parts of their deltas.
DCSR_NOINLINE static int32_t last_of_eight(int32_t before, int32_t line, int32_t slope,
                                           uint32_t low, uint32_t high) {
  const DcsrDeltaWords words = {{low, 0}, {high, 0}};
  const uint32_t even = dcsr_even_deltas(&words, 0);
  const uint32_t odd = dcsr_odd_deltas(&words, 0);
  DCSR_UNROLL("GCC unroll 4")
  for (uint32_t l = 0; l < 4; ++l) {
    const int32_t column = (line >> kDcsrSlopeBits) + (int32_t)(even >> (8 * l) & 0xFF);
    if (column <= before) return INT32_MAX;
    line += slope;
    before = (line >> kDcsrSlopeBits) + (int32_t)(odd >> (8 * l) & 0xFF);
    if (before <= column) return INT32_MAX;
    line += slope;
  }
  return before;
}

// Checks a group with nibbles, whole words and no escaped base, whose columns it does not store.
// Returns false, with the reader unchanged, if it is none of these or invalid.
DCSR_NOINLINE static bool plain_group_is_valid(DcsrRowReader* reader, uint32_t lanes,
                                               int32_t* previous) {
  const DcsrLayer* layer = reader->layer;
  const uint8_t* index = reader->index;
  const uint8_t* delta = reader->delta;
  const uint8_t* plane = reader->plane;
  if (layer->index_bytes - (size_t)(index - layer->index) < kDcsrStepBytes) return false;
  const uint32_t planes = dcsr_load_u16(index) & kDcsrPlaneMask;
  const uint32_t step = dcsr_load_u16(index) >> kDcsrStepShift;
  const uint32_t delta_bytes = (lanes + 1) / 2;
  if (step == kDcsrStepEscape || planes > kDcsrMostWordPlanes ||
      layer->delta_bytes - (size_t)(delta - layer->delta) < delta_bytes ||
      layer->plane_bytes - (size_t)(plane - layer->plane) < planes * dcsr_plane_bytes(lanes)) {
    return false;
  }
  const int32_t base = reader->expected + (int32_t)(step ^ 0x800) - 0x800;
  if (base < -kMaxBase || base > kMaxBase) return false;

  const DcsrDeltaWords words = dcsr_delta_words(delta, &plane, planes, lanes);
  const int32_t slope = (int32_t)reader->slope;
  int32_t line = base * (1 << kDcsrSlopeBits);
  int32_t before = *previous;
  uint32_t low = words.low[0];
  uint32_t high = words.high[0];
  uint32_t last = lanes - 1;
  if (lanes > 8) {
    before = last_of_eight(before, line, slope, low, high);
    if (before == INT32_MAX) return false;
    low = words.low[1];
    high = words.high[1];
    line += 8 * slope;
    last -= 8;
  }
  // Lanes that do not exist get the largest delta, which is valid, as the line rises.
  const uint32_t shift = last * kDcsrNibbleBits;
  const uint32_t none = UINT32_MAX << shift << kDcsrNibbleBits;
  if (last_of_eight(before, line, slope, low | none, high | none) == INT32_MAX) return false;
  const uint32_t last_delta = (low >> shift & 0xF) | (high >> shift & 0xF) << kDcsrNibbleBits;
  *previous = ((line + (int32_t)last * slope) >> kDcsrSlopeBits) + (int32_t)last_delta;
  reader->index = index + kDcsrStepBytes;
  reader->delta = delta + delta_bytes;
  reader->plane = plane;
  reader->expected = base + slope;
  return true;
}

// Checks any group.
static bool group_is_valid(DcsrRowReader* reader, uint32_t lanes, int32_t* previous) {
  if (!next_dcsr_group_is_valid(reader, lanes)) return false;
  DcsrGroup group;
  group.lanes = lanes;
  read_columns(reader, &group);
  for (uint32_t l = 0; l < lanes; ++l) {
    if (group.column[l] <= *previous) return false;
    *previous = group.column[l];
  }
  return true;
}

// Every column has to be computed: all are valid if they increase.
static bool positions_are_valid(const DcsrLayer* layer) {
  const bool is_plain = dcsr_has_word_groups(layer) && !dcsr_has_byte_deltas(layer);
  DcsrRowReader reader = dcsr_row_reader(layer);
  for (uint32_t row = 0; row < layer->rows; ++row) {
    uint32_t left = dcsr_row_length(layer, row);
    begin_row(&reader, left);
    reader.expected = 0;
    int32_t previous = -1;
    while (left > 0) {
      const uint32_t lanes = left < kDcsrGroupLanes ? left : (uint32_t)kDcsrGroupLanes;
      if (!(is_plain && plain_group_is_valid(&reader, lanes, &previous)) &&
          !group_is_valid(&reader, lanes, &previous)) {
        return false;
      }
      if (previous >= (int32_t)layer->cols) return false;
      left -= lanes;
    }
  }
  return reader.index == layer->index + layer->index_bytes &&
         reader.delta == layer->delta + layer->delta_bytes &&
         reader.plane == layer->plane + layer->plane_bytes;
}

const DcsrDecoder kDcsrDcsrDecoder = {positions_are_valid, NULL, begin_row, read_columns,
                                      decode_columns};
