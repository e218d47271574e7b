// Rows of a matrix as programs for vector kernels (conv1x1_mve.c): where the activations of each
// nonzero are, and its weight, in groups that can be added up in 16 bits.

#ifndef DCSR_TFLM_KERNELS_MVE_ROW_WORDS_MVE_H_
#define DCSR_TFLM_KERNELS_MVE_ROW_WORDS_MVE_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tflm_kernels/format/row_reader.h"
#include "tflm_kernels/planning/plan_conv1x1_mve.h"

#ifdef __cplusplus
extern "C" {
#endif

enum {
  kDcsrMostMagnitude = 254,  // |weight| of a group, added up
  kDcsrMostGroup = 6,        // its nonzeros
  kDcsrGroupHalf = 3,        // nonzeros whose addresses stand before their weights
  kDcsrLastGroup = 8,        // added to the number of nonzeros
};

// row_words_mve.c takes fields by their offsets, also those of the row reader.
typedef struct DcsrWordReader {
  // A nonzero is a word, `offset of the column in x << 16 | (weight & 0xFFFF)`, and |weight| a
  // byte.
  uint32_t* word;      // that is written next
  uint8_t* magnitude;  // likewise
  uint32_t* words;     // of the row
  uint8_t* magnitudes;
  const int8_t* limit;  // no weight beyond this one is the first of a simple group
  uint32_t slopes;      // slope times elements
  const int8_t* x;      // activations
  uint32_t pitch;       // bytes of a column in x
  uint32_t* (*stage)(struct DcsrWordReader* reader, uint32_t elements, uint32_t* program);
  DcsrRowReader row;
} DcsrWordReader;

// `memory` has dcsr_word_reader_bytes(elements) bytes (plan_conv1x1_mve.h), aligned to 4; cols *
// pitch is at most 65536.
DcsrWordReader dcsr_word_reader(const DcsrLayer* layer, const int8_t* x, uint32_t pitch,
                                size_t elements, void* memory);

// Elements of the next row.
static inline uint32_t dcsr_next_row_elements(const DcsrWordReader* reader) {
  return dcsr_row_length(reader->row.layer, reader->row.row);
}

// Decodes the next row, of so many elements, to a program: groups of nonzeros
//
//   number, address of the activations of each, weight of each in the lower half of a word
//
// with the first kDcsrGroupHalf nonzeros before the others. The number of the row's last group has
// kDcsrLastGroup added; that of a row without nonzeros is 0. Fillers may be left out. Returns the
// end of the program.
uint32_t* dcsr_next_row_program(DcsrWordReader* reader, uint32_t elements, uint32_t* program);

#ifdef __cplusplus
}
#endif

#endif  // DCSR_TFLM_KERNELS_MVE_ROW_WORDS_MVE_H_
