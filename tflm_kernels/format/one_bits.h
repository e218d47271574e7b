// Columns that are ones in a stream of bits (rice, bitmap), a word of it at a time. What
// group_words.h says about words holds here: the layer has dcsr_has_word_groups().

#ifndef DCSR_TFLM_KERNELS_FORMAT_ONE_BITS_H_
#define DCSR_TFLM_KERNELS_FORMAT_ONE_BITS_H_

#include <stdint.h>

#include "tflm_kernels/format/bit_reader.h"
#include "tflm_kernels/format/row_reader.h"

#ifdef __cplusplus
extern "C" {
#endif

// A bit of the stream is a step of 2^bits columns, but a one is a step of 1 and of its remainder.
// Columns are in multiples of `unit`.
typedef struct {
  const uint8_t* next;  // the word after this one
  uint32_t ones;        // this word, without the ones that were read
  uint32_t place;       // in this word, behind the last one that was read
  uint32_t column;      // that a one in bit 0 of this word would have, without its remainder
  uint32_t unit;
  uint32_t step;       // unit * 2^bits
  uint32_t remainder;  // mask of the `bits` lowest bits
} DcsrOnes;

// From the reader's place in a row on, whose next column is `column` if its gap is 0.
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

// The column of the next one, which there is; the lowest bits of `remainders` are its remainder.
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

// Puts the reader behind the last one that was read.
static inline void dcsr_end_ones(const DcsrOnes* ones, DcsrBitReader* reader) {
  reader->byte = (size_t)(ones->next - 4 - reader->data);
  reader->bit = 0;
  dcsr_skip_bits(reader, ones->place);
}

#ifdef __cplusplus
}
#endif

#endif  // DCSR_TFLM_KERNELS_FORMAT_ONE_BITS_H_
