// Convolution with any filter in portable C, every encoding. docs/format.md#arithmetic.
//
// Output pixels are taken in tiles that share one decoding of the matrix. What a filter reads
// outside of the image is the input zero point: with the folded bias it counts as 0.

#include "tflm_kernels/patches.h"
#include "tflm_kernels/reference.h"
#include "tflm_kernels/requantize.h"
#include "tflm_kernels/row_reader.h"
#include "tflm_kernels/tile_ref.h"

// The activation of a patch at tap (dy, dx), both in pixels.
static int32_t activation(const DcsrLayer* layer, const DcsrConvShape* shape,
                          const DcsrPatch* patch, uint32_t dy, uint32_t dx, uint32_t channel) {
  const uint32_t y = patch->y + dy;
  const uint32_t x = patch->x + dx;
  if (y >= (uint32_t)shape->input_height || x >= (uint32_t)shape->input_width) {
    return layer->input_zero_point;
  }
  const size_t pixel = (size_t)y * (size_t)shape->input_width + x;
  return patch->image[pixel * layer->channels + channel];
}

// Sums are unsigned, so that they wrap.
static void multiply_element(const DcsrLayer* layer, const DcsrConvShape* shape, uint32_t column,
                             int32_t weight, const DcsrPatch tile[], size_t count, uint32_t acc[]) {
  const uint32_t channel = column % layer->channels;
  const uint32_t tap = column / layer->channels;
  const uint32_t dy = tap / layer->filter_w * layer->dilation_h;
  const uint32_t dx = tap % layer->filter_w * layer->dilation_w;
  for (size_t v = 0; v < count; ++v) {
    acc[v] += (uint32_t)(weight * activation(layer, shape, &tile[v], dy, dx, channel));
  }
}

static void multiply_tile(const DcsrLayer* layer, const DcsrConvShape* shape,
                          const DcsrPatch tile[], size_t count, int8_t* output) {
  uint32_t acc[kDcsrTileVectors];
  DcsrRowReader reader = dcsr_row_reader(layer);
  for (uint32_t row = 0; row < layer->rows; ++row) {
    for (size_t v = 0; v < count; ++v) acc[v] = (uint32_t)layer->bias[row];

    dcsr_next_row(&reader);
    DcsrGroup group;
    while (dcsr_next_group(&reader, &group)) {
      for (uint32_t l = 0; l < group.lanes; ++l) {
        multiply_element(layer, shape, (uint32_t)group.column[l], group.weight[l], tile, count,
                         acc);
      }
    }

    for (size_t v = 0; v < count; ++v) {
      output[v * layer->rows + row] = dcsr_requantize(layer, row, acc[v]);
    }
  }
}

void dcsr_conv2d_ref(const DcsrLayer* layer, const DcsrConvShape* shape, const int8_t* input,
                     int8_t* output) {
  DcsrPatches patches = dcsr_patches(layer, shape, input);
  DcsrPatch tile[kDcsrTileVectors];
  size_t left = (size_t)shape->batches * (size_t)shape->output_height * (size_t)shape->output_width;
  while (left > 0) {
    const size_t count = left < kDcsrTileVectors ? left : (size_t)kDcsrTileVectors;
    for (size_t v = 0; v < count; ++v) tile[v] = dcsr_next_patch(&patches);
    multiply_tile(layer, shape, tile, count, output);
    output += count * layer->rows;
    left -= count;
  }
}
