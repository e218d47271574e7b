// Dense 1x1 convolution with the DSP extension (Cortex-M4, M7, M33), as in CMSIS-NN.
//
// Input:   [batches, input_height, input_width, cols], int8.
// Output:  [batches, output_height, output_width, rows], int8.
// Scratch: two pixels, widened to int16.
// Cycles:  docs/kernels.md#dense-to-compare-with.
//
// Two pixels are widened to int16 once, in the order of SXTB16: x[cols / 4][2 words][2 pixels],
// where word 0 has columns 0 and 2 of four, word 1 columns 1 and 3. Then two rows at a time are
// multiplied: eight SMLAD for sixteen products; the widened weights serve both pixels. The loop is
// in assembly, as GCC keeps neither its sums nor its pointers in registers.

#include "tflm_kernels/baseline/dense_conv1x1_dsp.h"

#include <stdbool.h>
#include <stdint.h>

#include "tflm_kernels/common/compiler.h"
#include "tflm_kernels/common/dsp.h"
#include "tflm_kernels/common/pixels.h"
#include "tflm_kernels/common/row_scale.h"

enum { kQuadWords = 4 };  // words of four columns of two pixels

static uint32_t count_quads(const DcsrLayer* layer) { return (layer->cols + 3) / 4; }

static void widen(const int8_t* pixel, uint32_t cols, uint32_t* x) {
  for (; cols >= 4; cols -= 4) {
    const uint32_t bytes = dcsr_dsp_load(pixel);
    x[0] = dcsr_dsp_even(bytes);
    x[2] = dcsr_dsp_odd(bytes);
    pixel += 4;
    x += kQuadWords;
  }
  if (cols > 0) {
    const uint32_t bytes = dcsr_dsp_load_some(pixel, cols);
    x[0] = dcsr_dsp_even(bytes);
    x[2] = dcsr_dsp_odd(bytes);
  }
}

// Sums of two rows and two pixels: s[row][pixel].
typedef struct {
  uint32_t s00, s01, s10, s11;
} Sums;

static inline void multiply_quad(uint32_t weights0, uint32_t weights1, const uint32_t* x,
                                 Sums* sums) {
  const uint32_t even0 = dcsr_dsp_even(weights0);
  const uint32_t odd0 = dcsr_dsp_odd(weights0);
  const uint32_t even1 = dcsr_dsp_even(weights1);
  const uint32_t odd1 = dcsr_dsp_odd(weights1);
  sums->s00 = dcsr_dsp_smlad(odd0, x[2], dcsr_dsp_smlad(even0, x[0], sums->s00));
  sums->s01 = dcsr_dsp_smlad(odd0, x[3], dcsr_dsp_smlad(even0, x[1], sums->s01));
  sums->s10 = dcsr_dsp_smlad(odd1, x[2], dcsr_dsp_smlad(even1, x[0], sums->s10));
  sums->s11 = dcsr_dsp_smlad(odd1, x[3], dcsr_dsp_smlad(even1, x[1], sums->s11));
}

// Adds the products of `quads` > 0 times four columns.
static inline void multiply_quads(const int8_t* weights0, const int8_t* weights1, const uint32_t* x,
                                  uint32_t quads, Sums* sums) {
#if defined(__ARM_FEATURE_DSP) && defined(__thumb2__)
#define DCSR_QUAD                       \
  "ldr %[w0], [%[weights0]], #4\n"      \
  "ldr %[w1], [%[weights1]], #4\n"      \
  "ldrd %[x0], %[x1], [%[x]], #8\n"     \
  "sxtb16 %[w], %[w0]\n"                \
  "smlad %[s00], %[w], %[x0], %[s00]\n" \
  "smlad %[s01], %[w], %[x1], %[s01]\n" \
  "sxtb16 %[w], %[w1]\n"                \
  "smlad %[s10], %[w], %[x0], %[s10]\n" \
  "smlad %[s11], %[w], %[x1], %[s11]\n" \
  "ldrd %[x0], %[x1], [%[x]], #8\n"     \
  "sxtb16 %[w], %[w0], ror #8\n"        \
  "smlad %[s00], %[w], %[x0], %[s00]\n" \
  "smlad %[s01], %[w], %[x1], %[s01]\n" \
  "sxtb16 %[w], %[w1], ror #8\n"        \
  "smlad %[s10], %[w], %[x0], %[s10]\n" \
  "smlad %[s11], %[w], %[x1], %[s11]\n"
  const uint32_t* const end = x + (size_t)quads * kQuadWords;
  uint32_t w, w0, w1, x0, x1;
  uint32_t s00 = sums->s00, s01 = sums->s01, s10 = sums->s10, s11 = sums->s11;
  if (quads % 2 != 0) {
    __asm__ volatile(DCSR_QUAD
                     : [weights0] "+&r"(weights0), [weights1] "+&r"(weights1), [x] "+&r"(x),
                       [s00] "+&r"(s00), [s01] "+&r"(s01), [s10] "+&r"(s10), [s11] "+&r"(s11),
                       [w] "=&r"(w), [w0] "=&r"(w0), [w1] "=&r"(w1), [x0] "=&r"(x0), [x1] "=&r"(x1)
                     :
                     : "memory");
  }
  if (x != end) {
    __asm__ volatile("1:\n" DCSR_QUAD DCSR_QUAD
                     "cmp %[x], %[end]\n"
                     "bne 1b\n"
                     : [weights0] "+&r"(weights0), [weights1] "+&r"(weights1), [x] "+&r"(x),
                       [s00] "+&r"(s00), [s01] "+&r"(s01), [s10] "+&r"(s10), [s11] "+&r"(s11),
                       [w] "=&r"(w), [w0] "=&r"(w0), [w1] "=&r"(w1), [x0] "=&r"(x0), [x1] "=&r"(x1)
                     : [end] "r"(end)
                     : "cc", "memory");
  }
#undef DCSR_QUAD
  sums->s00 = s00;
  sums->s01 = s01;
  sums->s10 = s10;
  sums->s11 = s11;
#else
  for (; quads > 0; --quads) {
    multiply_quad(dcsr_dsp_load(weights0), dcsr_dsp_load(weights1), x, sums);
    weights0 += 4;
    weights1 += 4;
    x += kQuadWords;
  }
#endif
}

