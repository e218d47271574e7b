// TFLM's QuantizeMultiplier on integers: docs/format.md#shared-rows.

#ifndef DCSR_TFLM_KERNELS_FORMAT_DERIVED_MULTIPLIER_H_
#define DCSR_TFLM_KERNELS_FORMAT_DERIVED_MULTIPLIER_H_

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { kDcsrFloatBits = 23 };  // stored bits of a float32's significand

// Returns the multiplier, 2^30 .. 2^31 - 1, and adds to *shift what the product adds to the
// exponents.
//
// scale:                 its low 23 bits are those of a float32, the others are ignored.
// ratio_high, ratio_low: the ratio's mantissa / 2^32, which is 2^15 .. 2^16 - 1, and the rest.
static inline int32_t dcsr_derived_multiplier(uint32_t scale, uint32_t ratio_high,
                                              uint32_t ratio_low, int32_t* shift) {
  const uint32_t significand = scale << (31 - kDcsrFloatBits) | UINT32_C(1) << 31;
  // The product of 24 and 48 bits, without its lowest 24: 47 or 48 bits.
  uint64_t product = (uint64_t)significand * ratio_high + ((uint64_t)significand * ratio_low >> 32);
  if (product >> 47 != 0) {
    product >>= 1;
    ++*shift;
  }
  const uint32_t top = (uint32_t)(product >> 15);
  uint32_t rounded = (top >> 1) + (top & 1);
  if (rounded >> 31 != 0) {
    rounded >>= 1;
    ++*shift;
  }
  return (int32_t)rounded;
}

#ifdef __cplusplus
}
#endif

#endif  // DCSR_TFLM_KERNELS_FORMAT_DERIVED_MULTIPLIER_H_
