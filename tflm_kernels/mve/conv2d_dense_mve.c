// Convolution with a small filter and dense weights with MVE (Cortex-M55, M85): the first layer of
// most networks, whose images have one or a few channels.
//
// Input:   [batches, input_height, input_width, channels], int8.
// Output:  [batches, output_height, output_width, rows], int8.
// Scratch: the patches of a tile, and sums of four rows (plan_conv2d_dense_mve.h).
// Cycles:  docs/kernels.md#small-dense-filters-with-mve.
//
// Copies the patches of a tile of output pixels to scratch, each to one, two or three vectors. The
// weights of two rows stay in registers while all patches of the tile pass by: a load for two
// VMLADAVA, each of which adds 16 products. Sums of four rows are requantized together.
//
// Weights behind a row are loaded as zeros, so the bytes behind a patch do not matter. Taps outside
// of the image are the input zero point, which the folded bias subtracts.

#include "tflm_kernels/mve/conv2d_dense_mve.h"

#include "tflm_kernels/common/compiler.h"
#include "tflm_kernels/common/patches.h"
#include "tflm_kernels/common/pixels.h"
#include "tflm_kernels/mve/mve.h"
#include "tflm_kernels/mve/requantize_mve.h"
#include "tflm_kernels/planning/plan_conv2d_dense_mve.h"

#if DCSR_HAS_MVE

#include <arm_mve.h>

enum { kVector = kDcsrDenseMveVector, kRows = kDcsrDenseMveRows };

// Loads vector `v` of the weights of a row. Lanes behind the row are 0.
static inline int8x16_t weights_of(const int8_t* row, uint32_t cols, uint32_t v) {
  return vldrbq_z_s8(row + v * kVector, vctp8q(cols - v * kVector));
}

// Part of the loop below: a vector of a patch times those of both rows. VMLADAV begins a sum,
// VMLADAVA continues it. `between` and `after` load or store.
#define DCSR_DENSE_PRODUCTS(a, accumulate, sum0, sum1, v, between, after)                   \
  "vmladav" accumulate ".s8 " sum0 ", %q[w" v "], %q[" a "]\n" between "vmladav" accumulate \
  ".s8 " sum1 ", %q[u" v "], %q[" a "]\n" after
#define DCSR_DENSE_LOAD(a) "vldrb.8 %q[" a "], [%[patch]], #16\n"
#define DCSR_DENSE_STORE0 "strd r4, r6, [%[sums0]], #8\n"
#define DCSR_DENSE_STORE1 "strd r8, r10, [%[sums1]], #8\n"

// A loop over pairs of pixels. Sums: r4, r6 of the first row, r8, r10 of the second one.
//
// A multiplication of vectors takes its pipe for two cycles. Loads and stores run beside them, so
// that the loop takes two cycles for each multiplication. Sums of the second row are stored in the
// next iteration; the first one stores the two words before them as they are. The last iteration
// loads a vector behind the patches.
#define DCSR_DENSE_LOOP(body) \
  __asm__ volatile(DCSR_DENSE_LOAD("a")                                                      \
                   "ldrd r8, r10, [%[sums1]]\n"                                              \
                   "dls lr, %[pairs]\n"                                                      \
                   ".p2align 2\n"                                                            \
                   "1:\n" body                                                               \
                   "le lr, 1b\n"                                                             \
                   DCSR_DENSE_STORE1                                                         \
                   : [patch] "+r"(patch), [sums0] "+r"(sums0), [sums1] "+r"(sums1),          \
                     [a] "=&w"(a), [b] "=&w"(b)                                              \
                   : [pairs] "r"(pairs), [w0] "w"(w0), [w1] "w"(w1), [w2] "w"(w2),           \
                     [u0] "w"(u0), [u1] "w"(u1), [u2] "w"(u2)                                \
                   : "r4", "r6", "r8", "r10", "lr", "memory")

