// Decodes groups of up to 16 elements, a 32-bit word of the stream at a time.
// Format: docs/format.md#encodings.
//
// Input:   a row reader within a row (row_reader.h).
// Output:  a group: columns and weights of its lanes.
// Scratch: none; the group holds decoded values.

#include "tflm_kernels/format/group_decoder.h"

#include <stdint.h>

#include "tflm_kernels/common/compiler.h"
#include "tflm_kernels/format/group_words.h"
#include "tflm_kernels/format/one_bits.h"

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

// Requires dcsr_is_offset_group().
static void read_offset_columns(DcsrRowReader* reader, DcsrGroup* group) {
  const uint32_t base = (uint32_t)dcsr_offset_base(reader);
  const uint8_t* offset = reader->delta;
  DCSR_UNROLL("GCC unroll 16")
  for (uint32_t l = 0; l < kDcsrGroupLanes; ++l) group->column[l] = (int32_t)(base + offset[l]);
  reader->delta += kDcsrGroupLanes;
}

static void read_rle_columns(DcsrRowReader* reader, DcsrGroup* group) {
  const uint32_t first = reader->element;
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

DCSR_NOINLINE static void read_rice_columns(DcsrRowReader* reader, DcsrGroup* group) {
  const uint32_t bits = reader->remainder_bits;
  const uint32_t lanes = group->lanes;
  const uint8_t* remainders = reader->delta_bits.data + reader->delta_bits.byte;
  uint32_t bit = reader->delta_bits.bit;
  DcsrOnes ones = dcsr_begin_ones(&reader->index_bits, (uint32_t)reader->expected, 1, bits);
  int32_t* column = group->column;
  uint32_t left = lanes;
  if (4 * bits <= kDcsrPeekBits) {
    for (; left >= 4; left -= 4) {
      uint32_t word = dcsr_load_u32(remainders + bit / 8) >> (bit % 8);
      bit += 4 * bits;
      DCSR_UNROLL("GCC unroll 4")
      for (uint32_t l = 0; l < 4; ++l) {
        *column++ = (int32_t)dcsr_next_one(&ones, word);
        word >>= bits;
        DCSR_LANE_DONE(word);
      }
    }
  }
  for (; left > 0; --left) {
    const uint32_t word = dcsr_load_u32(remainders + bit / 8) >> (bit % 8);
    bit += bits;
    *column++ = (int32_t)dcsr_next_one(&ones, word);
  }
  dcsr_end_ones(&ones, &reader->index_bits);
  dcsr_skip_bits(&reader->delta_bits, lanes * bits);
  reader->expected = group->column[lanes - 1] + 1;
}

DCSR_NOINLINE static void read_bitmap_columns(DcsrRowReader* reader, DcsrGroup* group) {
  DcsrOnes ones = dcsr_begin_ones(&reader->index_bits, (uint32_t)reader->expected, 1, 0);
  int32_t* column = group->column;
  uint32_t left = group->lanes;
  for (; left >= 4; left -= 4) {
    DCSR_UNROLL("GCC unroll 4")
    for (uint32_t l = 0; l < 4; ++l) *column++ = (int32_t)dcsr_next_one(&ones, 0);
  }
  for (; left > 0; --left) *column++ = (int32_t)dcsr_next_one(&ones, 0);
  dcsr_end_ones(&ones, &reader->index_bits);
  reader->expected = group->column[group->lanes - 1] + 1;
}

// State of the value decoder, kept in registers.
typedef struct {
  const uint8_t* codes;
  uint32_t bit;  // position of the next value, relative to `codes`
  const uint16_t* entries;
  uint32_t raw_bits;
} Values;

// Returns the value at the lowest bits of `word` and shifts it out.
static inline int8_t next_value(Values* values, uint32_t* word) {
  const uint32_t raw_mask = (UINT32_C(1) << values->raw_bits) - 1;
  const uint32_t entry = values->entries[*word >> values->raw_bits & 0xFF];
  const uint32_t value = entry >> 8 | (*word & raw_mask);
  *word >>= entry & 0xFF;
  values->bit += entry & 0xFF;
  return (int8_t)value;
}

static inline uint32_t next_word(const Values* values) {
  return dcsr_load_u32(values->codes + values->bit / 8) >> (values->bit % 8);
}

// One word holds at least two values.
DCSR_NOINLINE static void read_huffman_values(DcsrRowReader* reader, DcsrGroup* group) {
  const DcsrBitReader* bits = &reader->value_bits;
  Values values = {bits->data + bits->byte, bits->bit, reader->values.entry,
                   reader->layer->raw_bits};
  int8_t* decoded = group->decoded;
  uint32_t left = group->lanes;
  for (; left >= 4; left -= 4) {
    uint32_t word = next_word(&values);
    *decoded++ = next_value(&values, &word);
    *decoded++ = next_value(&values, &word);
    word = next_word(&values);
    *decoded++ = next_value(&values, &word);
    *decoded++ = next_value(&values, &word);
  }
  for (; left > 0; --left) {
    uint32_t word = next_word(&values);
    *decoded++ = next_value(&values, &word);
  }
  dcsr_skip_bits(&reader->value_bits, values.bit - reader->value_bits.bit);
  group->weight = group->decoded;
}

_Static_assert(2 * (kDcsrMaxCodeBits + kDcsrMaxRawBits) <= kDcsrPeekBits, "read_huffman_values");

bool dcsr_decode_group(DcsrRowReader* reader, DcsrGroup* group) {
  const DcsrLayer* layer = reader->layer;
  if (reader->left == 0) return false;
  if (!dcsr_has_word_groups(layer)) return dcsr_next_group(reader, group);
  const bool has_offset_groups = dcsr_has_offset_groups(layer);
  if (has_offset_groups && !dcsr_is_offset_group(reader)) return dcsr_next_group(reader, group);
  group->lanes = reader->left < kDcsrGroupLanes ? reader->left : (uint32_t)kDcsrGroupLanes;
  switch (layer->encoding) {
    case kDcsrEncodingDcsr: {
      if (has_offset_groups) {
        read_offset_columns(reader, group);
        break;
      }
      const uint32_t planes = dcsr_load_u16(reader->index) & kDcsrPlaneMask;
      if (planes > kDcsrMostWordPlanes) return dcsr_next_group(reader, group);
      read_dcsr_columns(reader, group, planes);
      break;
    }
    case kDcsrEncodingRle:
      read_rle_columns(reader, group);
      break;
    case kDcsrEncodingOffset8:
      read_offset_columns(reader, group);
      break;
    case kDcsrEncodingRice:
      read_rice_columns(reader, group);
      break;
    case kDcsrEncodingBitmap:
      read_bitmap_columns(reader, group);
      break;
    default:
      return dcsr_next_group(reader, group);
  }
  if (layer->value_coding == kDcsrValuesHuffman) {
    read_huffman_values(reader, group);
  } else {
    group->weight = reader->weight;
    reader->weight += group->lanes;
  }
  reader->element += group->lanes;
  reader->left -= group->lanes;
  return true;
}
