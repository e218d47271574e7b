// The encoding offset8: docs/format.md#offset8.

#include "tflm_kernels/format/decoders.h"
#include "tflm_kernels/format/group_words.h"
#include "tflm_kernels/format/offset_columns.h"
#include "tflm_kernels/format/row_reader.h"

// Whether none of `count` > 0 bytes exceeds `most` < 256. Compares four at a time, in two pairs of
// 16 bits: a difference of 9 bits keeps its highest one unless it is negative.
static bool bytes_are_at_most(const uint8_t* bytes, uint32_t count, uint32_t most) {
  const uint32_t minuend = (most | 0x100) * UINT32_C(0x00010001);
  uint32_t differences = UINT32_MAX;
  uint32_t i = 0;
  if (count >= 4) {
    // The last word may overlap the one before.
    for (; i < count; i += 4) {
      const uint32_t word = dcsr_load_u32(bytes + (i + 4 <= count ? i : count - 4));
      differences &= minuend - (word & 0x00FF00FF);
      differences &= minuend - (word >> 8 & 0x00FF00FF);
    }
  }
  for (; i < count; ++i) differences &= minuend - bytes[i];
  return (~differences & 0x01000100) == 0;
}

static bool positions_are_valid(const DcsrLayer* layer) {
  const uint8_t* step = layer->index;
  const uint8_t* offset = layer->delta;
  for (uint32_t row = 0; row < layer->rows; ++row) {
    uint32_t left = dcsr_row_length(layer, row);
    uint32_t base = 0;
    while (left > 0) {
      if (layer->index_bytes - (size_t)(step - layer->index) < kDcsrStepBytes) return false;
      base += dcsr_load_u16(step);
      step += kDcsrStepBytes;
      const uint32_t lanes = left < kDcsrGroupLanes ? left : (uint32_t)kDcsrGroupLanes;
      // Checked for each group, so that the base cannot overflow.
      if (base >= layer->cols) return false;
      const uint32_t most = layer->cols - 1 - base;
      if (most < UINT8_MAX && !bytes_are_at_most(offset, lanes, most)) return false;
      offset += lanes;
      left -= lanes;
    }
  }
  return step == layer->index + layer->index_bytes;
}

static void read_columns(DcsrRowReader* reader, DcsrGroup* group) {
  reader->expected += (int32_t)dcsr_load_u16(reader->index);
  for (uint32_t l = 0; l < group->lanes; ++l) {
    group->column[l] = reader->expected + (int32_t)reader->delta[l];
  }
  reader->index += kDcsrStepBytes;
  reader->delta += group->lanes;
}

static void decode_columns(DcsrRowReader* reader, DcsrGroup* group) {
  if (dcsr_is_offset_group(reader)) {
    dcsr_read_offset_columns(reader, group);
  } else {
    read_columns(reader, group);
  }
}

const DcsrDecoder kDcsrOffset8Decoder = {positions_are_valid, NULL,          NULL, NULL,
                                         read_columns,        decode_columns};
const DcsrDecoder kDcsrOffset8UncheckedDecoder = {dcsr_unchecked, NULL,         NULL,
                                                  NULL,           read_columns, decode_columns};
