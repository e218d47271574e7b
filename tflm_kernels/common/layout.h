// Addresses of activations in NHWC and in planes (DcsrLayout).

#ifndef DCSR_TFLM_KERNELS_COMMON_LAYOUT_H_
#define DCSR_TFLM_KERNELS_COMMON_LAYOUT_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tflm_kernels/kernels.h"
#include "tflm_kernels/packed_layer.h"

#ifdef __cplusplus
extern "C" {
#endif

// Activation (y, x, c) of a tensor is element y * row + x * column + c * channel. The rows of all
// images of an NHWC tensor follow each other, so y may go on in the next image.
typedef struct {
  size_t row;
  size_t column;
  size_t channel;
} DcsrSteps;

static inline bool dcsr_has_input_planes(const DcsrLayer* layer) {
  return layer->layout != NULL && layer->layout->input_planes != 0;
}

static inline bool dcsr_has_output_planes(const DcsrLayer* layer) {
  return layer->layout != NULL && layer->layout->output_planes != 0;
}

static inline DcsrSteps dcsr_steps(const DcsrLayer* layer, bool has_planes, size_t height,
                                   size_t width, size_t channels) {
  if (has_planes) {
    const DcsrSteps steps = {width, 1, dcsr_channel_bytes((uint32_t)height, (uint32_t)width)};
    return steps;
  }
  const bool is_transposed = layer->layout != NULL && layer->layout->is_transposed != 0;
  const DcsrSteps steps = {is_transposed ? channels : width * channels,
                           is_transposed ? height * channels : channels, 1};
  return steps;
}

// Returns the steps of a layer's input.
static inline DcsrSteps dcsr_input_steps(const DcsrLayer* layer, const DcsrConvShape* shape) {
  return dcsr_steps(layer, dcsr_has_input_planes(layer), (size_t)shape->input_height,
                    (size_t)shape->input_width, layer->channels);
}

// Returns the steps of a layer's output.
static inline DcsrSteps dcsr_output_steps(const DcsrLayer* layer, const DcsrConvShape* shape) {
  return dcsr_steps(layer, dcsr_has_output_planes(layer), (size_t)shape->output_height,
                    (size_t)shape->output_width, layer->rows);
}

#ifdef __cplusplus
}
#endif

#endif  // DCSR_TFLM_KERNELS_COMMON_LAYOUT_H_
