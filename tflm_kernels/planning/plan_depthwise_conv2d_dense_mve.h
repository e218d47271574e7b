// Division of the scratch of depthwise_conv2d_dense_mve, and the layers that it takes.
//
// Scratch: constants of the blocks of a tile, dcsr_depthwise_mve_block_bytes() each;
//          a pixel of padding, int8 [channels of a tile];
//          for each tap the address of its row and its column, uint32 [2][lanes];
//          addresses of the taps of a run of pixels, uint32 [pixels][lanes];
//          fewer than 16 channels: a patch, int8 [taps][16], and outputs, int8 [16].

#ifndef DCSR_TFLM_KERNELS_PLANNING_PLAN_DEPTHWISE_CONV2D_DENSE_MVE_H_
#define DCSR_TFLM_KERNELS_PLANNING_PLAN_DEPTHWISE_CONV2D_DENSE_MVE_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tflm_kernels/common/row_tail.h"
#include "tflm_kernels/packed_layer.h"
#include "tflm_kernels/planning/plan_conv1x1_mve.h"

enum {
  kDcsrDepthwiseBlock = 16,           // channels of a vector
  kDcsrDepthwiseUnrolledTaps = 9,     // of the 3x3 filter, whose taps are not counted in pairs
  kDcsrDepthwiseMostTaps = 256,       // sums without bias stay within 2^22
  kDcsrDepthwiseConstantBytes = 224,  // of a block, without weights
  kDcsrDepthwiseMostRun = 16,         // pixels
  kDcsrDepthwiseMostTileBytes = 8 * 1024,
};

// Taps that the kernel computes: an even number, except for the unrolled filter.
static inline uint32_t dcsr_depthwise_mve_taps(uint32_t taps) {
  return taps == kDcsrDepthwiseUnrolledTaps ? taps : (taps + 1) / 2 * 2;
}

// Addresses of a pixel, in whole vectors.
static inline uint32_t dcsr_depthwise_mve_lanes(uint32_t taps) {
  return (dcsr_depthwise_mve_taps(taps) + 3) / 4 * 4;
}

static inline size_t dcsr_depthwise_mve_block_bytes(uint32_t taps) {
  return kDcsrDepthwiseConstantBytes + (size_t)kDcsrDepthwiseBlock * dcsr_depthwise_mve_taps(taps);
}

// Bytes of scratch of a tile of `blocks` blocks, for runs of `pixels` pixels.
static inline size_t dcsr_depthwise_mve_scratch_bytes(const DcsrLayer* layer, size_t blocks,
                                                      size_t pixels) {
  const uint32_t taps = layer->cols;
  const size_t patch =
      layer->rows < kDcsrDepthwiseBlock ? ((size_t)taps + 1) * kDcsrDepthwiseBlock : 0;
  return blocks * (dcsr_depthwise_mve_block_bytes(taps) + kDcsrDepthwiseBlock) +
         (pixels + 2) * dcsr_depthwise_mve_lanes(taps) * sizeof(uint32_t) + patch;
}

// Returns the largest shift of a row that vectors can requantize. Without rounding of halves below
// zero, the second multiplication may be by 2^31 - 1, which changes no number of fewer than 30
// bits.
static inline int32_t dcsr_depthwise_mve_most_shift(const DcsrLayer* layer) {
  return dcsr_conv1x1_mve_rounds_in_full(layer) ? -1 : 0;
}

// Whether vectors can compute a row.
static inline bool dcsr_depthwise_mve_takes_row(const DcsrLayer* layer, uint32_t row) {
  const int8_t* weights = layer->values + (size_t)row * layer->cols;
  for (uint32_t t = 0; t < layer->cols; ++t) {
    if (weights[t] == INT8_MIN) return false;
  }
  const DcsrRowTail tail = dcsr_row_tail(layer, row);
  return tail.shift <= dcsr_depthwise_mve_most_shift(layer) && tail.bias >= -kDcsrMveMostHighBias &&
         tail.bias < kDcsrMveMostHighBias;
}

#endif  // DCSR_TFLM_KERNELS_PLANNING_PLAN_DEPTHWISE_CONV2D_DENSE_MVE_H_