// Multiplies `pairs` times two patches of `pitch` bytes with the weights of two rows.
static void multiply(const DcsrLayer* layer, uint32_t row, const int8_t* patch, size_t pitch,
                     size_t pairs, int32_t* sums0, int32_t* sums1) {
  int8x16_t a;
  int8x16_t b;
  int8x16_t w1 = vuninitializedq_s8();
  int8x16_t w2 = vuninitializedq_s8();
  int8x16_t u1 = vuninitializedq_s8();
  int8x16_t u2 = vuninitializedq_s8();
  const uint32_t cols = layer->cols;
  const uint32_t last = layer->rows - 1;
  // Sums of rows behind the last one are not used.
  const int8_t* const w = layer->values + (row < last ? row : last) * cols;
  const int8_t* const u = row < last ? w + cols : w;
  const int8x16_t w0 = weights_of(w, cols, 0);
  const int8x16_t u0 = weights_of(u, cols, 0);
  sums1 -= 2;
  if (pitch == kVector) {
    DCSR_DENSE_LOOP(
        DCSR_DENSE_PRODUCTS("a", "", "r4", "r8", "0", DCSR_DENSE_STORE1, DCSR_DENSE_LOAD("b"))
            DCSR_DENSE_PRODUCTS("b", "", "r6", "r10", "0", DCSR_DENSE_LOAD("a"),
                                DCSR_DENSE_STORE0));
    return;
  }
  w1 = weights_of(w, cols, 1);
  u1 = weights_of(u, cols, 1);
  if (pitch == 2 * kVector) {
    DCSR_DENSE_LOOP(
        DCSR_DENSE_PRODUCTS("a", "", "r4", "r8", "0", DCSR_DENSE_STORE1, DCSR_DENSE_LOAD("b"))
            DCSR_DENSE_PRODUCTS("b", "a", "r4", "r8", "1", DCSR_DENSE_LOAD("a"), "")
                DCSR_DENSE_PRODUCTS("a", "", "r6", "r10", "0", DCSR_DENSE_LOAD("b"), "")
                    DCSR_DENSE_PRODUCTS("b", "a", "r6", "r10", "1", DCSR_DENSE_LOAD("a"),
                                        DCSR_DENSE_STORE0));
    return;
  }
  w2 = weights_of(w, cols, 2);
  u2 = weights_of(u, cols, 2);
  DCSR_DENSE_LOOP(
      DCSR_DENSE_PRODUCTS("a", "", "r4", "r8", "0", DCSR_DENSE_STORE1, DCSR_DENSE_LOAD("b"))
          DCSR_DENSE_PRODUCTS("b", "a", "r4", "r8", "1", DCSR_DENSE_LOAD("a"), "")
              DCSR_DENSE_PRODUCTS("a", "a", "r4", "r8", "2", DCSR_DENSE_LOAD("b"), "")
                  DCSR_DENSE_PRODUCTS("b", "", "r6", "r10", "0", DCSR_DENSE_LOAD("a"), "")
                      DCSR_DENSE_PRODUCTS("a", "a", "r6", "r10", "1", DCSR_DENSE_LOAD("b"), "")
                          DCSR_DENSE_PRODUCTS("b", "a", "r6", "r10", "2", DCSR_DENSE_LOAD("a"),
                                              DCSR_DENSE_STORE0));
}

// If `count` is odd, the last pair of pixels overlaps the one before.
void dcsr_multiply_patches_mve(const DcsrLayer* layer, uint32_t row, const int8_t* patches,
                               size_t pitch, size_t count, int32_t* sums) {
  multiply(layer, row, patches, pitch, count / 2, sums, sums + count);
  if (count % 2 == 0) return;
  const size_t last = count - 2;
  multiply(layer, row, patches + last * pitch, pitch, 1, sums + last, sums + count + last);
}

void dcsr_conv2d_dense_mve(const DcsrPlan* plan, const DcsrLayer* layer, const DcsrConvShape* shape,
                           const void* input_data, void* output_data, void* scratch) {
  int8_t* output = (int8_t*)output_data;
  int8_t* patches = (int8_t*)scratch;
  const size_t pitch = dcsr_conv2d_dense_mve_pitch(layer->cols);
  int32_t* sums = (int32_t*)(void*)(patches + plan->tile_pixels * pitch);
  DcsrPatches cursor = dcsr_patches(layer, shape, input_data);
  size_t left = dcsr_pixel_count(shape);
  while (left > 0) {
    const size_t count = left < plan->tile_pixels ? left : plan->tile_pixels;
    for (size_t p = 0; p < count; ++p) {
      const DcsrPatch patch = dcsr_next_patch(&cursor);
      dcsr_copy_patch(layer, shape, &patch, pitch, patches + p * pitch);
    }
    for (uint32_t row = 0; row < layer->rows; row += kRows) {
      const uint32_t rows = layer->rows - row < kRows ? layer->rows - row : kRows;
      dcsr_multiply_patches_mve(layer, row, patches, pitch, count, sums);
      dcsr_multiply_patches_mve(layer, row + 2, patches, pitch, count, sums + 2 * count);
      dcsr_requantize_rows_mve(layer, row, rows, sums, (uint32_t)count, output + row);
    }
    output += count * layer->rows;
    left -= count;
  }
}

#endif  // DCSR_HAS_MVE
