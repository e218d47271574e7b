// Depthwise convolution with any filter in portable C, any encoding (docs/format.md#arithmetic).
//
// Input:   [batches, input_height, input_width, channels], int8.
// Output:  [batches, output_height, output_width, rows], int8.
// Scratch: none.
// Cycles:  counted in costs/costs.c.
//
// Decodes the matrix once for each tile of output pixels. A tap outside of the image reads the
// input zero point, which counts as 0 because the bias is folded.

#include "tflm_kernels/common/patches.h"
#include "tflm_kernels/common/pixels.h"
#include "tflm_kernels/common/requantize.h"
#include "tflm_kernels/format/row_reader.h"
#include "tflm_kernels/reference/reference.h"
#include "tflm_kernels/reference/tile_ref.h"

// Returns the activation of `channel` in a patch, dy and dx pixels from its first pixel.
static int32_t activation(const DcsrLayer* layer, const DcsrConvShape* shape,
                          const DcsrPatch* patch, uint32_t dy, uint32_t dx, uint32_t channel) {
  const uint32_t y = patch->y + dy;
  const uint32_t x = patch->x + dx;
  if (y >= (uint32_t)shape->input_height || x >= (uint32_t)shape->input_width) {
    return layer->input_zero_point;
  }
  const size_t pixel = (size_t)y * (size_t)shape->input_width + x;
  return ((const int8_t*)patch->image)[pixel * layer->channels + channel];
}

// Computes the sums of row `row`, the reader's next one. Sums are unsigned because they may wrap.
static void multiply_row(const DcsrLayer* layer, const DcsrConvShape* shape, uint32_t row,
                         DcsrRowReader* reader, const DcsrPatch tile[], size_t count,
                         uint32_t acc[]) {
  const uint32_t channel = row / layer->depth_multiplier;
  for (size_t v = 0; v < count; ++v) acc[v] = (uint32_t)layer->bias[row];
  dcsr_next_row(reader);
  DcsrGroup group;
  while (dcsr_next_group(reader, &group)) {
    for (uint32_t l = 0; l < group.lanes; ++l) {
      const uint32_t tap = (uint32_t)group.column[l];
      const uint32_t dy = tap / layer->filter_w * layer->dilation_h;
      const uint32_t dx = tap % layer->filter_w * layer->dilation_w;
      for (size_t v = 0; v < count; ++v) {
        acc[v] += (uint32_t)(group.weight[l] * activation(layer, shape, &tile[v], dy, dx, channel));
      }
    }
  }
}

void dcsr_depthwise_conv2d_ref(const DcsrPlan* plan, const DcsrLayer* layer,
                               const DcsrConvShape* shape, const void* input_data,
                               void* output_data, void* scratch) {
  (void)plan;
  (void)scratch;
  int8_t* output = (int8_t*)output_data;
  DcsrPatches patches = dcsr_patches(layer, shape, input_data);
  DcsrPatch tile[kDcsrTileVectors];
  uint32_t acc[kDcsrTileVectors];
  for (size_t left = dcsr_pixel_count(shape); left > 0;) {
    const size_t count = left < kDcsrTileVectors ? left : (size_t)kDcsrTileVectors;
    for (size_t v = 0; v < count; ++v) tile[v] = dcsr_next_patch(&patches);
    DcsrRowReader reader = dcsr_row_reader(layer);
    for (uint32_t row = 0; row < layer->rows; ++row) {
      multiply_row(layer, shape, row, &reader, tile, count, acc);
      for (size_t v = 0; v < count; ++v) {
        output[v * layer->rows + row] = dcsr_requantize(layer, row, acc[v]);
      }
    }
    output += count * layer->rows;
    left -= count;
  }
}
