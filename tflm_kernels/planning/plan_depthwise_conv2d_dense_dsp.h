// Division of the scratch of depthwise_conv2d_dense_dsp, and the geometry that its planner needs.
//
// Scratch: planes of four channels, uint32 [4][pair rows][width], or of one channel if the input is
//          in planes. A word holds two pixels, int16, that are neighbours across the rows of the
//          plane.

#ifndef DCSR_TFLM_KERNELS_PLANNING_PLAN_DEPTHWISE_CONV2D_DENSE_DSP_H_
#define DCSR_TFLM_KERNELS_PLANNING_PLAN_DEPTHWISE_CONV2D_DENSE_DSP_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tflm_kernels/common/layout.h"
#include "tflm_kernels/common/row_scale.h"
#include "tflm_kernels/kernels.h"
#include "tflm_kernels/packed_layer.h"

enum {
  kDcsrDepthwisePlanes = 4,             // the channels of a word
  kDcsrDepthwiseStripRows = 2,          // rows of the output that are computed together
  kDcsrDepthwiseMostLeft = 6,           // weights times 2^7 are int16
  kDcsrDepthwiseMostBytes = 12 * 1024,  // longer tiles save little
};

// The channels that are copied to planes together.
static inline uint32_t dcsr_depthwise_dsp_planes(const DcsrLayer* layer) {
  return dcsr_has_input_planes(layer) ? 1 : kDcsrDepthwisePlanes;
}

// Whether the rows of planes are the columns of the image. The longer dimension of the output lies
// along the rows of planes, because each row has a fixed cost.
static inline bool dcsr_depthwise_is_transposed(const DcsrConvShape* shape) {
  return shape->output_height > shape->output_width;
}

// Pixels of a row of a plane for `outputs` pixels of a row of the output.
static inline size_t dcsr_depthwise_plane_width(uint32_t outputs, uint32_t stride,
                                                uint32_t filter) {
  return (size_t)(outputs - 1) * stride + filter;
}

// Pair rows of a plane for `strips` strips of two rows of the output.
static inline size_t dcsr_depthwise_pair_rows(size_t strips, uint32_t stride, uint32_t filter) {
  return ((kDcsrDepthwiseStripRows * strips - 1) * stride + filter + 1) / 2;
}

// Returns by how many bits the weights and the bias of a row are shifted to the left, apart from
// the doubling; -1 if the row is computed in C. Few taps often have a requantization that shifts to
// the left. It does not round after the product, so the inner loops, which always correct halves of
// negative numbers, are right only if the clamp hides the correction.
static inline int32_t dcsr_depthwise_left_shift(const DcsrRowScale* scale) {
  if (scale->fast) return 0;
  const int32_t left = -scale->right;
  const int32_t limit = INT32_C(1) << 23;  // with 25 products, sums times 2^7 have 31 bits
  const bool fits = scale->bias >= -limit && scale->bias <= limit;
  return left >= 0 && left <= kDcsrDepthwiseMostLeft && !scale->halves && fits ? left : -1;
}

#endif  // DCSR_TFLM_KERNELS_PLANNING_PLAN_DEPTHWISE_CONV2D_DENSE_DSP_H_
