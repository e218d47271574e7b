// Columns of rice and bitmap on cores with MVE (Helium), sixteen at a time. What one_bits.h says
// holds here too. docs/kernels.md.

#ifndef DCSR_TFLM_KERNELS_MVE_ONE_BITS_MVE_H_
#define DCSR_TFLM_KERNELS_MVE_ONE_BITS_MVE_H_

#include <stdbool.h>
#include <stdint.h>

#include "tflm_kernels/format/row_reader.h"

#ifdef __cplusplus
extern "C" {
#endif

// Sixteen such remainders and what is between them are at most 255 together.
enum { kDcsrMostByteRemainderBits = 4 };

// Whether the row that `reader` has begun can be read here.
static inline bool dcsr_has_byte_remainders(const DcsrRowReader* reader) {
  const uint32_t bits = reader->remainder_bits;
  return bits <= kDcsrMostByteRemainderBits && reader->layer->cols >> bits <= UINT16_MAX;
}

// All of a row that has just begun and has so many elements, not 0, as words (row_words_mve.h).
// Reads the weights of whole groups. Moves all but `left` behind the row. `quotients` is memory for
// as many halfwords and a group more, over which words may be written once they have been read.
void dcsr_read_ones_words_mve(DcsrRowReader* reader, uint32_t elements, uint16_t* quotients,
                              uint32_t pitch, uint32_t* words);

// The next elements of a row, which has that many, but 0, as offset groups (offset_runs_mve.h),
// until the columns of one are further apart than a byte holds. Returns how many elements those
// before have: a multiple of 16, or all. Moves positions but `left` and the weight behind these.
uint32_t dcsr_read_ones_offsets_mve(DcsrRowReader* reader, uint32_t elements, int32_t* base,
                                    uint8_t* offset);

#ifdef __cplusplus
}
#endif

#endif  // DCSR_TFLM_KERNELS_MVE_ONE_BITS_MVE_H_
