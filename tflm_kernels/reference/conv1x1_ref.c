// 1x1 convolution in portable C, any encoding (docs/format.md#arithmetic).
//
// Input:   [batches, input_height, input_width, cols], int8.
// Output:  [batches, output_height, output_width, rows], int8.
// Scratch: none.
// Cycles:  counted in costs/costs.c.
//
// Decodes the matrix once for each tile of output pixels. The pixels of a tile may lie in different
// image rows and batches.

#include "tflm_kernels/reference/reference.h"
#include "tflm_kernels/reference/tile_ref.h"

void dcsr_conv1x1_ref(const DcsrPlan* plan, const DcsrLayer* layer, const DcsrConvShape* shape,
                      const void* input_data, void* output_data, void* scratch) {
  (void)plan;
  (void)scratch;
  const int8_t* input = (const int8_t*)input_data;
  int8_t* output = (int8_t*)output_data;
  const size_t input_width = (size_t)shape->input_width;
  const size_t input_height = (size_t)shape->input_height;
  const int8_t* tile[kDcsrTileVectors];
  size_t count = 0;

  for (int32_t batch = 0; batch < shape->batches; ++batch) {
    for (int32_t y = 0; y < shape->output_height; ++y) {
      const size_t input_row = (size_t)batch * input_height + (size_t)y * layer->stride_h;
      for (int32_t x = 0; x < shape->output_width; ++x) {
        const size_t pixel = input_row * input_width + (size_t)x * layer->stride_w;
        tile[count++] = input + pixel * layer->cols;
        if (count == kDcsrTileVectors) {
          dcsr_tile_ref(layer, tile, count, output);
          output += count * layer->rows;
          count = 0;
        }
      }
    }
  }
  if (count > 0) dcsr_tile_ref(layer, tile, count, output);
}
