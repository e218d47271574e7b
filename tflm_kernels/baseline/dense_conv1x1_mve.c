// Dense 1x1 convolution with MVE (Cortex-M55, M85), as in CMSIS-NN.
//
// Input:   [batches, input_height, input_width, cols], int8.
// Output:  [batches, output_height, output_width, rows], int8.
// Scratch: none.
// Cycles:  docs/kernels.md#dense-to-compare-with.
//
// Four pixels at a time share the loads of a row of weights, 16 in a vector. Four rows are
// requantized together; the last four may overlap with the previous ones. The last one to three
// pixels of a map, and layers with less than four rows, are computed as a fully connected layer.

#include "tflm_kernels/baseline/dense_conv1x1_mve.h"

#include "tflm_kernels/common/compiler.h"

#if DCSR_HAS_MVE

#include <stddef.h>
#include <stdint.h>

#include "tflm_kernels/baseline/dense_fully_connected_mve.h"
#include "tflm_kernels/baseline/dense_mve.h"
#include "tflm_kernels/common/pixels.h"

enum { kBlockPixels = kDcsrDenseMveLanes };

// Writes sums[pixel][row] of four rows. Not inline, as it needs all registers.
DCSR_NOINLINE static void multiply_rows(const int8_t* weights,
                                        const int8_t* const pixels[kBlockPixels], uint32_t cols,
                                        int32_t* sums) {
  for (uint32_t i = 0; i < kDcsrDenseMveLanes; ++i) {
    const DcsrDenseMveSums of_row = dcsr_dense_mve_multiply(weights, pixels, cols);
    sums[0 * kDcsrDenseMveLanes] = of_row.sum0;
    sums[1 * kDcsrDenseMveLanes] = of_row.sum1;
    sums[2 * kDcsrDenseMveLanes] = of_row.sum2;
    sums[3 * kDcsrDenseMveLanes] = of_row.sum3;
    weights += cols;
    ++sums;
  }
}

static void multiply_block(const DcsrLayer* layer, const int8_t* const pixels[kBlockPixels],
                           int8_t* output) {
  const uint32_t rows = layer->rows;
  const uint32_t cols = layer->cols;
  const uint32_t last = rows - kDcsrDenseMveLanes;
  int32_t sums[kBlockPixels * kDcsrDenseMveLanes];
  for (uint32_t row = 0;; row += kDcsrDenseMveLanes) {
    if (row > last) row = last;
    multiply_rows(layer->values + (size_t)row * cols, pixels, cols, sums);
    const DcsrDenseMveRows scale = dcsr_dense_mve_rows(layer, row);
    int8_t* out = output + row;
    for (uint32_t p = 0; p < kBlockPixels; ++p) {
      dcsr_dense_mve_requantize(layer, &scale, vld1q_s32(sums + p * kDcsrDenseMveLanes), out);
      out += rows;
    }
    if (row == last) break;
  }
}

void dcsr_dense_conv1x1_mve(const DcsrLayer* layer, const DcsrConvShape* shape, const int8_t* input,
                            int8_t* output) {
  size_t left = dcsr_pixel_count(shape);
  DcsrPixels pixels = dcsr_pixels(layer, shape, input);
  while (left >= kBlockPixels && layer->rows >= kDcsrDenseMveLanes) {
    const int8_t* block[kBlockPixels];
    for (uint32_t p = 0; p < kBlockPixels; ++p) block[p] = dcsr_next_pixel(&pixels);
    multiply_block(layer, block, output);
    output += (size_t)kBlockPixels * layer->rows;
    left -= kBlockPixels;
  }
  for (; left > 0; --left) {
    dcsr_dense_fully_connected_mve(layer, 1, dcsr_next_pixel(&pixels), output);
    output += layer->rows;
  }
}

#endif  // DCSR_HAS_MVE
