// Scratch of depthwise_conv2d_planes_dsp.
//
// Scratch: the left and the right edge of a plane, each int8 [height][width], of which the first
//          four bytes of each row are used, with stride 2 the first five.

#ifndef DCSR_TFLM_KERNELS_PLANNING_PLAN_DEPTHWISE_CONV2D_PLANES_DSP_H_
#define DCSR_TFLM_KERNELS_PLANNING_PLAN_DEPTHWISE_CONV2D_PLANES_DSP_H_

#include <stddef.h>

#include "tflm_kernels/kernels.h"

enum { kDcsrDepthwiseEdgePixels = 6 };  // that a strip reads of a row, at most

// Returns the bytes of an edge. The last row ends with the pixels that a strip reads.
static inline size_t dcsr_depthwise_edge_bytes(const DcsrConvShape* shape) {
  const size_t rows_before = (size_t)shape->input_height - 1;
  return (rows_before * (size_t)shape->input_width + kDcsrDepthwiseEdgePixels + 3) / 4 * 4;
}

#endif  // DCSR_TFLM_KERNELS_PLANNING_PLAN_DEPTHWISE_CONV2D_PLANES_DSP_H_
