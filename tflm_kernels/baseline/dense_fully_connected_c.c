// Dense fully connected layer in C, for cores without the DSP extension (Cortex-M0+, M3).
//
// Input:   [batches, cols], int8.
// Output:  [batches, rows], int8.
// Scratch: none.
// Cycles:  docs/kernels.md#dense-to-compare-with.
//
// Two rows at a time share the load of an activation.

#include "tflm_kernels/baseline/dense_fully_connected_c.h"

#include <stddef.h>
#include <stdint.h>

#include "tflm_kernels/common/compiler.h"
#include "tflm_kernels/common/requantize.h"

static void multiply_rows(const int8_t* weights0, const int8_t* weights1, const int8_t* x,
                          uint32_t cols, uint32_t sums[2]) {
  uint32_t sum0 = 0;
  uint32_t sum1 = 0;
  DCSR_UNROLL("GCC unroll 4")
  for (uint32_t c = 0; c < cols; ++c) {
    sum0 += (uint32_t)(weights0[c] * x[c]);
    sum1 += (uint32_t)(weights1[c] * x[c]);
  }
  sums[0] = sum0;
  sums[1] = sum1;
}

void dcsr_dense_fully_connected_c(const DcsrLayer* layer, int32_t batches, const int8_t* input,
                                  int8_t* output) {
  const uint32_t cols = layer->cols;
  for (int32_t batch = 0; batch < batches; ++batch) {
    for (uint32_t row = 0; row < layer->rows; row += 2) {
      const int8_t* weights = layer->values + (size_t)row * cols;
      const int last = row + 1 == layer->rows;
      uint32_t sums[2];
      multiply_rows(weights, last ? weights : weights + cols, input, cols, sums);
      output[row] = dcsr_requantize(layer, row, sums[0] + (uint32_t)layer->bias[row]);
      if (last) break;
      output[row + 1] = dcsr_requantize(layer, row + 1, sums[1] + (uint32_t)layer->bias[row + 1]);
    }
    input += cols;
    output += layer->rows;
  }
}
