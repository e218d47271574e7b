// Requantisation of four rows at a time on cores with MVE (Helium): what dcsr_requantize()
// computes. docs/format.md#arithmetic.

#ifndef DCSR_TFLM_KERNELS_REQUANTIZE_MVE_H_
#define DCSR_TFLM_KERNELS_REQUANTIZE_MVE_H_

#if defined(__ARM_FEATURE_MVE)

#include <arm_mve.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tflm_kernels/packed_layer.h"

#ifdef __cplusplus
extern "C" {
#endif

// Of four rows, a lane each.
typedef struct {
  int32x4_t bias;
  int32x4_t multiplier;
  int32x4_t left;   // shift, 0 or above
  int32x4_t right;  // shift, 0 or below
  bool only_right;  // every shift is below 0
} DcsrRowScales;

// Rows from `row` on; lanes that are not in `lanes` have no row.
static inline DcsrRowScales dcsr_row_scales_mve(const DcsrLayer* layer, uint32_t row,
                                                mve_pred16_t lanes) {
  DcsrRowScales scales;
  int32x4_t shift;
  scales.bias = vldrwq_z_s32(layer->bias + row, lanes);
  if (layer->requantize_stride != 0) {
    scales.multiplier = vldrwq_z_s32(layer->multiplier + row, lanes);
    shift = vldrbq_z_s32(layer->shift + row, lanes);
  } else {
    scales.multiplier = vdupq_n_s32(layer->multiplier[0]);
    shift = vdupq_n_s32(layer->shift[0]);
  }
  const int32x4_t zero = vdupq_n_s32(0);
  scales.left = vmaxq_s32(shift, zero);
  scales.right = vminq_s32(shift, zero);
  scales.only_right = vmaxvq_p_s32(INT8_MIN, shift, lanes) < 0;
  return scales;
}

// The bias is added here. Before the zero point is added and the output clamped.
static inline int32x4_t dcsr_scale_rows_mve(const DcsrRowScales* scales, int32x4_t sum) {
  int32x4_t scaled = vaddq_s32(sum, scales->bias);
  if (scales->only_right) {
    // It doubles, multiplies, rounds and takes the upper half: as h of the arithmetic. Multipliers
    // are not negative, so it never saturates.
    scaled = vqrdmulhq_s32(scaled, scales->multiplier);
    // Halves are rounded up; negative ones have to go away from zero.
    scaled = vaddq_s32(scaled, vshrq_n_s32(scaled, 31));
  } else {
    scaled = vqrdmulhq_s32(vshlq_s32(scaled, scales->left), scales->multiplier);
    scaled = vaddq_s32(scaled, vshrq_n_s32(vandq_s32(scaled, scales->right), 31));
  }
  return vrshlq_s32(scaled, scales->right);
}

// Outputs of `count` rows from `row` on, for `pixels` pixels. sums [at least count rounded up to
// 4][pixels], without bias; `output` is that of the first row and pixel, pixels are layer->rows
// apart.
static inline void dcsr_requantize_rows_mve(const DcsrLayer* layer, uint32_t row, uint32_t count,
                                            const int32_t* sums, uint32_t pixels, int8_t* output) {
  const uint32x4_t row_offset = vmulq_n_u32(vidupq_n_u32(0, 1), pixels);
  const int32x4_t zero_point = vdupq_n_s32(layer->output_zero_point);
  const int32x4_t min = vdupq_n_s32(layer->activation_min);
  const int32x4_t max = vdupq_n_s32(layer->activation_max);
  for (uint32_t r = 0; r < count; r += 4) {
    const mve_pred16_t lanes = vctp32q(count - r);
    const DcsrRowScales scales = dcsr_row_scales_mve(layer, row + r, lanes);
    int8_t* out = output + r;
    for (uint32_t p = 0; p < pixels; ++p) {
      const int32x4_t sum = vldrwq_gather_shifted_offset_s32(sums + p, row_offset);
      int32x4_t result = vaddq_s32(dcsr_scale_rows_mve(&scales, sum), zero_point);
      result = vminq_s32(vmaxq_s32(result, min), max);
      vstrbq_p_s32(out, result, lanes);
      out += layer->rows;
    }
    sums += 4 * pixels;
  }
}

#ifdef __cplusplus
}
#endif

#endif  // __ARM_FEATURE_MVE

#endif  // DCSR_TFLM_KERNELS_REQUANTIZE_MVE_H_
