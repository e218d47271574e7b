// Requantizes four rows at a time on cores with MVE, with the results of dcsr_requantize().
// docs/format.md#arithmetic.

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

// The scales of four rows, one per lane.
typedef struct {
  int32x4_t bias;
  int32x4_t multiplier;
  int32x4_t left;   // max(shift, 0)
  int32x4_t right;  // min(shift, 0)
  bool only_right;  // every shift is below 0
} DcsrRowScales;

// Loads the scales of rows from `row` on. Lanes not in `lanes` have no row.
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

// Adds the bias and scales. The caller adds the zero point and clamps.
static inline int32x4_t dcsr_scale_rows_mve(const DcsrRowScales* scales, bool only_right,
                                            int32x4_t sum) {
  int32x4_t scaled = vaddq_s32(sum, scales->bias);
  if (!only_right) scaled = vshlq_s32(scaled, scales->left);
  // VQRDMULH doubles, multiplies, rounds and takes the upper half, which is h of the arithmetic.
  // Multipliers are not negative, so it never saturates.
  scaled = vqrdmulhq_s32(scaled, scales->multiplier);
  // VRSHL rounds halves up. Halves of negative numbers have to round away from zero, so 1 is
  // subtracted first, unless there is no shift to the right.
  const int32x4_t sign = only_right ? scaled : vandq_s32(scaled, scales->right);
  return vrshlq_s32(vaddq_s32(scaled, vshrq_n_s32(sign, 31)), scales->right);
}

// Requantizes the rows of `lanes`, up to four, for `pixels` pixels. `only_right` is a constant of
// each caller, so that it compiles to two loops.
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

// Writes the outputs of `count` rows from `row` on, for `pixels` pixels. `sums` is [rows][pixels]
// without bias, and has room for `count` rounded up to 4. `output` points to the output of the
// first row and pixel; pixels are layer->rows apart.
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
