// Convolution with any filter, computed by a 1x1 kernel (docs/kernels.md#larger-filters).
//
// Input:   [batches, input_height, input_width, channels], int8.
// Output:  [batches, output_height, output_width, rows], int8.
// Scratch: the patches of a tile, scratch of the 1x1 kernel (plan_conv2d_im2col.h).
// Cycles:  counted in costs/costs.c.
//
// Copies the patches of a tile of output pixels to scratch,
// [pixel][filter_h][filter_w][channels]. They are the pixels of a 1x1 convolution with the same
// matrix. Taps outside of the image are set to the input zero point.

#include <string.h>

#include "tflm_kernels/common/patches.h"
#include "tflm_kernels/common/pixels.h"
#include "tflm_kernels/planning/plan_conv2d_im2col.h"
#include "tflm_kernels/scalar/scalar.h"

static DcsrConvShape tile_shape(size_t pixels) {
  const DcsrConvShape shape = {1, 1, (int32_t)pixels, 1, (int32_t)pixels};
  return shape;
}

// Copies the taps of one row of the filter. `row` is the image row that it reads.
static void copy_row(const DcsrLayer* layer, const int8_t* row, uint32_t x, uint32_t width,
                     int8_t* out) {
  const size_t channels = layer->channels;
  if (layer->dilation_w == 1 && x < width && layer->filter_w <= width - x) {
    memcpy(out, row + x * channels, layer->filter_w * channels);
    return;
  }
  for (uint32_t f = 0; f < layer->filter_w; ++f) {
    if (x < width) {
      memcpy(out, row + x * channels, channels);
    } else {
      memset(out, layer->input_zero_point, channels);
    }
    out += channels;
    x += layer->dilation_w;
  }
}

static void copy_patch(const DcsrLayer* layer, const DcsrConvShape* shape, const DcsrPatch* patch,
                       int8_t* out) {
  const uint32_t height = (uint32_t)shape->input_height;
  const uint32_t width = (uint32_t)shape->input_width;
  const size_t row_bytes = (size_t)width * layer->channels;
  const size_t out_bytes = (size_t)layer->filter_w * layer->channels;
  uint32_t y = patch->y;
  for (uint32_t f = 0; f < layer->filter_h; ++f) {
    if (y < height) {
      copy_row(layer, (const int8_t*)patch->image + y * row_bytes, patch->x, width, out);
    } else {
      memset(out, layer->input_zero_point, out_bytes);
    }
    out += out_bytes;
    y += layer->dilation_h;
  }
}

void dcsr_conv2d_im2col(const DcsrPlan* plan, const DcsrLayer* layer, const DcsrConvShape* shape,
                        const void* input_data, void* output_data, void* scratch) {
  const int8_t* input = (const int8_t*)input_data;
  int8_t* output = (int8_t*)output_data;
  size_t left = dcsr_pixel_count(shape);
  int8_t* patches = (int8_t*)scratch;
  int8_t* inner_scratch = patches + dcsr_patch_bytes(layer, plan->tile_pixels);
  const DcsrLayer tile = dcsr_tile_layer(layer);
  DcsrPatches cursor = dcsr_patches(layer, shape, input);
  while (left > 0) {
    const size_t count = left < plan->tile_pixels ? left : plan->tile_pixels;
    for (size_t p = 0; p < count; ++p) {
      const DcsrPatch patch = dcsr_next_patch(&cursor);
      copy_patch(layer, shape, &patch, patches + p * layer->cols);
    }
    const DcsrConvShape inner_shape = tile_shape(count);
    const DcsrPlan inner =
        dcsr_plan_tile(plan->kernels, &tile, count, plan->inner_bytes, (uint32_t)plan->longest_row);
    dcsr_run(&inner, &tile, &inner_shape, patches, output, inner_scratch);
    output += count * layer->rows;
    left -= count;
  }
}
