// The encoding bitmap: docs/format.md#bitmap.

#include "tflm_kernels/common/compiler.h"
#include "tflm_kernels/format/decoders.h"
#include "tflm_kernels/format/one_bits.h"
#include "tflm_kernels/format/row_reader.h"

// Number of elements among `count` > 0 weights.
DCSR_NOINLINE static uint32_t elements_of(const DcsrLayer* layer, uint32_t first, uint32_t count) {
  return dcsr_count_ones((const uint32_t*)(const void*)layer->index, first, count);
}

static bool row_lengths_are_valid(const DcsrLayer* layer) {
  return elements_of(layer, 0, layer->rows * layer->cols) == layer->elements;
}

static uint32_t row_length(const DcsrLayer* layer, uint32_t row) {
  return elements_of(layer, row * layer->cols, layer->cols);
}

static void begin_row(DcsrRowReader* reader, uint32_t length) {
  (void)length;
  const uint32_t first = reader->row * reader->layer->cols;
  reader->index_bits.byte = first / 8;
  reader->index_bits.bit = first % 8;
}

static void read_columns(DcsrRowReader* reader, DcsrGroup* group) {
  for (uint32_t l = 0; l < group->lanes; ++l) {
    const uint32_t gap = dcsr_read_zeros(&reader->index_bits, reader->layer->cols);
    group->column[l] = reader->expected + (int32_t)gap;
    reader->expected = group->column[l] + 1;
  }
}

static void decode_columns(DcsrRowReader* reader, DcsrGroup* group) {
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

// The positions need no check: the row lengths are those of the bits.
const DcsrDecoder kDcsrBitmapDecoder = {NULL,      row_lengths_are_valid, row_length,
                                        begin_row, read_columns,          decode_columns};
const DcsrDecoder kDcsrBitmapUncheckedDecoder = {dcsr_unchecked, NULL,         row_length,
                                                 begin_row,      read_columns, decode_columns};
