// Dense depthwise convolution in C, for any core.

#include "tflm_kernels/baseline/dense_depthwise_c.h"

#include "tflm_kernels/common/patches.h"
#include "tflm_kernels/common/pixels.h"
#include "tflm_kernels/common/requantize.h"

// The taps of a patch that lie within the image.
typedef struct {
  uint32_t first_y;
  uint32_t end_y;
  uint32_t first_x;
  uint32_t end_x;
} Inside;

// Returns the first tap at or after coordinate 0, and in `end` the tap behind the last one below
// `size`.
static uint32_t taps_inside(uint32_t first, uint32_t taps, uint32_t dilation, uint32_t size,
                            uint32_t* end) {
  uint32_t begin = 0;
  while (begin < taps && first + begin * dilation >= size) ++begin;
  *end = begin;
  while (*end < taps && first + *end * dilation < size) ++*end;
  return begin;
}

// Returns the sum of a row for a patch, with the bias. Taps outside of the image are the input zero
// point.
static uint32_t sum_of_row(const DcsrLayer* layer, const DcsrConvShape* shape,
                           const DcsrPatch* patch, const Inside* inside, uint32_t row) {
  const int8_t* weight = layer->values + (size_t)row * layer->cols;
  const size_t width = (size_t)shape->input_width;
  const int8_t* image = (const int8_t*)patch->image + row / layer->depth_multiplier;
  uint32_t sum = (uint32_t)layer->bias[row];
  for (uint32_t f = 0; f < layer->filter_h; ++f) {
    const bool has_row = f >= inside->first_y && f < inside->end_y;
    const size_t y = patch->y + f * layer->dilation_h;
    for (uint32_t g = 0; g < layer->filter_w; ++g) {
      int32_t activation = layer->input_zero_point;
      if (has_row && g >= inside->first_x && g < inside->end_x) {
        const size_t x = patch->x + g * layer->dilation_w;
        activation = image[(y * width + x) * layer->channels];
      }
      sum += (uint32_t)(*weight++ * activation);
    }
  }
  return sum;
}

void dcsr_dense_depthwise_conv2d_c(const DcsrLayer* layer, const DcsrConvShape* shape,
                                   const int8_t* input, int8_t* output) {
  DcsrPatches patches = dcsr_patches(layer, shape, input);
  for (size_t left = dcsr_pixel_count(shape); left > 0; --left) {
    const DcsrPatch patch = dcsr_next_patch(&patches);
    Inside inside;
    inside.first_y = taps_inside(patch.y, layer->filter_h, layer->dilation_h,
                                 (uint32_t)shape->input_height, &inside.end_y);
    inside.first_x = taps_inside(patch.x, layer->filter_w, layer->dilation_w,
                                 (uint32_t)shape->input_width, &inside.end_x);
    for (uint32_t row = 0; row < layer->rows; ++row) {
      const uint32_t sum = sum_of_row(layer, shape, &patch, &inside, row);
      *output++ = dcsr_requantize(layer, row, sum);
    }
  }
}
