// Dense depthwise convolution in portable C, one output at a time.

#include "tflm_kernels/baseline/dense_depthwise_conv2d_c.h"

#include "tflm_kernels/common/patches.h"
#include "tflm_kernels/common/pixels.h"
#include "tflm_kernels/common/requantize.h"

// Returns the sum of a row of taps. A tap outside of the image reads the input zero point.
static uint32_t multiply(const DcsrLayer* layer, const DcsrConvShape* shape, const DcsrPatch* patch,
                         const int8_t* weights, uint32_t channel) {
  const uint32_t height = (uint32_t)shape->input_height;
  const uint32_t width = (uint32_t)shape->input_width;
  const int8_t* image = (const int8_t*)patch->image;
  uint32_t sum = 0;
  uint32_t y = patch->y;
  for (uint32_t fy = 0; fy < layer->filter_h; ++fy, y += layer->dilation_h) {
    uint32_t x = patch->x;
    for (uint32_t fx = 0; fx < layer->filter_w; ++fx, x += layer->dilation_w) {
      const int32_t activation = y < height && x < width
                                     ? image[((size_t)y * width + x) * layer->channels + channel]
                                     : layer->input_zero_point;
      sum += (uint32_t)(*weights++ * activation);
    }
  }
  return sum;
}

void dcsr_dense_depthwise_conv2d_c(const DcsrLayer* layer, const DcsrConvShape* shape,
                                   const int8_t* input, int8_t* output) {
  const uint32_t multiplier = layer->depth_multiplier;
  DcsrPatches patches = dcsr_patches(layer, shape, input);
  for (size_t left = dcsr_pixel_count(shape); left > 0; --left) {
    const DcsrPatch patch = dcsr_next_patch(&patches);
    const int8_t* weights = layer->values;
    uint32_t row = 0;
    for (uint32_t channel = 0; channel < layer->channels; ++channel) {
      for (uint32_t m = 0; m < multiplier; ++m, ++row, weights += layer->cols) {
        const uint32_t sum = multiply(layer, shape, &patch, weights, channel);
        *output++ = dcsr_requantize(layer, row, (uint32_t)layer->bias[row] + sum);
      }
    }
  }
}
