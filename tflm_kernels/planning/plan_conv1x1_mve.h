// How conv1x1_mve divides its scratch: a block of pixels, a decoded row, programs of rows.

#ifndef DCSR_TFLM_KERNELS_PLANNING_PLAN_CONV1X1_MVE_H_
#define DCSR_TFLM_KERNELS_PLANNING_PLAN_CONV1X1_MVE_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tflm_kernels/packed_layer.h"

enum {
  kDcsrMveLanes = 8,
  kDcsrMveBlockPixels = 32,
  kDcsrMveMostRows = 9362,         // the offsets of eight pixels' outputs have 16 bits
  kDcsrMveMostBlockBytes = 65536,  // so have those of columns
  kDcsrMveHeaderWords = 5,         // before the program of a row
  kDcsrMveWordSlack = 16,          // elements that decoding may write beyond a row
  // The bias of a row that vectors requantize is below that and at least minus that.
  kDcsrMveMostHighBias = 1 << 22,
};

// Words of the program of a row of so many elements, at most.
static inline size_t dcsr_row_program_words(size_t elements) { return 1 + 3 * elements; }

// The same with the header of the row, a word more if it is slow, and the header that ends the
// rows.
static inline size_t dcsr_conv1x1_mve_row_words(size_t elements) {
  return 2 * (size_t)kDcsrMveHeaderWords + dcsr_row_program_words(elements) + 1;
}

// Bytes of memory for the decoded words of rows of at most `elements` elements.
static inline size_t dcsr_word_reader_bytes(size_t elements) {
  const size_t most = elements + kDcsrMveWordSlack;
  return most * sizeof(uint32_t) + (most + 3) / 4 * 4;
}

// Bytes of a block of `width` pixels.
static inline size_t dcsr_conv1x1_mve_block_bytes(uint32_t cols, size_t width) {
  return ((size_t)cols * width + 3) / 4 * 4;
}

// Width of the block that begins with pixel `first`. The last blocks of an image begin earlier
// instead of ending early.
static inline uint32_t dcsr_conv1x1_mve_block_width(size_t first, size_t pixels, uint32_t widest) {
  const size_t left = pixels - first;
  uint32_t width = widest;
  // The last, partial vector uses the narrowest block.
  while (width > kDcsrMveLanes && (left <= width - kDcsrMveLanes || pixels < width)) width /= 2;
  return width;
}

// Whether outputs of the layer are rounded in full or clamped. Otherwise halves below zero are
// rounded wrongly, to values that are clamped away.
static inline bool dcsr_conv1x1_mve_rounds_in_full(const DcsrLayer* layer) {
  const bool clamps = layer->activation_min != INT8_MIN || layer->activation_max != INT8_MAX;
  return clamps || layer->output_zero_point != layer->activation_min;
}

// Whether vectors may requantize a row, as far as bias and shift say. With a shift of 0 nothing is
// rounded.
static inline bool dcsr_conv1x1_mve_requantizes(int32_t bias, int32_t shift, bool full) {
  return shift + (full ? 1 : 0) <= 0 && bias >= -kDcsrMveMostHighBias &&
         bias < kDcsrMveMostHighBias;
}

#endif  // DCSR_TFLM_KERNELS_PLANNING_PLAN_CONV1X1_MVE_H_
