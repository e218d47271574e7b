// What planners and estimates know of requantize_plane_mve.

#ifndef DCSR_TFLM_KERNELS_PLANNING_PLAN_REQUANTIZE_PLANE_MVE_H_
#define DCSR_TFLM_KERNELS_PLANNING_PLAN_REQUANTIZE_PLANE_MVE_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tflm_kernels/common/row_tail.h"
#include "tflm_kernels/planning/plan_conv1x1_mve.h"

enum {
  kDcsrRequantizedSums = 16,      // of a step
  kDcsrBehindSums = 32,           // sums that are read behind the last one, at most
  kDcsrMostRequantizedShift = 6,  // to the left
};

static inline size_t dcsr_plane_steps(size_t count) {
  return (count + kDcsrRequantizedSums - 1) / kDcsrRequantizedSums;
}

// Returns 2^(31 - right shift), by which vectors multiply to shift to the right; 2^31 - 1 if there
// is no shift to the right.
static inline int32_t dcsr_shift_factor(int32_t shift) {
  return shift >= 0 ? INT32_MAX : (int32_t)(UINT32_C(1) << (31 + shift));
}

// Whether vectors can requantize a row with this tail. Without a shift to the right they multiply
// by 2^31 - 1 instead, which changes no number of fewer than 30 bits. Sums without bias are within
// 2^22, so those with bias, shifted to the left, are within 2^29.
static inline bool dcsr_plane_row_fits(const DcsrRowTail* tail) {
  return tail->shift < 0 ||
         (tail->shift <= kDcsrMostRequantizedShift && tail->bias >= -kDcsrMveMostHighBias &&
          tail->bias < kDcsrMveMostHighBias);
}

#endif  // DCSR_TFLM_KERNELS_PLANNING_PLAN_REQUANTIZE_PLANE_MVE_H_
