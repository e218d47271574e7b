// Dense fully connected layer with MVE (Cortex-M55, M85), as in CMSIS-NN.
//
// Input:   [batches, cols], int8.
// Output:  [batches, rows], int8.
// Scratch: none.
// Cycles:  docs/kernels.md#dense-to-compare-with.
//
// Four rows at a time share the loads of the activations, 16 in a vector. The last four rows may
// overlap with the previous ones.

#include "tflm_kernels/baseline/dense_fully_connected_mve.h"

#include "tflm_kernels/common/compiler.h"

#if DCSR_HAS_MVE

#include <stddef.h>
#include <stdint.h>

#include "tflm_kernels/baseline/dense_mve.h"
#include "tflm_kernels/common/requantize.h"

static inline DcsrDenseMveSums multiply_rows(const int8_t* weights, size_t step, uint32_t cols,
                                             const int8_t* x) {
  const int8_t* rows[kDcsrDenseMveLanes];
  for (uint32_t i = 0; i < kDcsrDenseMveLanes; ++i) rows[i] = weights + i * step;
  return dcsr_dense_mve_multiply(x, rows, cols);
}

// Computes a layer with less than four rows.
static void multiply_single_rows(const DcsrLayer* layer, const int8_t* x, int8_t* output) {
  for (uint32_t row = 0; row < layer->rows; ++row) {
    const int8_t* weights = layer->values + (size_t)row * layer->cols;
    const DcsrDenseMveSums sums = multiply_rows(weights, 0, layer->cols, x);
    output[row] = dcsr_requantize(layer, row, (uint32_t)sums.sum0 + (uint32_t)layer->bias[row]);
  }
}

static void multiply_all_rows(const DcsrLayer* layer, const int8_t* x, int8_t* output) {
  const uint32_t last = layer->rows - kDcsrDenseMveLanes;
  const uint32_t cols = layer->cols;
  for (uint32_t row = 0;; row += kDcsrDenseMveLanes) {
    if (row > last) row = last;
    const DcsrDenseMveSums sums = multiply_rows(layer->values + (size_t)row * cols, cols, cols, x);
    const int32_t of_row[kDcsrDenseMveLanes] = {sums.sum0, sums.sum1, sums.sum2, sums.sum3};
    const DcsrDenseMveRows scale = dcsr_dense_mve_rows(layer, row);
    dcsr_dense_mve_requantize(layer, &scale, vld1q_s32(of_row), output + row);
    if (row == last) break;
  }
}

void dcsr_dense_fully_connected_mve(const DcsrLayer* layer, int32_t batches, const int8_t* input,
                                    int8_t* output) {
  for (int32_t batch = 0; batch < batches; ++batch) {
    if (layer->rows < kDcsrDenseMveLanes) {
      multiply_single_rows(layer, input, output);
    } else {
      multiply_all_rows(layer, input, output);
    }
    input += layer->cols;
    output += layer->rows;
  }
}

#endif  // DCSR_HAS_MVE
