// Division of the scratch of depthwise_conv2d_planes_mve, and the layers that it takes.
//
// Scratch: offset of each tap in the copies, int32 [dcsr_planes_words()];
//          weight of each tap, int32 [dcsr_planes_words()];
//          places of pads in the copies, uint16 [dcsr_plane_vectors()];
//          places of pixels in the plane, uint16 [dcsr_plane_sources()];
//          for each column of the filter a copy of the plane, int8 [count][guard + phases * rows *
//          output width + guard].

#ifndef DCSR_TFLM_KERNELS_PLANNING_PLAN_DEPTHWISE_CONV2D_PLANES_MVE_H_
#define DCSR_TFLM_KERNELS_PLANNING_PLAN_DEPTHWISE_CONV2D_PLANES_MVE_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tflm_kernels/common/conv_geometry.h"
#include "tflm_kernels/common/layout.h"
#include "tflm_kernels/common/row_tail.h"
#include "tflm_kernels/kernels.h"
#include "tflm_kernels/packed_layer.h"
#include "tflm_kernels/planning/plan_depthwise_conv2d_dense_mve.h"

enum {
  kDcsrPlaneLeastPixels = 8,     // of the output
  kDcsrPlaneStep = 24,           // pixels that are computed together, if there are as many
  kDcsrPlaneMostPlaces = 65536,  // places in a plane and in its copies have 16 bits
};

// The copies of a plane.
typedef struct {
  int32_t top;      // rows of padding before the map
  int32_t left;     // columns of padding before the map
  int32_t width;    // of the map
  uint32_t phases;  // of rows
  uint32_t rows;    // of a phase
  uint32_t guard;   // bytes before and behind a copy, over which it may be moved
  uint32_t bytes;   // of a copy with its phases and guards
  uint32_t count;
  bool
      is_shifted;  // the output has the size of the input: a copy is the plane, moved by some bytes
} DcsrPlaneCopies;

static inline DcsrPlaneCopies dcsr_plane_copies(const DcsrLayer* layer,
                                                const DcsrConvShape* shape) {
  const int64_t extent_h = dcsr_filter_extent(layer->filter_h, layer->dilation_h);
  const int64_t extent_w = dcsr_filter_extent(layer->filter_w, layer->dilation_w);
  DcsrPlaneCopies copies;
  copies.top = (int32_t)dcsr_conv_padding(shape->input_height, shape->output_height, extent_h,
                                          layer->stride_h);
  copies.left = (int32_t)dcsr_conv_padding(shape->input_width, shape->output_width, extent_w,
                                           layer->stride_w);
  copies.width = shape->input_width;
  copies.phases = layer->stride_h < extent_h ? layer->stride_h : (uint32_t)extent_h;
  copies.rows = (uint32_t)shape->output_height + (uint32_t)(extent_h - 1) / layer->stride_h;
  copies.is_shifted = layer->stride_h == 1 && layer->stride_w == 1 &&
                      shape->output_width == shape->input_width &&
                      shape->output_height == shape->input_height;
  copies.guard = copies.is_shifted ? (uint32_t)(extent_w - 1) : 0;
  copies.bytes = copies.phases * copies.rows * (uint32_t)shape->output_width + 2 * copies.guard;
  copies.count = layer->filter_w;
  return copies;
}

// Whether a layer has dense weights with plain values, planes at both ends, and a depth multiplier
// of 1.
static inline bool dcsr_is_dense_on_planes(const DcsrLayer* layer) {
  return layer->encoding == kDcsrEncodingDense && layer->value_coding == kDcsrValuesPlain &&
         dcsr_has_input_planes(layer) && dcsr_has_output_planes(layer) &&
         layer->depth_multiplier == 1;
}

// Column of the map from which copy `k` reads its first column.
static inline int32_t dcsr_plane_shift(const DcsrLayer* layer, const DcsrPlaneCopies* copies,
                                       uint32_t k) {
  return (int32_t)(k * layer->dilation_w) - copies->left;
}

// Whether a copy that is moved by `shift` contains a column of the map. Otherwise it is all
// padding.
static inline bool dcsr_plane_is_in_reach(const DcsrPlaneCopies* copies, int32_t shift) {
  return shift > -copies->width && shift < copies->width;
}

// Number of pads of the copies that are overwritten for each channel.
static inline uint32_t dcsr_plane_pads(const DcsrLayer* layer, const DcsrConvShape* shape,
                                       const DcsrPlaneCopies* copies) {
  uint32_t columns = 0;  // within the map, of all copies; shifted ones: outside
  for (uint32_t k = 0; k < layer->filter_w; ++k) {
    const int32_t shift = dcsr_plane_shift(layer, copies, k);
    if (copies->is_shifted) {
      if (dcsr_plane_is_in_reach(copies, shift)) columns += (uint32_t)(shift < 0 ? -shift : shift);
      continue;
    }
    int32_t column = shift;
    for (int32_t x = 0; x < shape->output_width; ++x, column += (int32_t)layer->stride_w) {
      columns += column >= 0 && column < copies->width ? 1 : 0;
    }
  }
  if (copies->is_shifted) return columns * ((uint32_t)shape->input_height + 1);
  uint32_t rows = 0;  // within the map, of a copy
  for (int32_t y = copies->top; y < copies->top + shape->input_height; ++y) {
    rows += (uint32_t)y % layer->stride_h < copies->phases &&
                    (uint32_t)y / layer->stride_h < copies->rows
                ? 1
                : 0;
  }
  return copies->count * copies->bytes - columns * rows;
}

// `count` places, in whole vectors.
static inline size_t dcsr_plane_vectors(uint32_t count) { return ((size_t)count + 7) / 8 * 8; }

// Places of sources in scratch.
static inline size_t dcsr_plane_sources(const DcsrPlaneCopies* copies) {
  return copies->is_shifted ? 0 : dcsr_plane_vectors(copies->count * copies->bytes);
}

// Words for the taps, one more for an even number of them, in whole vectors.
static inline size_t dcsr_planes_words(uint32_t taps) { return ((size_t)taps + 4) / 4 * 4; }

// Whether vectors can requantize a row with this tail.
static inline bool dcsr_depthwise_mve_requantizes(const DcsrLayer* layer, const DcsrRowTail* tail) {
  return tail->shift <= dcsr_depthwise_mve_most_shift(layer) &&
         tail->bias >= -kDcsrMveMostHighBias && tail->bias < kDcsrMveMostHighBias;
}

#endif  // DCSR_TFLM_KERNELS_PLANNING_PLAN_DEPTHWISE_CONV2D_PLANES_MVE_H_
