// The encoding rle: docs/format.md#rle.

#include "tflm_kernels/common/compiler.h"
#include "tflm_kernels/format/decoders.h"
#include "tflm_kernels/format/group_words.h"
#include "tflm_kernels/format/row_reader.h"

// Gaps are never negative, so a row is valid if their sum fits into it.
static bool positions_are_valid(const DcsrLayer* layer) {
  uint32_t element = 0;
  for (uint32_t row = 0; row < layer->rows; ++row) {
    const uint32_t length = dcsr_row_length(layer, row);
    const uint32_t end = element + length;
    uint32_t sum = length;
    if (element < end && element % 2 != 0) sum += layer->index[element++ / 2] >> 4;
    for (; element + 8 <= end; element += 8) {
      const uint32_t gaps = dcsr_load_u32(layer->index + element / 2);
      sum += dcsr_sum_of_bytes((gaps & 0x0F0F0F0F) + (gaps >> 4 & 0x0F0F0F0F));
    }
    for (; element + 1 < end; element += 2) {
      const uint32_t gaps = layer->index[element / 2];
      sum += (gaps & 0xF) + (gaps >> 4);
    }
    if (element < end) sum += layer->index[element++ / 2] & 0xF;
    if (sum > layer->cols) return false;
  }
  return true;
}

static void read_columns(DcsrRowReader* reader, DcsrGroup* group) {
  const uint32_t first = reader->element;
  for (uint32_t l = 0; l < group->lanes; ++l) {
    const uint32_t gap = dcsr_load_nibble(reader->index, first + l);
    group->column[l] = reader->expected + (int32_t)gap;
    reader->expected = group->column[l] + 1;
  }
}

static void decode_columns(DcsrRowReader* reader, DcsrGroup* group) {
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

const DcsrDecoder kDcsrRleDecoder = {positions_are_valid, NULL,          NULL, NULL,
                                     read_columns,        decode_columns};
const DcsrDecoder kDcsrRleUncheckedDecoder = {dcsr_unchecked, NULL,         NULL,
                                              NULL,           read_columns, decode_columns};
