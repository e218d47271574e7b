// Requantisation of four rows at a time on cores with MVE (Helium): what dcsr_requantize()
// computes. docs/format.md#arithmetic.

#ifndef DCSR_TFLM_KERNELS_MVE_REQUANTIZE_MVE_H_
#define DCSR_TFLM_KERNELS_MVE_REQUANTIZE_MVE_H_

#include "tflm_kernels/common/compiler.h"

#if DCSR_HAS_MVE

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
static inline int32x4_t dcsr_scale_rows_mve(const DcsrRowScales* scales, bool only_right,
                                            int32x4_t sum) {
  int32x4_t scaled = vaddq_s32(sum, scales->bias);
  if (!only_right) scaled = vshlq_s32(scaled, scales->left);
  // It doubles, multiplies, rounds and takes the upper half: as h of the arithmetic. Multipliers
  // are not negative, so it never saturates.
  scaled = vqrdmulhq_s32(scaled, scales->multiplier);
  // Halves are rounded up; negative ones have to go away from zero, unless there is no shift.
  const int32x4_t sign = only_right ? scaled : vandq_s32(scaled, scales->right);
  return vrshlq_s32(vaddq_s32(scaled, vshrq_n_s32(sign, 31)), scales->right);
}

// Four rows or those of `lanes`, for `pixels` pixels. Two loops come of it.
static inline void dcsr_requantize_four_rows_mve(const DcsrLayer* layer,
                                                 const DcsrRowScales* row_scales, bool only_right,
                                                 mve_pred16_t lanes, const int32_t* sums,
                                                 uint32_t pixels, int8_t* output) {
  const DcsrRowScales scales = *row_scales;
  const uint32x4_t row_offset = vmulq_n_u32(vidupq_n_u32(0, 1), pixels);
  const int32_t zero_point = layer->output_zero_point;
  const int32x4_t min = vdupq_n_s32(layer->activation_min);
  const int32x4_t max = vdupq_n_s32(layer->activation_max);
  const size_t rows = layer->rows;
  for (const int32_t* end = sums + pixels; sums != end; ++sums) {
    const int32x4_t sum = vldrwq_gather_shifted_offset_s32(sums, row_offset);
    int32x4_t result = vaddq_n_s32(dcsr_scale_rows_mve(&scales, only_right, sum), zero_point);
    result = vminq_s32(vmaxq_s32(result, min), max);
    vstrbq_p_s32(output, result, lanes);
    output += rows;
  }
}

// Outputs of `count` rows from `row` on, for `pixels` pixels. sums [at least count rounded up to
// 4][pixels], without bias; `output` is that of the first row and pixel, pixels are layer->rows
// apart.
static inline void dcsr_requantize_rows_mve(const DcsrLayer* layer, uint32_t row, uint32_t count,
                                            const int32_t* sums, uint32_t pixels, int8_t* output) {
  for (uint32_t r = 0; r < count; r += 4) {
    const mve_pred16_t lanes = vctp32q(count - r);
    const DcsrRowScales scales = dcsr_row_scales_mve(layer, row + r, lanes);
    if (scales.only_right) {
      dcsr_requantize_four_rows_mve(layer, &scales, true, lanes, sums, pixels, output);
    } else {
      dcsr_requantize_four_rows_mve(layer, &scales, false, lanes, sums, pixels, output);
    }
    output += 4;
    sums += 4 * pixels;
  }
}

#ifdef __cplusplus
}
#endif

#endif  // DCSR_HAS_MVE

#endif  // DCSR_TFLM_KERNELS_MVE_REQUANTIZE_MVE_H_
