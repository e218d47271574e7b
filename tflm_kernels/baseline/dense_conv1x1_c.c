// Dense 1x1 convolution in C, for cores without the DSP extension (Cortex-M0+, M3).
//
// Input:   [batches, input_height, input_width, cols], int8.
// Output:  [batches, output_height, output_width, rows], int8.
// Scratch: none.
// Cycles:  docs/kernels.md#dense-to-compare-with.
//
// Multiplies two rows with two pixels at a time: four products from four loads.

#include "tflm_kernels/baseline/dense_conv1x1_c.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tflm_kernels/common/compiler.h"
#include "tflm_kernels/common/pixels.h"
#include "tflm_kernels/common/row_scale.h"

// Sums of two rows and two pixels: s[row][pixel].
typedef struct {
  uint32_t s00, s01, s10, s11;
} Sums;

#if defined(__ARM_ARCH_ISA_THUMB) && __ARM_ARCH_ISA_THUMB == 1

// One pixel needs only the eight low registers.
DCSR_NOINLINE static void multiply_pixel(const int8_t* weights0, const int8_t* weights1,
                                         const int8_t* x, uint32_t cols, uint32_t sums[2]) {
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

static Sums multiply(const int8_t* weights0, const int8_t* weights1, const int8_t* pixel0,
                     const int8_t* pixel1, uint32_t cols) {
  uint32_t sums[2][2];
  multiply_pixel(weights0, weights1, pixel0, cols, sums[0]);
  multiply_pixel(weights0, weights1, pixel1, cols, sums[1]);
  const Sums result = {sums[0][0], sums[1][0], sums[0][1], sums[1][1]};
  return result;
}

#else

// Not inline, as it needs all registers.
DCSR_NOINLINE static Sums multiply(const int8_t* weights0, const int8_t* weights1,
                                   const int8_t* pixel0, const int8_t* pixel1, uint32_t cols) {
  uint32_t s00 = 0;
  uint32_t s01 = 0;
  uint32_t s10 = 0;
  uint32_t s11 = 0;
  DCSR_UNROLL("GCC unroll 4")
  for (uint32_t c = 0; c < cols; ++c) {
    const int32_t w0 = weights0[c];
    const int32_t w1 = weights1[c];
    const int32_t x0 = pixel0[c];
    const int32_t x1 = pixel1[c];
    s00 += (uint32_t)(w0 * x0);
    s01 += (uint32_t)(w0 * x1);
    s10 += (uint32_t)(w1 * x0);
    s11 += (uint32_t)(w1 * x1);
  }
  const Sums sums = {s00, s01, s10, s11};
  return sums;
}

#endif

// Writes the outputs of one or two rows for one or two pixels.
static void multiply_rows(const DcsrLayer* layer, uint32_t row, bool two_rows, const int8_t* pixel0,
                          const int8_t* pixel1, bool two_pixels, int8_t* output) {
  const size_t rows = layer->rows;
  const uint32_t cols = layer->cols;
  const int8_t* weights = layer->values + (size_t)row * cols;
  const Sums sums = multiply(weights, two_rows ? weights + cols : weights, pixel0, pixel1, cols);
  const DcsrRowScale scale0 = dcsr_row_scale(layer, row, cols);
  const uint32_t bias0 = (uint32_t)layer->bias[row];
  output[row] = dcsr_scale_any(layer, row, &scale0, sums.s00 + bias0);
  if (two_pixels) output[rows + row] = dcsr_scale_any(layer, row, &scale0, sums.s01 + bias0);
  if (!two_rows) return;
  const DcsrRowScale scale1 = dcsr_row_scale(layer, row + 1, cols);
  const uint32_t bias1 = (uint32_t)layer->bias[row + 1];
  output[row + 1] = dcsr_scale_any(layer, row + 1, &scale1, sums.s10 + bias1);
  if (two_pixels) {
    output[rows + row + 1] = dcsr_scale_any(layer, row + 1, &scale1, sums.s11 + bias1);
  }
}

void dcsr_dense_conv1x1_c(const DcsrLayer* layer, const DcsrConvShape* shape, const int8_t* input,
                          int8_t* output) {
  DcsrPixels pixels = dcsr_pixels(layer, shape, input);
  size_t left = dcsr_pixel_count(shape);
  while (left > 0) {
    const bool two = left > 1;
    const int8_t* pixel0 = dcsr_next_pixel(&pixels);
    const int8_t* pixel1 = two ? dcsr_next_pixel(&pixels) : pixel0;
    for (uint32_t row = 0; row < layer->rows; row += 2) {
      multiply_rows(layer, row, row + 1 < layer->rows, pixel0, pixel1, two, output);
    }
    if (!two) break;
    output += 2 * (size_t)layer->rows;
    left -= 2;
  }
}
