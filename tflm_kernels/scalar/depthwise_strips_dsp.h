// The inner loops of depthwise_conv2d_dense_dsp: a strip of two rows of the output of one channel.

#ifndef DCSR_TFLM_KERNELS_SCALAR_DEPTHWISE_STRIPS_DSP_H_
#define DCSR_TFLM_KERNELS_SCALAR_DEPTHWISE_STRIPS_DSP_H_

#include <stdint.h>

#include "tflm_kernels/packed_layer.h"

#if defined(__ARM_FEATURE_DSP) && defined(__thumb2__) && !defined(DCSR_NO_ASSEMBLY)
#define DCSR_HAS_DEPTHWISE_STRIPS 1
#else
#define DCSR_HAS_DEPTHWISE_STRIPS 0
#endif

enum { kDcsrMostStripWeights = 20 };

// The values that a strip needs, in the order in which the loops load them.
typedef struct {
  uint32_t is_odd;  // whether the output has an odd number of columns; set to 0 by the loop
  int32_t multiplier;
  int32_t offset;
  int32_t right;
  int8_t* output;       // of the first row and column; moved by the loop
  uint32_t step;        // bytes between columns of the output
  uint32_t row_step;    // between both rows; 0: there is only one
  const uint32_t* end;  // of the words of the first pair row: behind those of the last even column
  uint32_t sums[4];     // twice the bias
  uint32_t pitch;       // bytes from the end of a pair row's words to those of the next pair row
  uint32_t weights[kDcsrMostStripWeights];  // doubled, two taps in each word
} DcsrDepthwiseStrip;

#if DCSR_HAS_DEPTHWISE_STRIPS

// Fills in the weights and the pitch of a strip and computes it.
//
// x:          words of the first pair row and column.
// sums:       strip->sums.
typedef void DcsrDepthwiseStripRun(const uint32_t* x, uint32_t* sums);

DcsrDepthwiseStripRun dcsr_depthwise_strip_3x3;
DcsrDepthwiseStripRun dcsr_depthwise_strip_3x3_stride_2;
DcsrDepthwiseStripRun dcsr_depthwise_strip_5x5;

#endif

#endif  // DCSR_TFLM_KERNELS_SCALAR_DEPTHWISE_STRIPS_DSP_H_
