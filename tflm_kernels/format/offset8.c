// The encoding offset8: docs/format.md#offset8.

#include "tflm_kernels/format/decoders.h"
#include "tflm_kernels/format/group_words.h"
#include "tflm_kernels/format/offset_columns.h"
#include "tflm_kernels/format/row_reader.h"

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
      uint32_t largest = 0;
      for (uint32_t l = 0; l < lanes; ++l) largest = offset[l] > largest ? offset[l] : largest;
      // Checked for each group, so that the base cannot overflow.
      if (base + largest >= layer->cols) return false;
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

const DcsrDecoder kDcsrOffset8Decoder = {positions_are_valid, NULL, NULL, read_columns,
                                         decode_columns};
