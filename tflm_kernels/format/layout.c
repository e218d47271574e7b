// Checks the layout of a layer: docs/format.md#layout. The blob is not trusted. A program that
// reads no layouts does not link these functions.

#include "tflm_kernels/common/conv_geometry.h"
#include "tflm_kernels/kernels.h"

static bool tensor_fits(int32_t height, int32_t width, uint32_t channels) {
  return (uint64_t)dcsr_channel_bytes((uint32_t)height, (uint32_t)width) * channels <= INT32_MAX;
}

static bool is_valid(const DcsrLayer* layer) {
  const DcsrLayout* layout = layer->layout;
  DcsrConvShape shape;
  return layout->input_height > 0 && layout->input_width > 0 && layout->input_planes <= 1 &&
         layout->output_planes <= 1 && layout->input_planes + layout->output_planes > 0 &&
         layout->is_transposed <= 1 && layout->reserved == 0 &&
         dcsr_conv_shape(layer, 1, layout->input_height, layout->input_width, &shape) &&
         tensor_fits(shape.input_height, shape.input_width, layer->channels) &&
         tensor_fits(shape.output_height, shape.output_width, layer->rows);
}

static bool fits(const DcsrLayer* layer, bool is_output, const int32_t* dims, int32_t rank,
                 DcsrConvShape* shape) {
  const DcsrLayout* layout = layer->layout;
  dcsr_conv_shape(layer, 1, layout->input_height, layout->input_width, shape);
  const int32_t height = is_output ? shape->output_height : shape->input_height;
  const int32_t width = is_output ? shape->output_width : shape->input_width;
  const int32_t channels = (int32_t)(is_output ? layer->rows : layer->channels);
  if (dims[0] != 1) return false;
  if ((is_output ? layout->output_planes : layout->input_planes) != 0) {
    const uint32_t plane = dcsr_channel_bytes((uint32_t)height, (uint32_t)width);
    return rank == 3 && dims[1] == channels && dims[2] == (int32_t)plane;
  }
  const bool is_transposed = layout->is_transposed != 0;
  return rank == 4 && dims[1] == (is_transposed ? width : height) &&
         dims[2] == (is_transposed ? height : width) && dims[3] == channels;
}

const DcsrLayouts kDcsrLayouts = {is_valid, fits};