DCSR_NOINLINE static Sums multiply_rows(const int8_t* weights0, const int8_t* weights1,
                                        uint32_t cols, const uint32_t* x) {
  Sums sums = {0, 0, 0, 0};
  const uint32_t quads = cols / 4;
  if (quads > 0) multiply_quads(weights0, weights1, x, quads, &sums);
  if (cols % 4 != 0) {
    multiply_quad(dcsr_dsp_load_some(weights0 + quads * 4, cols % 4),
                  dcsr_dsp_load_some(weights1 + quads * 4, cols % 4),
                  x + (size_t)quads * kQuadWords, &sums);
  }
  return sums;
}

static void multiply_pixels(const DcsrLayer* layer, const uint32_t* x, bool two, int8_t* output) {
  const uint32_t rows = layer->rows;
  const uint32_t cols = layer->cols;
  for (uint32_t row = 0; row < rows; row += 2) {
    const int8_t* weights0 = layer->values + (size_t)row * cols;
    const bool last = row + 1 == rows;
    const int8_t* weights1 = last ? weights0 : weights0 + cols;
    const Sums sums = multiply_rows(weights0, weights1, cols, x);

    const DcsrRowScale scale0 = dcsr_row_scale(layer, row, cols);
    const uint32_t bias0 = (uint32_t)layer->bias[row];
    output[row] = dcsr_scale_any(layer, row, &scale0, sums.s00 + bias0);
    if (two) output[rows + row] = dcsr_scale_any(layer, row, &scale0, sums.s01 + bias0);
    if (last) break;
    const DcsrRowScale scale1 = dcsr_row_scale(layer, row + 1, cols);
    const uint32_t bias1 = (uint32_t)layer->bias[row + 1];
    output[row + 1] = dcsr_scale_any(layer, row + 1, &scale1, sums.s10 + bias1);
    if (two) output[rows + row + 1] = dcsr_scale_any(layer, row + 1, &scale1, sums.s11 + bias1);
  }
}

size_t dcsr_dense_conv1x1_dsp_scratch_bytes(const DcsrLayer* layer) {
  return (size_t)count_quads(layer) * kQuadWords * sizeof(uint32_t);
}

void dcsr_dense_conv1x1_dsp(const DcsrLayer* layer, const DcsrConvShape* shape, const int8_t* input,
                            int8_t* output, void* scratch) {
  uint32_t* x = (uint32_t*)scratch;
  size_t left = dcsr_pixel_count(shape);
  DcsrPixels pixels = dcsr_pixels(layer, shape, input);
  while (left > 0) {
    const bool two = left > 1;
    const int8_t* first = dcsr_next_pixel(&pixels);
    widen(first, layer->cols, x);
    // A single last pixel is used twice, so that nothing uninitialized is read.
    widen(two ? dcsr_next_pixel(&pixels) : first, layer->cols, x + 1);
    multiply_pixels(layer, x, two, output);
    if (!two) break;
    output += 2 * (size_t)layer->rows;
    left -= 2;
  }
}
