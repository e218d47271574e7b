// Fully connected layer in portable C, any encoding (docs/format.md#arithmetic).
//
// Input:   [batches, cols], int8.
// Output:  [batches, rows], int8.
// Scratch: none.
// Cycles:  counted in costs/costs.c.
//
// Decodes the matrix once for each tile of batches.

#include "tflm_kernels/reference/reference.h"
#include "tflm_kernels/reference/tile_ref.h"

void dcsr_fully_connected_ref(const DcsrPlan* plan, const DcsrLayer* layer,
                              const DcsrConvShape* shape, const void* input_data, void* output_data,
                              void* scratch) {
  (void)plan;
  (void)scratch;
  const int8_t* input = (const int8_t*)input_data;
  int8_t* output = (int8_t*)output_data;
  const int8_t* tile[kDcsrTileVectors];
  size_t left = (size_t)shape->batches;
  while (left > 0) {
    const size_t count = left < kDcsrTileVectors ? left : kDcsrTileVectors;
    for (size_t v = 0; v < count; ++v) tile[v] = input + v * layer->cols;
    dcsr_tile_ref(layer, tile, count, output);
    input += count * layer->cols;
    output += count * layer->rows;
    left -= count;
  }
}
