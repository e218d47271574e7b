// Requantizes sums of one row to contiguous outputs, such as those of a plane, with MVE
// (Cortex-M55, M85), with the results of dcsr_requantize_by(). docs/format.md#arithmetic.

#ifndef DCSR_TFLM_KERNELS_MVE_REQUANTIZE_PLANE_MVE_H_
#define DCSR_TFLM_KERNELS_MVE_REQUANTIZE_PLANE_MVE_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tflm_kernels/common/row_tail.h"
#include "tflm_kernels/packed_layer.h"
#include "tflm_kernels/planning/plan_requantize_plane_mve.h"

#ifdef __cplusplus
extern "C" {
#endif

// Sums and their outputs, in the order in which the assembly loads them.
typedef struct {
  int32_t* sums;  // without bias; readable for kDcsrBehindSums words behind the last one
  int8_t* output;
  uint32_t steps;  // of kDcsrRequantizedSums outputs; may be 0
  int32_t bias;
  int32_t multiplier;
  int32_t factor;  // 2^(31 - right shift), at most 2^31 - 1
  int32_t zero_point;
  uint32_t full;      // 0: skip the rounding of halves below zero, and clamping
  uint32_t rounding;  // 1: round halves below zero; 0: the row has no shift to the right
  int8_t max[16];
  int8_t min[16];
} DcsrPlaneOutputs;

// Returns outputs of a layer without a row. `sums` is where those of its first row will be.
DcsrPlaneOutputs dcsr_plane_outputs(const DcsrLayer* layer, int32_t* sums);

// Sets what depends on the row.
static inline void dcsr_set_plane_row(const DcsrRowTail* tail, DcsrPlaneOutputs* outputs) {
  outputs->bias = tail->bias;
  outputs->multiplier = tail->multiplier;
  outputs->factor = dcsr_shift_factor(tail->shift);
  outputs->rounding = tail->shift >= 0 ? 0 : 1;
}

// Whether dcsr_requantize_plane_mve() computes rows with this tail.
static inline bool dcsr_plane_row_is_plain(const DcsrRowTail* tail) {
  return tail->shift <= 0 && dcsr_plane_row_fits(tail);
}

// Whether the last step of `count` outputs at `output` ends before `end`.
static inline bool dcsr_plane_steps_fit(size_t count, const int8_t* output, const int8_t* end) {
  return dcsr_plane_steps(count) * kDcsrRequantizedSums <= (size_t)(end - output);
}

// Writes the outputs of `steps` steps.
void dcsr_requantize_plane_mve(const DcsrPlaneOutputs* outputs);

// Writes `count` outputs of a row with any tail, and nothing from `end` on. `outputs` has the sums,
// the output and the row; its steps and bias are unspecified afterwards. May overwrite the sums.
void dcsr_requantize_plane(const DcsrLayer* layer, const DcsrRowTail* tail, uint32_t count,
                           const int8_t* end, DcsrPlaneOutputs* outputs);

#ifdef __cplusplus
}
#endif

#endif  // DCSR_TFLM_KERNELS_MVE_REQUANTIZE_PLANE_MVE_H_
