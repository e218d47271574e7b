// Division of the scratch of depthwise_conv2d_planes_mve, and the layers that it takes.
//
// Scratch: offset of each tap in the copies, int32 [dcsr_planes_words()];
//          weight of each tap, int32 [dcsr_planes_words()];
//          for each column of the filter and each phase of rows a copy of the plane, int8
//          [count][guard + rows * output width + guard].

#ifndef DCSR_TFLM_KERNELS_PLANNING_PLAN_DEPTHWISE_CONV2D_PLANES_MVE_H_
#define DCSR_TFLM_KERNELS_PLANNING_PLAN_DEPTHWISE_CONV2D_PLANES_MVE_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tflm_kernels/common/conv_geometry.h"
#include "tflm_kernels/common/row_tail.h"
#include "tflm_kernels/kernels.h"
#include "tflm_kernels/packed_layer.h"
#include "tflm_kernels/planning/plan_depthwise_conv2d_dense_mve.h"

enum {
  kDcsrPlaneLeastPixels = 8,      // of the output
  kDcsrPlaneStep = 24,            // pixels that are computed together, if there are as many
  kDcsrPlaneMostWidth = 8191,     // offsets of eight rows have 16 bits
  kDcsrPlaneMostBytes = 1 << 24,  // of a plane
};

// The copies of a plane.
typedef struct {
  uint32_t phases;  // of rows
  uint32_t rows;    // of a copy
  uint32_t guard;   // bytes before and behind a copy, over which it may be moved
  uint32_t bytes;   // of a copy with its guards
  uint32_t count;
} DcsrPlaneCopies;

// Whether the output has the size of the input, so that a copy is the plane moved by some bytes.
static inline bool dcsr_planes_are_shifted(const DcsrLayer* layer, const DcsrConvShape* shape) {
  return layer->stride_h == 1 && layer->stride_w == 1 &&
         shape->output_width == shape->input_width && shape->output_height == shape->input_height;
}

static inline DcsrPlaneCopies dcsr_plane_copies(const DcsrLayer* layer,
                                                const DcsrConvShape* shape) {
  const uint32_t extent = (layer->filter_h - 1) * layer->dilation_h;
  DcsrPlaneCopies copies;
  copies.phases = layer->stride_h < extent + 1 ? layer->stride_h : extent + 1;
  copies.rows = (uint32_t)shape->output_height + extent / layer->stride_h;
  copies.guard =
      dcsr_planes_are_shifted(layer, shape) ? (layer->filter_w - 1) * layer->dilation_w : 0;
  copies.bytes = copies.rows * (uint32_t)shape->output_width + 2 * copies.guard;
  copies.count = layer->filter_w * copies.phases;
  return copies;
}

// Words for the taps, one more for an even number of them, in whole vectors.
static inline size_t dcsr_planes_words(uint32_t taps) { return ((size_t)taps + 4) / 4 * 4; }

// Whether vectors can requantize a row with this tail.
static inline bool dcsr_depthwise_mve_requantizes(const DcsrLayer* layer, const DcsrRowTail* tail) {
  return tail->shift <= dcsr_depthwise_mve_most_shift(layer) &&
         tail->bias >= -kDcsrMveMostHighBias && tail->bias < kDcsrMveMostHighBias;
}

#endif  // DCSR_TFLM_KERNELS_PLANNING_PLAN_DEPTHWISE_CONV2D_PLANES_MVE_H_
