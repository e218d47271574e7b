// Constants of 16 channels of a depthwise convolution, in the order of the lanes of
// depthwise_conv2d_dense_mve.

#ifndef DCSR_TFLM_KERNELS_MVE_DEPTHWISE_BLOCKS_MVE_H_
#define DCSR_TFLM_KERNELS_MVE_DEPTHWISE_BLOCKS_MVE_H_

#include <stdbool.h>
#include <stdint.h>

#include "tflm_kernels/packed_layer.h"
#include "tflm_kernels/planning/plan_depthwise_conv2d_dense_mve.h"

#ifdef __cplusplus
extern "C" {
#endif

// Followed by the weights, int8 [dcsr_depthwise_mve_taps(taps)][kDcsrDepthwiseBlock]. The constants
// of channel 4 i + k are in multiplier[k][i] and factor[(k + 1) % 4][i].
typedef struct {
  int32_t factor[4][4];  // 2^(31 - right shift), at most 2^31 - 1
  int32_t multiplier[4][4];
  int16_t low[2][kDcsrDepthwiseBlock / 2];   // bias modulo 256: even and odd channels
  int16_t high[2][kDcsrDepthwiseBlock / 2];  // bias / 256, rounded down
  int8_t max[kDcsrDepthwiseBlock];
  int8_t min[kDcsrDepthwiseBlock];
} DcsrDepthwiseBlock;

// Fills the block of the channels from `first` on, and its weights. A layer with fewer than 16
// channels repeats them. Returns a bit for each of these rows that vectors cannot compute
// (dcsr_depthwise_mve_takes_row()).
uint32_t dcsr_fill_depthwise_block(const DcsrLayer* layer, uint32_t first,
                                   DcsrDepthwiseBlock* block);

#ifdef __cplusplus
}
#endif

#endif  // DCSR_TFLM_KERNELS_MVE_DEPTHWISE_BLOCKS_MVE_H_
