// Division of the scratch of conv1x1_mve, and the layers that it takes.
//
// Scratch: a block of activations, int8 x[cols][8, 16 or 32 pixels];
//          a decoded row, dcsr_word_reader_bytes(longest row);
//          row lists with their headers (`program` in the code), uint32, in the rest.

#ifndef DCSR_TFLM_KERNELS_PLANNING_PLAN_CONV1X1_MVE_H_
#define DCSR_TFLM_KERNELS_PLANNING_PLAN_CONV1X1_MVE_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tflm_kernels/packed_layer.h"

enum {
  kDcsrMveLanes = 8,
  kDcsrMveBlockPixels = 32,
  kDcsrMveMostRows = 9362,         // offsets of the outputs of 8 pixels have 16 bits
  kDcsrMveMostBlockBytes = 65536,  // offsets of columns in a block have 16 bits
  kDcsrMveHeaderWords = 5,         // before each row list
  kDcsrMveWordSlack = 16,          // elements that decoding may write past the end of a row
  // Vectors requantize a row only if -kDcsrMveMostHighBias <= bias < kDcsrMveMostHighBias.
  kDcsrMveMostHighBias = 1 << 22,
};

// Maximum number of words of the row list of a row with `elements` elements.
static inline size_t dcsr_row_program_words(size_t elements) { return 1 + 3 * elements; }

// The same with the header of the row, the additional word of a slow row or of one with a single
// group, and the header that ends the rows.
static inline size_t dcsr_conv1x1_mve_row_words(size_t elements) {
  return 2 * (size_t)kDcsrMveHeaderWords + dcsr_row_program_words(elements) + 1;
}

// Bytes for the decoded words of a row with at most `elements` elements.
static inline size_t dcsr_word_reader_bytes(size_t elements) {
  const size_t most = elements + kDcsrMveWordSlack;
  return most * sizeof(uint32_t) + (most + 3) / 4 * 4;
}

// Bytes of a block of `width` pixels, rounded up to whole words.
static inline size_t dcsr_conv1x1_mve_block_bytes(uint32_t cols, size_t width) {
  return ((size_t)cols * width + 3) / 4 * 4;
}

// Returns the width in pixels of the block for the pixels from `first` on. If fewer pixels are
// left, the block begins earlier, so that it is full.
static inline uint32_t dcsr_conv1x1_mve_block_width(size_t first, size_t pixels, uint32_t widest) {
  const size_t left = pixels - first;
  uint32_t width = widest;
  // Halve the block while one of its vectors would be surplus, or the layer has fewer pixels.
  while (width > kDcsrMveLanes && (left <= width - kDcsrMveLanes || pixels < width)) width /= 2;
  return width;
}

// Whether the kernel has to round halves below zero as TFLM does, and to clamp. It may omit both if
// the activation range is all of int8 and begins at the output zero point: saturation then clamps,
// and only outputs that are clamped to the zero point are rounded differently.
static inline bool dcsr_conv1x1_mve_rounds_in_full(const DcsrLayer* layer) {
  const bool clamps = layer->activation_min != INT8_MIN || layer->activation_max != INT8_MAX;
  return clamps || layer->output_zero_point != layer->activation_min;
}

// Whether bias and shift of a row allow requantization with vectors. They multiply by 2^(31 - right
// shift), which needs a shift to the right, by at least 1.
static inline bool dcsr_conv1x1_mve_requantizes(int32_t bias, int32_t shift) {
  return shift < 0 && bias >= -kDcsrMveMostHighBias && bias < kDcsrMveMostHighBias;
}

#endif  // DCSR_TFLM_KERNELS_PLANNING_PLAN_CONV1X1_MVE_H_
