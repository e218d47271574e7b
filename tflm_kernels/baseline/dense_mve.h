// Helpers of the dense kernels with MVE: four dot products at a time, and requantization of four
// rows at a time. Empty for other targets.

#ifndef DCSR_TFLM_KERNELS_BASELINE_DENSE_MVE_H_
#define DCSR_TFLM_KERNELS_BASELINE_DENSE_MVE_H_

#include "tflm_kernels/common/compiler.h"

#if DCSR_HAS_MVE

#include <arm_mve.h>
#include <stdint.h>

#include "tflm_kernels/packed_layer.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { kDcsrDenseMveLanes = 4 };

typedef struct {
  int32_t sum0, sum1, sum2, sum3;
} DcsrDenseMveSums;

// Returns the dot products of `vector` with each of `others`, modulo 2^32. All have `length` > 0
// elements and any alignment.
static inline DcsrDenseMveSums dcsr_dense_mve_multiply(
    const int8_t* vector, const int8_t* const others[kDcsrDenseMveLanes], uint32_t length) {
  const int8_t* other0 = others[0];
  const int8_t* other1 = others[1];
  const int8_t* other2 = others[2];
  const int8_t* other3 = others[3];
  DcsrDenseMveSums sums = {0, 0, 0, 0};
  // In assembly, as GCC 12 does not generate loops with tail predication. The last 1 to 16 elements
  // are predicated: nothing past them is read. Te: VMLADAVA adds to even registers.
  __asm__ volatile(
      "dlstp.8 lr, %[length]\n"
      ".p2align 2\n"
      "1:\n"
      "vldrb.8 q0, [%[vector]], #16\n"
      "vldrb.8 q1, [%[other0]], #16\n"
      "vmladava.s8 %[sum0], q0, q1\n"
      "vldrb.8 q1, [%[other1]], #16\n"
      "vmladava.s8 %[sum1], q0, q1\n"
      "vldrb.8 q1, [%[other2]], #16\n"
      "vmladava.s8 %[sum2], q0, q1\n"
      "vldrb.8 q1, [%[other3]], #16\n"
      "vmladava.s8 %[sum3], q0, q1\n"
      "letp lr, 1b\n"
      : [sum0] "+Te"(sums.sum0), [sum1] "+Te"(sums.sum1), [sum2] "+Te"(sums.sum2),
        [sum3] "+Te"(sums.sum3), [vector] "+r"(vector), [other0] "+r"(other0),
        [other1] "+r"(other1), [other2] "+r"(other2), [other3] "+r"(other3)
      : [length] "r"(length)
      : "lr", "q0", "q1", "memory");
  return sums;
}

// The parameters of dcsr_requantize() for four rows.
typedef struct {
  int32x4_t bias;
  int32x4_t multiplier;
  int32x4_t left;   // shift, if positive
  int32x4_t right;  // shift, if negative
} DcsrDenseMveRows;

// Loads the parameters of rows `row` to `row` + 3.
static inline DcsrDenseMveRows dcsr_dense_mve_rows(const DcsrLayer* layer, uint32_t row) {
  DcsrDenseMveRows rows;
  int32x4_t shift;
  rows.bias = vld1q_s32(layer->bias + row);
  if (layer->requantize_stride != 0) {
    rows.multiplier = vld1q_s32(layer->multiplier + row);
    shift = vldrbq_s32(layer->shift + row);
  } else {
    rows.multiplier = vdupq_n_s32(layer->multiplier[0]);
    shift = vdupq_n_s32(layer->shift[0]);
  }
  const int32x4_t zero = vdupq_n_s32(0);
  rows.left = vmaxq_s32(shift, zero);
  rows.right = vminq_s32(shift, zero);
  return rows;
}

// dcsr_requantize() of four rows, for any sums without bias and any shifts.
static inline void dcsr_dense_mve_requantize(const DcsrLayer* layer, const DcsrDenseMveRows* rows,
                                             int32x4_t sums, int8_t* output) {
  const int32x4_t shifted = vshlq_s32(vaddq_s32(sums, rows->bias), rows->left);
  // Saturates only for -2^31 times -2^31, and no multiplier is negative.
  const int32x4_t high = vqrdmulhq_s32(shifted, rows->multiplier);
  // VRSHL rounds halves up. Halves of negative numbers round down if 1 is subtracted first. The
  // subtraction saturates, which is correct: the lowest number is not a half. Without a shift to
  // the right nothing is subtracted.
  const int32x4_t nudge = vshrq_n_s32(vandq_s32(high, rows->right), 31);
  const int32x4_t scaled = vrshlq_s32(vqaddq_s32(high, nudge), rows->right);
  int32x4_t out = vaddq_n_s32(scaled, layer->output_zero_point);
  out = vmaxq_s32(out, vdupq_n_s32(layer->activation_min));
  out = vminq_s32(out, vdupq_n_s32(layer->activation_max));
  vstrbq_s32(output, out);
}

#ifdef __cplusplus
}
#endif

#endif  // DCSR_HAS_MVE

#endif  // DCSR_TFLM_KERNELS_BASELINE_DENSE_MVE_H_
