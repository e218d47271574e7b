// Dense 1x1 convolution with MVE (Cortex-M55, M85), as in CMSIS-NN.
//
// Input:   [batches, input_height, input_width, cols], int8.
// Output:  [batches, output_height, output_width, rows], int8.
// Scratch: none.
// Cycles:  docs/kernels.md#dense-to-compare-with.
//
// Two rows are multiplied with two pixels, 16 columns in a vector: four loads for four
// multiplications, which alternate, so that 64 products take 8 cycles. Blocks have four rows, which
// are requantized together, and four pixels; the last four rows may overlap with the previous ones.
// The last one to three pixels of a map, and layers with less than four rows, are computed as a
// fully connected layer.

#include "tflm_kernels/baseline/dense_conv1x1_mve.h"

#include "tflm_kernels/common/compiler.h"

#if DCSR_HAS_MVE

#include <stddef.h>
#include <stdint.h>

#include "tflm_kernels/baseline/dense_fully_connected_mve.h"
#include "tflm_kernels/baseline/dense_mve.h"
#include "tflm_kernels/common/pixels.h"

enum { kBlockPixels = kDcsrDenseMveLanes };

_Static_assert(kDcsrDenseMveLanes == 4, "multiply_rows");

// Two rows of weights. r1, r3 rows, r5, r7 pixels, r0, r2, r4, r6 sums (VMLADAVA adds to even
// registers), r8 vectors behind which another whole one follows. Their weights are loaded a vector
// ahead, so that loads (L) and multiplications (M) alternate. The others follow in a loop with tail
// predication, which reads nothing past the columns: r9 is their number.
#define DCSR_MULTIPLY_TWO_ROWS       \
  "movs r0, #0\n"                    \
  "movs r2, #0\n"                    \
  "movs r4, #0\n"                    \
  "movs r6, #0\n"                    \
  "wls lr, r8, 2f\n"                 \
  "vldrb.8 q0, [r1], #16\n"          \
  ".p2align 2\n"                     \
  "1:\n"                             \
  "vldrb.8 q1, [r5], #16\n"  /* L */ \
  "vmladava.s8 r0, q0, q1\n" /* M */ \
  "vldrb.8 q2, [r3], #16\n"  /* L */ \
  "vmladava.s8 r2, q2, q1\n" /* M */ \
  "vldrb.8 q3, [r7], #16\n"  /* L */ \
  "vmladava.s8 r4, q0, q3\n" /* M */ \
  "vldrb.8 q0, [r1], #16\n"  /* L */ \
  "vmladava.s8 r6, q2, q3\n" /* M */ \
  "le lr, 1b\n"                      \
  "sub r1, r1, #16\n"                \
  "2:\n"                             \
  "dlstp.8 lr, r9\n"                 \
  ".p2align 2\n"                     \
  "3:\n"                             \
  "vldrb.8 q0, [r1], #16\n"          \
  "vldrb.8 q1, [r5], #16\n"          \
  "vmladava.s8 r0, q0, q1\n"         \
  "vldrb.8 q2, [r3], #16\n"          \
  "vmladava.s8 r2, q2, q1\n"         \
  "vldrb.8 q3, [r7], #16\n"          \
  "vmladava.s8 r4, q0, q3\n"         \
  "vmladava.s8 r6, q2, q3\n"         \
  "letp lr, 3b\n"

// Writes sums[pixel][row] of four rows and two pixels. `cols` > 0. A naked function: its parameters
// are in r0 to r3 and on the stack.
__attribute__((naked)) static void multiply_rows(const int8_t* weights __attribute__((unused)),
                                                 const int8_t* pixel0 __attribute__((unused)),
                                                 const int8_t* pixel1 __attribute__((unused)),
                                                 uint32_t cols __attribute__((unused)),
                                                 int32_t* sums __attribute__((unused))) {
  __asm__ volatile(
      "push {r4, r5, r6, r7, r8, r9, r10, r11, lr}\n"
      "mov r5, r1\n"
      "mov r7, r2\n"
      "push {r1, r2}\n"
      "mov r1, r0\n"
      "mov r10, r3\n"
      "add r11, r0, r3, lsl #1\n"
      "adds r3, r3, r0\n"
      "lsr r8, r10, #4\n"
      "cmp r8, #0\n"
      "it ne\n"
      "subne r8, r8, #1\n"
      "sub r9, r10, r8, lsl #4\n"
      "ldr r12, [sp, #44]\n" DCSR_MULTIPLY_TWO_ROWS
      "strd r0, r2, [r12]\n"
      "strd r4, r6, [r12, #16]\n"
      "ldrd r5, r7, [sp]\n"
      "mov r1, r11\n"
      "add r3, r11, r10\n" DCSR_MULTIPLY_TWO_ROWS
      "strd r0, r2, [r12, #8]\n"
      "strd r4, r6, [r12, #24]\n"
      "add sp, sp, #8\n"
      "pop {r4, r5, r6, r7, r8, r9, r10, r11, pc}\n");
}

static void multiply_block(const DcsrLayer* layer, const int8_t* const pixels[kBlockPixels],
                           int8_t* output) {
  const uint32_t rows = layer->rows;
  const uint32_t cols = layer->cols;
  const uint32_t last = rows - kDcsrDenseMveLanes;
  int32_t sums[kBlockPixels * kDcsrDenseMveLanes];
  for (uint32_t row = 0;; row += kDcsrDenseMveLanes) {
    if (row > last) row = last;
    const int8_t* weights = layer->values + (size_t)row * cols;
    multiply_rows(weights, pixels[0], pixels[1], cols, sums);
    multiply_rows(weights, pixels[2], pixels[3], cols, sums + 2 * kDcsrDenseMveLanes);
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
