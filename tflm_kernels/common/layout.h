// Addresses of activations in NHWC and in planes (DcsrLayout).

#ifndef DCSR_TFLM_KERNELS_COMMON_LAYOUT_H_
#define DCSR_TFLM_KERNELS_COMMON_LAYOUT_H_

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "tflm_kernels/kernels.h"
#include "tflm_kernels/packed_layer.h"

#ifdef __cplusplus
extern "C" {
#endif

// Activation (y, x, c) of a tensor is element first + y * row + x * column + c * channel. The rows
// of all images of an NHWC tensor follow each other, so y may go on in the next image.
typedef struct {
  size_t first;
  size_t row;
  size_t column;
  size_t channel;
} DcsrSteps;

// NHWC, of [batches, height, width, channels], or of [1, width, height, channels] if it is
// transposed.
static inline DcsrSteps dcsr_nhwc_steps(const DcsrLayout* layout, size_t height, size_t width,
                                        size_t channels) {
  const bool is_transposed = layout != NULL && layout->is_transposed != 0;
  const DcsrSteps steps = {0, is_transposed ? channels : width * channels,
                           is_transposed ? height * channels : channels, 1};
  return steps;
}

// Returns the steps of a layer's input.
static inline DcsrSteps dcsr_input_steps(const DcsrLayer* layer, const DcsrConvShape* shape) {
  const DcsrLayout* layout = layer->layout;
  if (layout == NULL || layout->input_pitch == 0) {
    return dcsr_nhwc_steps(layout, (size_t)shape->input_height, (size_t)shape->input_width,
                           layer->channels);
  }
  const DcsrSteps steps = {layout->input_first, layout->input_pitch, 1, layout->input_plane_bytes};
  return steps;
}

// Returns the steps of a layer's output.
static inline DcsrSteps dcsr_output_steps(const DcsrLayer* layer, const DcsrConvShape* shape) {
  const DcsrLayout* layout = layer->layout;
  if (layout == NULL || layout->output_pitch == 0) {
    return dcsr_nhwc_steps(layout, (size_t)shape->output_height, (size_t)shape->output_width,
                           layer->rows);
  }
  const DcsrSteps steps = {layout->output_first, layout->output_pitch, 1,
                           layout->output_plane_bytes};
  return steps;
}

// Sets all bytes of an output plane that are not pixels to the output zero point. `plane`: int8
// [output_plane_bytes].
static inline void dcsr_set_pads(const DcsrLayer* layer, const DcsrConvShape* shape,
                                 int8_t* plane) {
  const DcsrLayout* layout = layer->layout;
  const size_t width = (size_t)shape->output_width;
  size_t end = 0;  // of the pixels so far
  for (int32_t y = 0; y < shape->output_height; ++y) {
    const size_t begin = layout->output_first + (size_t)y * layout->output_pitch;
    memset(plane + end, layer->output_zero_point, begin - end);
    end = begin + width;
  }
  memset(plane + end, layer->output_zero_point, layout->output_plane_bytes - end);
}

#ifdef __cplusplus
}
#endif

#endif  // DCSR_TFLM_KERNELS_COMMON_LAYOUT_H_
