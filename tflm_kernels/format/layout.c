// Checks the layout of a layer: docs/format.md#layout. The blob is not trusted.

#include "tflm_kernels/format/layout.h"

#include "tflm_kernels/common/conv_geometry.h"

static bool tensor_fits(int32_t height, int32_t width, uint32_t channels) {
  return (uint64_t)dcsr_channel_bytes((uint32_t)height, (uint32_t)width) * channels <= INT32_MAX;
}

bool dcsr_layout_is_valid(const DcsrLayer* layer) {
  const DcsrLayout* layout = layer->layout;
  DcsrConvShape shape;
  return layout->input_height > 0 && layout->input_width > 0 && layout->input_planes <= 1 &&
         layout->output_planes <= 1 && layout->input_planes + layout->output_planes > 0 &&
         layout->is_transposed <= 1 && layout->reserved == 0 &&
         dcsr_conv_shape(layer, 1, layout->input_height, layout->input_width, &shape) &&
         tensor_fits(shape.input_height, shape.input_width, layer->channels) &&
         tensor_fits(shape.output_height, shape.output_width, layer->rows);
}
