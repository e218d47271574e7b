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

// Copies `count` rows of up to 16 bytes, the lanes of `lanes`.
static inline void copy_rows(const int8_t* from, size_t step, int8_t* to, size_t to_step,
                             uint32_t count, mve_pred16_t lanes) {
  int8x16_t row;
  __asm__ volatile(
      "vmsr p0, %[lanes]\n"
      "wls lr, %[count], 2f\n"
      ".p2align 2\n"
      "1:\n"
      "vpstt\n"
      "vldrbt.8 %q[row], [%[from]]\n"
      "vstrbt.8 %q[row], [%[to]]\n"
      "add %[from], %[from], %[step]\n"
      "add %[to], %[to], %[to_step]\n"
      "le lr, 1b\n"
      "2:\n"
      : [row] "=&w"(row), [from] "+l"(from), [to] "+l"(to)
      : [lanes] "r"((uint32_t)lanes), [count] "r"(count), [step] "r"(step), [to_step] "r"(to_step)
      : "lr", "p0", "memory");
}

// Copies `taps` taps of each row of the filter, which are adjacent pixels from column `x` of the
// image on, as far as they lie within the image. `out` is the place of the first tap.
static void copy_taps(const DcsrLayer* layer, const DcsrConvShape* shape, const DcsrPatch* patch,
                      int32_t x, int32_t taps, int8_t* out) {
  const int32_t channels = (int32_t)layer->channels;
  const int32_t dilation = (int32_t)layer->dilation_h;
  const int32_t first = x < 0 ? -x : 0;
  const int32_t end = shape->input_width - x < taps ? shape->input_width - x : taps;
  const int32_t row_bytes = shape->input_width * channels;
  const int32_t out_step = (int32_t)layer->filter_w * channels;
  out += first * channels;
  // Rows of the filter within the image.
  int32_t y = (int32_t)patch->y;
  uint32_t rows = layer->filter_h;
  for (; rows > 0 && y < 0; --rows) {
    y += dilation;
    out += out_step;
  }
  for (int32_t last = y + ((int32_t)rows - 1) * dilation; rows > 0 && last >= shape->input_height;
       --rows) {
    last -= dilation;
  }
  const int8_t* from = (const int8_t*)patch->image + y * row_bytes + (x + first) * channels;
  for (int32_t left = (end - first) * channels; left > 0; left -= kVector) {
    copy_rows(from, (size_t)(row_bytes * dilation), out, (size_t)out_step, rows,
              vctp8q((uint32_t)left));
    from += kVector;
    out += kVector;
  }
}

void dcsr_copy_patch_mve(const DcsrLayer* layer, const DcsrConvShape* shape, const DcsrPatch* patch,
                         size_t pitch, int8_t* out) {
  const int8x16_t zero_point = vdupq_n_s8((int8_t)layer->input_zero_point);
  for (size_t i = 0; i < pitch; i += kVector) vstrbq_s8(out + i, zero_point);
  const int32_t x = (int32_t)patch->x;
  if (layer->dilation_w == 1) {
    copy_taps(layer, shape, patch, x, (int32_t)layer->filter_w, out);
    return;
  }
  for (uint32_t f = 0; f < layer->filter_w; ++f) {
    copy_taps(layer, shape, patch, x + (int32_t)(f * layer->dilation_w), 1,
              out + f * layer->channels);
  }
}

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

// Multiplies `pairs` times two patches of `pitch` bytes with the weights `w` and `u` of two rows.
static void multiply(const int8_t* w, const int8_t* u, uint32_t cols, const int8_t* patch,
                     size_t pitch, size_t pairs, int32_t* sums0, int32_t* sums1) {
  int8x16_t a;
  int8x16_t b;
  int8x16_t w1 = vuninitializedq_s8();
  int8x16_t w2 = vuninitializedq_s8();
  int8x16_t u1 = vuninitializedq_s8();
  int8x16_t u2 = vuninitializedq_s8();
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

// Computes the sums of two rows. If `count` is odd, the last pair of pixels overlaps the one
// before.
static void multiply_two_rows(const int8_t* w, const int8_t* u, uint32_t cols,
                              const int8_t* patches, size_t pitch, size_t count, int32_t* sums) {
  multiply(w, u, cols, patches, pitch, count / 2, sums, sums + count);
  if (count % 2 == 0) return;
  const size_t last = count - 2;
  multiply(w, u, cols, patches + last * pitch, pitch, 1, sums + last, sums + count + last);
}

void dcsr_multiply_patches_mve(const int8_t* weights, uint32_t rows, uint32_t cols,
                               const int8_t* patches, size_t pitch, size_t count, int32_t* sums) {
  // Sums of rows behind the last one are not used.
  const uint32_t last = rows - 1;
  for (uint32_t row = 0; row < kRows; row += 2) {
    const int8_t* const w = weights + (row < last ? row : last) * cols;
    const int8_t* const u = row < last ? w + cols : w;
    multiply_two_rows(w, u, cols, patches, pitch, count, sums + row * count);
  }
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
      dcsr_copy_patch_mve(layer, shape, &patch, pitch, patches + p * pitch);
    }
    for (uint32_t row = 0; row < layer->rows; row += kRows) {
      const uint32_t rows = layer->rows - row < kRows ? layer->rows - row : kRows;
      dcsr_multiply_patches_mve(layer->values + row * layer->cols, rows, layer->cols, patches,
                                pitch, count, sums);
      dcsr_requantize_rows_mve(layer, row, rows, sums, (uint32_t)count, output + row);
    }
    output += count * layer->rows;
    left -= count;
  }
}

#endif  // DCSR_HAS_MVE
