// The encoding rice: docs/format.md#rice.

#include "tflm_kernels/common/compiler.h"
#include "tflm_kernels/format/bits.h"
#include "tflm_kernels/format/decoders.h"
#include "tflm_kernels/format/one_bits.h"
#include "tflm_kernels/format/row_reader.h"

// Adds up `count` quotients. Returns false if the stream ends before, or if the sum exceeds `most`.
static bool add_quotients(DcsrBits* bits, uint32_t count, uint32_t most, uint32_t* sum) {
  for (; count > 0; --count) {
    while (bits->word == 0) {
      *sum += bits->left;
      bits->left = 0;
      if (bits->next == bits->end || *sum > most) return false;
      dcsr_refill(bits);
    }
    const uint32_t zeros = dcsr_trailing_zeros(bits->word);
    *sum += zeros;
    bits->word = bits->word >> zeros >> 1;
    bits->left -= zeros + 1;
  }
  return *sum <= most;
}

// Adds up `count` numbers of `width` <= 25 bits. Returns false if the stream ends before.
static bool add_numbers(DcsrBits* bits, uint32_t count, uint32_t width, uint32_t* sum) {
  const uint32_t mask = (UINT32_C(1) << width) - 1;
  for (; count > 0; --count) {
    if (bits->left < width) {
      dcsr_refill(bits);
      if (bits->left < width) return false;
    }
    *sum += bits->word & mask;
    bits->word >>= width;
    bits->left -= width;
  }
  return true;
}

// Computes no column: gaps are never negative, so a row is valid if their sum fits into it.
static bool positions_are_valid(const DcsrLayer* layer) {
  DcsrBits quotients = dcsr_bits_of(layer->index, layer->index_bytes);
  DcsrBits remainders = dcsr_bits_of(layer->delta, layer->delta_bytes);
  for (uint32_t row = 0; row < layer->rows; ++row) {
    const uint32_t length = dcsr_row_length(layer, row);
    if (length == 0) continue;
    const uint32_t width = dcsr_remainder_bits(layer, length);
    uint32_t high = 0;
    // At most 2 * cols: a remainder is below 2^width <= 2 * cols / length.
    uint32_t low = 0;
    if (!add_quotients(&quotients, length, layer->cols >> width, &high)) return false;
    if (!add_numbers(&remainders, length, width, &low)) return false;
    if ((high << width) + low + length > layer->cols) return false;
  }
  return dcsr_has_no_byte_left(&quotients) && dcsr_has_no_byte_left(&remainders);
}

// Without bits for row lengths, all rows are empty.
static uint32_t row_length(const DcsrLayer* layer, uint32_t row) {
  (void)layer;
  (void)row;
  return 0;
}

static void begin_row(DcsrRowReader* reader, uint32_t length) {
  if (length > 0) reader->remainder_bits = dcsr_remainder_bits(reader->layer, length);
}

static void read_columns(DcsrRowReader* reader, DcsrGroup* group) {
  const uint32_t bits = reader->remainder_bits;
  // In a layer not validated yet, a larger quotient leads to a column beyond the last one.
  const uint32_t limit = reader->layer->cols >> bits;
  for (uint32_t l = 0; l < group->lanes; ++l) {
    const uint32_t quotient = dcsr_read_zeros(&reader->index_bits, limit);
    const uint32_t gap = quotient << bits | dcsr_read_bits(&reader->delta_bits, bits);
    group->column[l] = reader->expected + (int32_t)gap;
    reader->expected = group->column[l] + 1;
  }
}

static void decode_columns(DcsrRowReader* reader, DcsrGroup* group) {
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

const DcsrDecoder kDcsrRiceDecoder = {positions_are_valid, row_length, begin_row, read_columns,
                                      decode_columns};
