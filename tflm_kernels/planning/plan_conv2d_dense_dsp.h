// Division of the scratch of conv2d_dense_dsp.
//
// Scratch: weights of a row, uint32 [groups][2] and an end mark, two taps in each word;
//          the patch of a pixel, int8 [groups][4 taps];
//          activations of a tile, uint32 [blocks][groups][2][5 pixels], two taps in each word.

#ifndef DCSR_TFLM_KERNELS_PLANNING_PLAN_CONV2D_DENSE_DSP_H_
#define DCSR_TFLM_KERNELS_PLANNING_PLAN_CONV2D_DENSE_DSP_H_

#include <stddef.h>
#include <stdint.h>

enum {
  kDcsrDspBlockPixels = 5,
  kDcsrDspGroupTaps = 4,
  kDcsrDspGroupWords = 2,
  kDcsrDspEndWords = 2,  // the end mark, and a word that is read and not used
  // A tile has at most so many blocks. Longer ones save little: a row costs 100 to 200 instructions
  // a tile.
  kDcsrDspMostBlocks = 32,
  kDcsrDspMostTaps = 1 << 15,  // limit of dcsr_row_scale()
};

// The groups of four taps of a row. The last one is filled up with zeros.
static inline uint32_t dcsr_dsp_groups(uint32_t cols) {
  return (cols + kDcsrDspGroupTaps - 1) / kDcsrDspGroupTaps;
}

// Words of a row of weights.
static inline size_t dcsr_dsp_weight_words(uint32_t cols) {
  return (size_t)dcsr_dsp_groups(cols) * kDcsrDspGroupWords + kDcsrDspEndWords;
}

// Words of a block of activations.
static inline size_t dcsr_dsp_block_words(uint32_t cols) {
  return (size_t)dcsr_dsp_groups(cols) * kDcsrDspGroupWords * kDcsrDspBlockPixels;
}

#endif  // DCSR_TFLM_KERNELS_PLANNING_PLAN_CONV2D_DENSE_DSP_H_
