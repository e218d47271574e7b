// Columns of a group, eight lanes at a time. Format: docs/format.md#encodings.

#include "tflm_kernels/group_decoder.h"

#include <stdint.h>

#include "tflm_kernels/compiler.h"
#include "tflm_kernels/group_words.h"

// Eight columns; `line` is 16 times what it adds to the base.
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

static void read_dcsr_columns(DcsrRowReader* reader, DcsrGroup* group, uint32_t planes) {
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

// If dcsr_is_offset_group().
static void read_offset_columns(DcsrRowReader* reader, DcsrGroup* group) {
  const uint32_t base = (uint32_t)dcsr_offset_base(reader);
  const uint8_t* offset = reader->delta;
  DCSR_UNROLL("GCC unroll 16")
  for (uint32_t l = 0; l < kDcsrGroupLanes; ++l) group->column[l] = (int32_t)(base + offset[l]);
  reader->delta += kDcsrGroupLanes;
}

static void read_rle_columns(DcsrRowReader* reader, DcsrGroup* group) {
  const uint32_t first = (uint32_t)(group->weight - reader->layer->values);
  uint32_t column = (uint32_t)reader->expected;
  uint32_t lane = 0;
  for (; lane + 8 <= group->lanes; lane += 8) {
    const uint32_t gaps = dcsr_gap_word(reader->layer->index, first + lane);
    int32_t* out = group->column + lane;
    DCSR_UNROLL("GCC unroll 8")
    for (uint32_t l = 0; l < 8; ++l) {
      column += gaps >> (4 * l) & 0xF;
      out[l] = (int32_t)column++;
      DCSR_LANE_DONE(column);
    }
  }
  if (lane < group->lanes) {
    uint32_t gaps = dcsr_gap_word(reader->layer->index, first + lane);
    for (; lane < group->lanes; ++lane) {
      column += gaps & 0xF;
      gaps >>= 4;
      group->column[lane] = (int32_t)column++;
    }
  }
  reader->expected = (int32_t)column;
}

bool dcsr_decode_group(DcsrRowReader* reader, DcsrGroup* group) {
  const DcsrLayer* layer = reader->layer;
  if (reader->left == 0) return false;
  if (!dcsr_has_word_groups(layer)) return dcsr_next_group(reader, group);
  const bool has_offset_groups = dcsr_has_offset_groups(layer);
  if (has_offset_groups && !dcsr_is_offset_group(reader)) return dcsr_next_group(reader, group);
  uint32_t planes = 0;
  if (layer->encoding == kDcsrEncodingDcsr) {
    planes = dcsr_load_u16(reader->index) & kDcsrPlaneMask;
    if (planes > kDcsrMostWordPlanes) return dcsr_next_group(reader, group);
  }
  group->lanes = reader->left < kDcsrGroupLanes ? reader->left : (uint32_t)kDcsrGroupLanes;
  group->weight = reader->weight;
  if (has_offset_groups) {
    read_offset_columns(reader, group);
  } else if (layer->encoding == kDcsrEncodingDcsr) {
    read_dcsr_columns(reader, group, planes);
  } else {
    read_rle_columns(reader, group);
  }
  reader->weight += group->lanes;
  reader->left -= group->lanes;
  return true;
}
