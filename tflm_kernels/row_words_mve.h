// Rows as words for vector kernels: columns and weights of one row, decoded at once.
//
// A word is `column << 21 | (weight & 0xFFFF)`: its upper half is the offset of the column in a
// block of 32 bytes a column, its lower half the weight as int16.

#ifndef DCSR_TFLM_KERNELS_ROW_WORDS_MVE_H_
#define DCSR_TFLM_KERNELS_ROW_WORDS_MVE_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tflm_kernels/row_reader.h"

#ifdef __cplusplus
extern "C" {
#endif

enum {
  kDcsrWordCols = 2048,      // most columns of a matrix
  kDcsrWordColumn = 21,      // shift of the column
  kDcsrMostMagnitude = 254,  // of a group
  kDcsrMostGroup = 6,        // words
  kDcsrLastGroup = 8,        // added to the number of words
};

struct DcsrWordReader;

// Code for layers of one encoding: decodes the simple groups that come next. If that ends the row it
// makes the list, too, and returns true.
typedef bool DcsrStage(struct DcsrWordReader* reader);

// Its fields are in the order that the code for it takes them in.
typedef struct DcsrWordReader {
  DcsrRowReader row;
  uint32_t* word;        // that is written next
  uint8_t* magnitude;    // likewise
  const int8_t* limit;   // no weight beyond this one is the first of a simple group
  uint32_t* list;        // of the row
  uint32_t* words;       // of the row; in the list, so that these become those
  uint8_t* magnitudes;   // |weight|
  DcsrStage* stage;
} DcsrWordReader;

// Bytes of memory for rows of at most `elements` elements.
size_t dcsr_word_reader_bytes(size_t elements);

// `memory` is aligned to 4.
DcsrWordReader dcsr_word_reader(const DcsrLayer* layer, size_t elements, void* memory);

// Decodes the next row to reader->list, which is groups of words whose |weight| add up to
// kDcsrMostMagnitude at most, of at most kDcsrMostGroup words: { number of words, the words } ..., 0.
// To the number of the last group kDcsrLastGroup is added. Fillers may be left out. Returns the
// number of the row's elements.
uint32_t dcsr_next_row_list(DcsrWordReader* reader);

#ifdef __cplusplus
}
#endif

#endif  // DCSR_TFLM_KERNELS_ROW_WORDS_MVE_H_
