// Requantizes many int32 sums of one row to int8, with the results of dcsr_requantize().
// Computations that depend only on the row are done once, before the loop. An output then takes two
// instructions before its clamp on cores with the DSP extension:
//
//   smmlar r, 2 * sum, multiplier, offset    r = ((2 * sum * multiplier + 2^31) >> 32) + offset
//   asr    r, r, right                       offset = 2^(right - 1) + zero_point * 2^right
//
// Both roundings of TFLM are in it: the product rounds halves up, the shift by `right` rounds
// halves up as well. TFLM's shift rounds halves of negative numbers down instead. These outputs
// differ by one and neither exceeds the zero point, so a clamp at the zero point or above, as after
// a ReLU, hides the difference. Without such a clamp a third instruction subtracts 1 if the sum is
// negative: `add r, r, 2 * sum, asr #31`. A negative sum whose product rounds to 0 also loses 1,
// which does not change it: 2^(right - 1) - 1 is not negative.
// docs/format.md#arithmetic.

#ifndef DCSR_TFLM_KERNELS_COMMON_ROW_SCALE_H_
#define DCSR_TFLM_KERNELS_COMMON_ROW_SCALE_H_

#include <stdbool.h>
#include <stdint.h>

#include "tflm_kernels/common/requantize.h"
#include "tflm_kernels/packed_layer.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct {
  int32_t bias;
  int32_t multiplier;
  int32_t right;   // shift to the right
  int32_t offset;  // half a unit for rounding, plus the zero point, both before the shift
  bool fast;       // whether the functions below apply; else dcsr_requantize()
  bool full;       // whether the clamp is all of int8
  bool halves;     // whether halves of negative numbers need the correction: no clamp hides them
  int32_t min;
  int32_t max;
} DcsrRowScale;

// Returns the scale of row `row` for sums of the bias and at most `elements` products.
static inline DcsrRowScale dcsr_row_scale(const DcsrLayer* layer, uint32_t row, uint32_t elements) {
  const DcsrRowTail tail = dcsr_fast_row_tail(layer, row);
  const int32_t limit = INT32_C(1) << 29;
  DcsrRowScale scale;
  scale.bias = tail.bias;
  scale.multiplier = tail.multiplier;
  scale.right = -tail.shift;
  // With these limits no sum exceeds 2^30, and nothing below overflows.
  scale.fast = scale.right >= 1 && scale.right <= 22 && elements < (UINT32_C(1) << 15) &&
               tail.bias >= -limit && tail.bias <= limit;
  scale.offset = 0;
  if (scale.fast) {
    scale.offset =
        (INT32_C(1) << (scale.right - 1)) + layer->output_zero_point * (INT32_C(1) << scale.right);
  }
  scale.min = layer->activation_min;
  scale.max = layer->activation_max;
  scale.full = scale.min == INT8_MIN && scale.max == INT8_MAX;
  scale.halves = scale.min < layer->output_zero_point;
  return scale;
}

// Returns ((a * b + 2^31) >> 32) + c.
static inline int32_t dcsr_multiply_high_add(int32_t a, int32_t b, int32_t c) {
#if defined(__ARM_FEATURE_DSP) && defined(__thumb2__)
  int32_t result;  // GCC 12 does not emit SMMLAR by itself
  __asm__("smmlar %0, %1, %2, %3" : "=r"(result) : "r"(a), "r"(b), "r"(c));
  return result;
#else
  return (int32_t)(((int64_t)a * b + (INT64_C(1) << 31)) >> 32) + c;
#endif
}

// Returns the output before clamping. Requires scale->fast. Takes twice the sum: the rounding adds
// 2^31 to twice the product, which equals adding 2^30 to the product. `halves` is scale->halves, or
// true.
static inline int32_t dcsr_scale_doubled(const DcsrRowScale* scale, uint32_t doubled, bool halves) {
  const int32_t sum = (int32_t)doubled;
  const int32_t scaled = dcsr_multiply_high_add(sum, scale->multiplier, scale->offset);
  return (scaled + (halves ? sum >> 31 : 0)) >> scale->right;
}

// Returns `value` limited to the range of int8.
static inline int8_t dcsr_saturate_int8(int32_t value) {
#if defined(__thumb2__)
  int32_t result;  // GCC 12 emits comparisons and branches instead
  __asm__("ssat %0, #8, %1" : "=r"(result) : "r"(value) : "cc");
  return (int8_t)result;
#else
  return (int8_t)(value < INT8_MIN ? INT8_MIN : value > INT8_MAX ? INT8_MAX : value);
#endif
}

// Returns the output. Requires scale->fast and scale->full. `halves` as above.
static inline int8_t dcsr_scale_doubled_full(const DcsrRowScale* scale, uint32_t doubled,
                                             bool halves) {
  return dcsr_saturate_int8(dcsr_scale_doubled(scale, doubled, halves));
}

// Returns the output for any scale. Takes the sum, not twice the sum.
static inline int8_t dcsr_scale_any(const DcsrLayer* layer, uint32_t row, const DcsrRowScale* scale,
                                    uint32_t sum) {
  (void)row;
  if (!scale->fast) return dcsr_requantize_by(layer, scale->multiplier, -scale->right, sum);
  const int32_t out = dcsr_scale_doubled(scale, sum << 1, true);
  return (int8_t)(out < scale->min ? scale->min : out > scale->max ? scale->max : out);
}

#ifdef __cplusplus
}
#endif

#endif  // DCSR_TFLM_KERNELS_COMMON_ROW_SCALE_H_
