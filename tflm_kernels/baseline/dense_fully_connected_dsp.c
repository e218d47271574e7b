// Dense fully connected layer with the DSP extension (Cortex-M4, M7, M33), as in CMSIS-NN.
//
// Input:   [batches, cols], int8.
// Output:  [batches, rows], int8.
// Scratch: none.
// Cycles:  docs/kernels.md#dense-to-compare-with.
//
// Four rows at a time share the widening of four activations. Two SMLAD compute four products.

#include "tflm_kernels/baseline/dense_fully_connected_dsp.h"

#include <stddef.h>
#include <stdint.h>

#include "tflm_kernels/common/compiler.h"
#include "tflm_kernels/common/dsp.h"
#include "tflm_kernels/common/requantize.h"

enum { kBlockRows = 4 };

static inline uint32_t multiply_quad(uint32_t weights, uint32_t even, uint32_t odd, uint32_t sum) {
  sum = dcsr_dsp_smlad(dcsr_dsp_even(weights), even, sum);
  return dcsr_dsp_smlad(dcsr_dsp_odd(weights), odd, sum);
}

DCSR_NOINLINE static void multiply_rows(const int8_t* const weights[kBlockRows], const int8_t* x,
                                        uint32_t cols, uint32_t sums[kBlockRows]) {
  const int8_t* w0 = weights[0];
  const int8_t* w1 = weights[1];
  const int8_t* w2 = weights[2];
  const int8_t* w3 = weights[3];
  uint32_t sum0 = 0, sum1 = 0, sum2 = 0, sum3 = 0;
  const int8_t* end = x + (cols & ~UINT32_C(3));
  while (x != end) {
    const uint32_t bytes = dcsr_dsp_load(x);
    const uint32_t even = dcsr_dsp_even(bytes);
    const uint32_t odd = dcsr_dsp_odd(bytes);
    sum0 = multiply_quad(dcsr_dsp_load(w0), even, odd, sum0);
    sum1 = multiply_quad(dcsr_dsp_load(w1), even, odd, sum1);
    sum2 = multiply_quad(dcsr_dsp_load(w2), even, odd, sum2);
    sum3 = multiply_quad(dcsr_dsp_load(w3), even, odd, sum3);
    x += 4;
    w0 += 4;
    w1 += 4;
    w2 += 4;
    w3 += 4;
  }
  for (uint32_t i = 0; i < cols % 4; ++i) {
    sum0 += (uint32_t)(w0[i] * x[i]);
    sum1 += (uint32_t)(w1[i] * x[i]);
    sum2 += (uint32_t)(w2[i] * x[i]);
    sum3 += (uint32_t)(w3[i] * x[i]);
  }
  sums[0] = sum0;
  sums[1] = sum1;
  sums[2] = sum2;
  sums[3] = sum3;
}

void dcsr_dense_fully_connected_dsp(const DcsrLayer* layer, int32_t batches, const int8_t* input,
                                    int8_t* output) {
  for (int32_t batch = 0; batch < batches; ++batch) {
    for (uint32_t row = 0; row < layer->rows; row += kBlockRows) {
      const uint32_t left = layer->rows - row;
      const uint32_t count = left < kBlockRows ? left : (uint32_t)kBlockRows;
      const int8_t* weights[kBlockRows];
      for (uint32_t i = 0; i < kBlockRows; ++i) {
        // Beyond the last row, use the last row again.
        weights[i] = layer->values + (size_t)(row + (i < count ? i : count - 1)) * layer->cols;
      }
      uint32_t sums[kBlockRows];
      multiply_rows(weights, input, layer->cols, sums);
      for (uint32_t i = 0; i < count; ++i) {
        output[row + i] = dcsr_requantize(layer, row + i, sums[i] + (uint32_t)layer->bias[row + i]);
      }
    }
    input += layer->cols;
    output += layer->rows;
  }
}
