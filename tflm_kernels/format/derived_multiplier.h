// TFLM's QuantizeMultiplier on integers: docs/format.md#shared-rows.

#ifndef DCSR_TFLM_KERNELS_FORMAT_DERIVED_MULTIPLIER_H_
#define DCSR_TFLM_KERNELS_FORMAT_DERIVED_MULTIPLIER_H_

#include <stdint.h>

#include "tflm_kernels/common/compiler.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { kDcsrFloatBits = 23 };  // stored bits of a float32's significand

// Returns bits 16 to 47 of floor(significand * ratio / 2^32), and sets *next to its bit 15.
//
// significand: shifted to the left: 2^31 .. 2^32 - 1.
// ratio_high, ratio_low: as in dcsr_derived_multiplier().
static inline uint32_t dcsr_top_of_product(uint32_t significand, uint32_t ratio_high,
                                           uint32_t ratio_low, uint32_t* next) {
#if DCSR_HAS_LONG_MULTIPLY
  const uint64_t product =
      (uint64_t)significand * ratio_high + ((uint64_t)significand * ratio_low >> 32);
  *next = (uint32_t)product >> 15 & 1;
  return (uint32_t)(product >> 16);
#else
  // Halves of 16 bits. Only the lines that add `low` exceed 32 bits.
  const uint32_t upper = significand >> 16;
  const uint32_t lower = significand & 0xFFFF;
  uint32_t sum = upper * (ratio_low & 0xFFFF) + (lower * (ratio_low & 0xFFFF) >> 16);
  uint32_t low = lower * (ratio_low >> 16);
  sum += low;
  sum = (sum >> 16 | (uint32_t)(sum < low) << 16) + upper * (ratio_low >> 16);
  low = lower * ratio_high;
  sum += low;
  *next = sum >> 15 & 1;
  return (sum >> 16 | (uint32_t)(sum < low) << 16) + upper * ratio_high;
#endif
}

// Returns the multiplier, 2^30 .. 2^31 - 1, and adds to *shift what the product adds to the
// exponents.
//
// scale:                 its low 23 bits are those of a float32, the others are ignored.
// ratio_high, ratio_low: the ratio's mantissa / 2^32, which is 2^15 .. 2^16 - 1, and the rest.
static inline int32_t dcsr_derived_multiplier(uint32_t scale, uint32_t ratio_high,
                                              uint32_t ratio_low, int32_t* shift) {
  const uint32_t significand = scale << (31 - kDcsrFloatBits) | UINT32_C(1) << 31;
  uint32_t next;
  // The product of 24 and 48 bits, without its lowest 40: 31 or 32 bits.
  uint32_t top = dcsr_top_of_product(significand, ratio_high, ratio_low, &next);
  if (top >> 31 != 0) {
    next = top & 1;
    top >>= 1;
    ++*shift;
  }
  top += next;  // rounds
  if (top >> 31 != 0) {
    top >>= 1;
    ++*shift;
  }
  return (int32_t)top;
}

#ifdef __cplusplus
}
#endif

#endif  // DCSR_TFLM_KERNELS_FORMAT_DERIVED_MULTIPLIER_H_
