// The encoding rice: docs/format.md#rice.

#include "tflm_kernels/common/compiler.h"
#include "tflm_kernels/format/bits.h"
#include "tflm_kernels/format/decoders.h"
#include "tflm_kernels/format/one_bits.h"
#include "tflm_kernels/format/row_reader.h"

// Up to so many ones are counted one by one.
enum { kFewOnes = 8 };

// Adds up `count` > 0 quotients: the zeros before the last of `count` ones. Returns false if the
// stream ends before, or if the sum exceeds `most`.
static bool add_quotients(DcsrBits* bits, uint32_t count, uint32_t most, uint32_t* sum) {
  uint32_t ones = count;  // not yet found
  uint32_t read = 0;      // bits
  for (;;) {
    uint32_t word = bits->word;
    if (ones > kFewOnes) {
      uint32_t bytes = dcsr_ones_of_bytes(word);
      const uint32_t all = dcsr_sum_of_bytes(bytes);
      if (all < ones) {
        ones -= all;
        word = 0;
      } else {
        for (; ones > (bytes & 0xFF); bytes >>= 8) {
          ones -= bytes & 0xFF;
          word >>= 8;
          read += 8;
          bits->left -= 8;
        }
      }
    }
    for (; ones > 1 && word != 0; --ones) word &= word - 1;
    if (word != 0) {
      const uint32_t last = dcsr_trailing_zeros(word);
      bits->word = word >> last >> 1;
      bits->left -= last + 1;
      *sum = read + last + 1 - count;
      return *sum <= most;
    }
    read += bits->left;
    if (bits->next == bits->end || read > most + count) return false;
    bits->word = 0;
    bits->left = 0;
    dcsr_refill(bits);
  }
}

// Numbers of up to kPackedBits bits are added up as fields of a word: first in pairs, then in pairs
// of pairs. The masks select every second field of a step: eight numbers, or six of four bits.
enum { kPackedBits = 4 };
static const uint32_t kPairs[kPackedBits + 1] = {0, 0x55, 0x3333, 0x1C71C7, 0x0F0F0F};
static const uint32_t kFours[kPackedBits + 1] = {0, 0x33, 0x0F0F, 0x03F03F, 0x00FF00FF};

// Adds up `count` > 0 numbers of `width` <= 25 bits. Returns false if the stream ends before.
static bool add_numbers(DcsrBitReader* bits, uint32_t count, uint32_t width, uint32_t* sum) {
  const size_t bytes = bits->size - bits->byte;
  const uint32_t end = bits->bit + count * width;
  if ((end + 7) / 8 > bytes) return false;
  const uint8_t* data = bits->data + bits->byte;
  const bool is_packed = width <= kPackedBits;
  const uint32_t pairs = is_packed ? kPairs[width] : 0;
  const uint32_t fours = is_packed ? kFours[width] : 0;
  const uint32_t step = is_packed ? (width < kPackedBits ? 8 : 6) * width : width;
  uint32_t total = 0;
  for (uint32_t bit = bits->bit; bit < end; bit += step) {
    const uint32_t used = end - bit < step ? end - bit : step;
    uint32_t word = bit / 8 + 4 <= bytes ? dcsr_load_u32(data + bit / 8) >> (bit % 8)
                                         : dcsr_load_bits(data, bit, used);
    word &= (UINT32_C(1) << used) - 1;
    if (is_packed) {
      word = (word & pairs) + (word >> width & pairs);
      word = (word & fours) + (word >> 2 * width & fours);
      word = (word & ((UINT32_C(1) << 4 * width) - 1)) + (word >> 4 * width);
    }
    total += word;
  }
  *sum = total;
  dcsr_skip_bits(bits, count * width);
  return true;
}

// Computes no column: gaps are never negative, so a row is valid if their sum fits into it.
static bool positions_are_valid(const DcsrLayer* layer) {
  DcsrBits quotients = dcsr_bits_of(layer->index, layer->index_bytes);
  DcsrBitReader remainders = dcsr_bit_reader(layer->delta, layer->delta_bytes);
  for (uint32_t row = 0; row < layer->rows; ++row) {
    const uint32_t length = dcsr_row_length(layer, row);
    if (length == 0) continue;
    const uint32_t width = dcsr_remainder_bits(layer, length);
    uint32_t high;
    // At most 2 * cols: a remainder is below 2^width <= 2 * cols / length.
    uint32_t low = 0;
    if (!add_quotients(&quotients, length, layer->cols >> width, &high)) return false;
    if (width > 0 && !add_numbers(&remainders, length, width, &low)) return false;
    if ((high << width) + low + length > layer->cols) return false;
  }
  return dcsr_has_no_byte_left(&quotients) && dcsr_is_at_end(&remainders);
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

const DcsrDecoder kDcsrRiceDecoder = {positions_are_valid, NULL,         row_length,
                                      begin_row,           read_columns, decode_columns};
const DcsrDecoder kDcsrRiceUncheckedDecoder = {dcsr_unchecked, NULL,         row_length,
                                               begin_row,      read_columns, decode_columns};
