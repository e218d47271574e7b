// Validates streams element by element with the row reader: an oracle for dcsr_layer_validate().

#ifndef DCSR_TFLM_KERNELS_TESTING_WALK_STREAMS_H_
#define DCSR_TFLM_KERNELS_TESTING_WALK_STREAMS_H_

#include <stdbool.h>

#include "tflm_kernels/format/row_reader.h"

enum { kWalkMaxBase = 1 << 24 };

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
  return base >= -kWalkMaxBase && base <= kWalkMaxBase;
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

// Returns kDcsrOk, kDcsrErrorIndex or kDcsrErrorValues. Row lengths are valid, and so is the code
// of the values. If positions and values are invalid, it returns the status of those that come
// first.
static DcsrStatus walk_streams(const DcsrLayer* layer) {
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

#endif  // DCSR_TFLM_KERNELS_TESTING_WALK_STREAMS_H_
