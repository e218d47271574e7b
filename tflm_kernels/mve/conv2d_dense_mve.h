// What conv2d_dense_mve and conv2d_dense_planes_mve share: patches in scratch, and their products.

#ifndef DCSR_TFLM_KERNELS_MVE_CONV2D_DENSE_MVE_H_
#define DCSR_TFLM_KERNELS_MVE_CONV2D_DENSE_MVE_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tflm_kernels/common/compiler.h"
#include "tflm_kernels/common/patches.h"
#include "tflm_kernels/kernels.h"
#include "tflm_kernels/packed_layer.h"
#include "tflm_kernels/planning/plan_conv2d_dense_mve.h"

#if DCSR_HAS_MVE
#include <arm_mve.h>
#endif

#ifdef __cplusplus
extern "C" {
#endif

// Computes sums of rows `row` and `row` + 1 for `count` >= 2 patches, without bias. `sums`: int32
// [2][count]. Sums of rows behind the last one are unspecified.
void dcsr_multiply_patches_mve(const DcsrLayer* layer, uint32_t row, const int8_t* patches,
                               size_t pitch, size_t count, int32_t* sums);

#if DCSR_HAS_MVE

// Copies `count` rows of up to 16 bytes, the lanes of `lanes`.
static inline void dcsr_copy_patch_rows(const int8_t* from, size_t step, int8_t* to, size_t to_step,
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
DCSR_NOINLINE static void dcsr_copy_patch_taps(const DcsrLayer* layer, const DcsrConvShape* shape,
                                               const DcsrPatch* patch, int32_t x, int32_t taps,
                                               int8_t* out) {
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
  for (int32_t left = (end - first) * channels; left > 0; left -= kDcsrDenseMveVector) {
    dcsr_copy_patch_rows(from, (size_t)(row_bytes * dilation), out, (size_t)out_step, rows,
                         vctp8q((uint32_t)left));
    from += kDcsrDenseMveVector;
    out += kDcsrDenseMveVector;
  }
}

// Whether a filter without gaps between its columns lies within the image.
static inline bool dcsr_patch_is_inside(const DcsrLayer* layer, const DcsrConvShape* shape,
                                        const DcsrPatch* patch) {
  const uint32_t extent = (layer->filter_h - 1) * layer->dilation_h + 1;
  const uint32_t height = (uint32_t)shape->input_height;
  const uint32_t width = (uint32_t)shape->input_width;
  return (layer->dilation_w == 1 || layer->filter_w == 1) && extent <= height &&
         patch->y <= height - extent && layer->filter_w <= width &&
         patch->x <= width - layer->filter_w;
}

// Copies a patch to `out`, `pitch` bytes. Taps outside of the image are the input zero point; bytes
// behind the taps are unspecified.
static inline void dcsr_copy_patch(const DcsrLayer* layer, const DcsrConvShape* shape,
                                   const DcsrPatch* patch, size_t pitch, int8_t* out) {
  if (dcsr_patch_is_inside(layer, shape, patch)) {
    const uint32_t channels = layer->channels;
    const size_t row_bytes = (size_t)shape->input_width * channels;
    const int8_t* from = (const int8_t*)patch->image + patch->y * row_bytes + patch->x * channels;
    const uint32_t out_step = layer->filter_w * channels;
    for (uint32_t i = 0; i < out_step; i += kDcsrDenseMveVector) {
      dcsr_copy_patch_rows(from + i, row_bytes * layer->dilation_h, out + i, out_step,
                           layer->filter_h, vctp8q(out_step - i));
    }
    return;
  }
  const int8x16_t zero_point = vdupq_n_s8((int8_t)layer->input_zero_point);
  for (size_t i = 0; i < pitch; i += kDcsrDenseMveVector) vstrbq_s8(out + i, zero_point);
  const int32_t x = (int32_t)patch->x;
  if (layer->dilation_w == 1) {
    dcsr_copy_patch_taps(layer, shape, patch, x, (int32_t)layer->filter_w, out);
    return;
  }
  for (uint32_t f = 0; f < layer->filter_w; ++f) {
    dcsr_copy_patch_taps(layer, shape, patch, x + (int32_t)(f * layer->dilation_w), 1,
                         out + f * layer->channels);
  }
}

#endif  // DCSR_HAS_MVE

#ifdef __cplusplus
}
#endif

#endif  // DCSR_TFLM_KERNELS_MVE_CONV2D_DENSE_MVE_H_
