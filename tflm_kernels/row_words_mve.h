// Rows as words for vector kernels: columns and weights of one row, decoded at once.
//
// A word is `column << 21 | (weight & 0xFFFF)`: its upper half is the offset of the column in a
// block of 32 bytes a column, its lower half the weight as int16.

#ifndef DCSR_TFLM_KERNELS_ROW_WORDS_MVE_H_
#define DCSR_TFLM_KERNELS_ROW_WORDS_MVE_H_

#include <stddef.h>
#include <stdint.h>

#include "tflm_kernels/row_reader.h"

#ifdef __cplusplus
extern "C" {
#endif

enum {
  kDcsrWordCols = 2048,   // most columns of a matrix
  kDcsrWordColumn = 21,   // shift of the column
  kDcsrWordSlack = 16,    // words and magnitudes that may be written behind the row's
  kDcsrMostMagnitude = 254,  // of a group
  kDcsrMostGroup = 6,        // words
  kDcsrLastGroup = 8,        // added to the number of words
};

// Decodes the row that `reader` has begun; weights of 0 are left out. `words` and `magnitudes` hold
// as many as the row has elements, and kDcsrWordSlack more; a magnitude is |weight|. Returns their
// number. Behind the last magnitude stands 255.
size_t dcsr_read_row_words(DcsrRowReader* reader, uint32_t* words, uint8_t* magnitudes);

// Cuts words into groups whose magnitudes add up to kDcsrMostMagnitude at most, of at most
// kDcsrMostGroup words: list = { number of words of a group, the words } ..., 0. To the number of the
// last group kDcsrLastGroup is added. A list may have 2 * count + 1 words. `words` may lie within
// `list`, from list + count + 1 on.
void dcsr_group_words(const uint32_t* words, const uint8_t* magnitudes, uint32_t* list);

#ifdef __cplusplus
}
#endif

#endif  // DCSR_TFLM_KERNELS_ROW_WORDS_MVE_H_
