// The lengths of rows that are not stored in one or two bytes, and what unchecked decoders share.

#include "tflm_kernels/format/decoders.h"
#include "tflm_kernels/format/row_reader.h"

bool dcsr_unchecked(const DcsrLayer* layer) {
  (void)layer;
  return false;
}

uint32_t dcsr_rare_row_length(const DcsrLayer* layer, uint32_t row) {
  if (layer->row_length_bits != 0) return dcsr_load_row_length(layer, row);
  if (layer->row_length_bytes == 4) return dcsr_load_u32(layer->row_length + (size_t)row * 4);
  return layer->decoder->row_length(layer, row);
}
