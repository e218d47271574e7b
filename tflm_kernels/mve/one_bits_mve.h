// Columns of rice and bitmap on cores with MVE, sixteen at a time. The layer needs
// dcsr_has_word_groups(), as in one_bits.h. docs/kernels.md#streams-of-bits.

#ifndef DCSR_TFLM_KERNELS_MVE_ONE_BITS_MVE_H_
#define DCSR_TFLM_KERNELS_MVE_ONE_BITS_MVE_H_

#include <stdbool.h>
#include <stdint.h>

#include "tflm_kernels/format/row_reader.h"

#ifdef __cplusplus
extern "C" {
#endif

// Sixteen remainders of 4 bits and the 15 elements between them are at most 255 columns.
enum { kDcsrMostByteRemainderBits = 4 };

// Whether these functions can read the row that `reader` has begun.
static inline bool dcsr_has_byte_remainders(const DcsrRowReader* reader) {
  const uint32_t bits = reader->remainder_bits;
  return bits <= kDcsrMostByteRemainderBits && reader->layer->cols >> bits <= UINT16_MAX;
}

// Decodes a whole row of `elements` > 0 elements to words (row_words_mve.h). The row has just
// begun. Reads the weights of whole groups. Moves the reader past the row, except for `left`.
// `quotients` has room for a halfword per element and one more group. Its memory may overlap
// `words` if each quotient is read before a word overwrites it.
void dcsr_read_ones_words_mve(DcsrRowReader* reader, uint32_t elements, uint16_t* quotients,
                              uint32_t pitch, uint32_t* words);

// Decodes the next `elements` > 0 elements of a row to offset groups (offset_runs_mve.h). Stops
// before a group whose columns are too far apart for byte offsets. Returns the number of elements
// read: a multiple of 16, or all. Moves the bit positions and the next column of the reader past
// these, but neither `left` nor the weight.
uint32_t dcsr_read_ones_offsets_mve(DcsrRowReader* reader, uint32_t elements, int32_t* base,
                                    uint8_t* offset);

#ifdef __cplusplus
}
#endif

#endif  // DCSR_TFLM_KERNELS_MVE_ONE_BITS_MVE_H_
