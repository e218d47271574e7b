// The encoding dense: docs/format.md#dense.

#include "tflm_kernels/format/decoders.h"
#include "tflm_kernels/format/row_reader.h"

static uint32_t row_length(const DcsrLayer* layer, uint32_t row) {
  (void)row;
  return layer->cols;
}

static void read_columns(DcsrRowReader* reader, DcsrGroup* group) {
  for (uint32_t l = 0; l < group->lanes; ++l) {
    group->column[l] = reader->expected++;
  }
}

// Layers with dense weights have no word groups, so that nothing calls the last function.
const DcsrDecoder kDcsrDenseDecoder = {NULL, NULL, row_length, NULL, read_columns, read_columns};
const DcsrDecoder kDcsrDenseUncheckedDecoder = {dcsr_unchecked, NULL,         row_length,
                                                NULL,           read_columns, read_columns};
