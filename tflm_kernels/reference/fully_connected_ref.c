// Fully connected layer in portable C, every encoding.
// docs/format.md#arithmetic.
//
// Batches are taken in tiles that share one decoding of the matrix.

#include "tflm_kernels/reference/reference.h"
#include "tflm_kernels/reference/tile_ref.h"

void dcsr_fully_connected_ref(const DcsrLayer* layer, int32_t batches, const int8_t* input,
                              int8_t* output) {
  const int8_t* tile[kDcsrTileVectors];
  size_t left = (size_t)batches;
  while (left > 0) {
    const size_t count = left < kDcsrTileVectors ? left : kDcsrTileVectors;
    for (size_t v = 0; v < count; ++v) tile[v] = input + v * layer->cols;
    dcsr_tile_ref(layer, tile, count, output);
    input += count * layer->cols;
    output += count * layer->rows;
    left -= count;
  }
}
