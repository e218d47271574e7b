// Sizes and padding of CONV_2D, computed as in TFLM. docs/format.md#arithmetic.

#ifndef DCSR_TFLM_KERNELS_COMMON_CONV_GEOMETRY_H_
#define DCSR_TFLM_KERNELS_COMMON_CONV_GEOMETRY_H_

#include <stdbool.h>
#include <stdint.h>

#include "tflm_kernels/kernels.h"
#include "tflm_kernels/packed_layer.h"

#ifdef __cplusplus
extern "C" {
#endif

// Number of pixels that a filter spans along one dimension.
static inline int64_t dcsr_filter_extent(uint32_t filter, uint32_t dilation) {
  return (int64_t)(filter - 1) * dilation + 1;
}

// Number of output pixels along one dimension; less than 1 if there are none.
static inline int64_t dcsr_conv_output_size(int32_t input, int64_t extent, uint32_t stride,
                                            bool same_padding) {
  return ((int64_t)input + stride - (same_padding ? 1 : extent)) / stride;
}

// Number of padding pixels before the first input pixel.
static inline uint32_t dcsr_conv_padding(int32_t input, int32_t output, int64_t extent,
                                         uint32_t stride) {
  const int64_t total = (int64_t)(output - 1) * stride + extent - input;
  return total > 0 ? (uint32_t)(total / 2) : 0;
}

// Computes the shape of a convolution from the batches, height and width of its input, all
// positive. Returns false if the output would have no pixels. `shape` is then unspecified.
static inline bool dcsr_conv_shape(const DcsrLayer* layer, int32_t batches, int32_t height,
                                   int32_t width, DcsrConvShape* shape) {
  const int64_t extent_h = dcsr_filter_extent(layer->filter_h, layer->dilation_h);
  const int64_t extent_w = dcsr_filter_extent(layer->filter_w, layer->dilation_w);
  const int64_t output_height =
      dcsr_conv_output_size(height, extent_h, layer->stride_h, layer->same_padding);
  const int64_t output_width =
      dcsr_conv_output_size(width, extent_w, layer->stride_w, layer->same_padding);
  shape->batches = batches;
  shape->input_height = height;
  shape->input_width = width;
  shape->output_height = (int32_t)output_height;
  shape->output_width = (int32_t)output_width;
  return output_height >= 1 && output_width >= 1;
}

#ifdef __cplusplus
}
#endif

#endif  // DCSR_TFLM_KERNELS_COMMON_CONV_GEOMETRY_H_
