// Decodes columns that are ones in a stream of bits (rice, bitmap), a 32-bit word at a time. The
// words may extend past the stream as in group_words.h: the layer needs dcsr_has_word_groups().

#ifndef DCSR_TFLM_KERNELS_FORMAT_ONE_BITS_H_
#define DCSR_TFLM_KERNELS_FORMAT_ONE_BITS_H_

#include <stdint.h>

#include "tflm_kernels/format/bit_reader.h"
#include "tflm_kernels/format/row_reader.h"

#ifdef __cplusplus
extern "C" {
#endif

// A zero of the stream is a step of 2^bits columns. A one is a step of 1 column plus its remainder.
// Columns are multiplied by `unit`.
typedef struct {
  const uint8_t* next;  // the next word
  uint32_t ones;        // the current word, without the ones already read
  uint32_t place;       // bit of the current word after the last one read
  uint32_t column;      // column of a one in bit 0 of the current word, without its remainder
  uint32_t unit;
  uint32_t step;       // unit * 2^bits
  uint32_t remainder;  // mask of the `bits` lowest bits
} DcsrOnes;

// Starts at the reader's position in a row. `column` is the next column if its gap is 0.
static inline DcsrOnes dcsr_begin_ones(const DcsrBitReader* reader, uint32_t column, uint32_t unit,
                                       uint32_t bits) {
  const uint8_t* p = reader->data + reader->byte;
  DcsrOnes ones;
  ones.next = p + 4;
  ones.ones = dcsr_load_u32(p) & UINT32_MAX << reader->bit;
  ones.place = reader->bit;
  ones.unit = unit;
  ones.step = unit << bits;
  ones.column = column * unit - reader->bit * ones.step;
  ones.remainder = (UINT32_C(1) << bits) - 1;
  return ones;
}

// Returns the column of the next one, which has to exist. Its remainder is in the lowest bits of
// `remainders`.
static inline uint32_t dcsr_next_one(DcsrOnes* ones, uint32_t remainders) {
  while (ones->ones == 0) {
    ones->ones = dcsr_load_u32(ones->next);
    ones->next += 4;
    ones->column += 32 * ones->step;
  }
  const uint32_t place = dcsr_trailing_zeros(ones->ones);
  ones->ones &= ones->ones - 1;
  ones->place = place + 1;
  ones->column += (remainders & ones->remainder) * ones->unit;
  const uint32_t column = ones->column + place * ones->step;
  ones->column -= ones->step - ones->unit;
  return column;
}

// Moves the reader past the last one read.
static inline void dcsr_end_ones(const DcsrOnes* ones, DcsrBitReader* reader) {
  reader->byte = (size_t)(ones->next - 4 - reader->data);
  reader->bit = 0;
  dcsr_skip_bits(reader, ones->place);
}

#ifdef __cplusplus
}
#endif

#endif  // DCSR_TFLM_KERNELS_FORMAT_ONE_BITS_H_
