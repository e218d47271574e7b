// The sums of conv1x1_smlal, and their requantization.

#ifndef DCSR_TFLM_KERNELS_SCALAR_SMLAL_OUTPUT_H_
#define DCSR_TFLM_KERNELS_SCALAR_SMLAL_OUTPUT_H_

#include <stdint.h>

enum {
  kDcsrSmlalUpperShift = 23,                             // of the second pixel in a word
  kDcsrSmlalSumStart = 1 << (kDcsrSmlalUpperShift - 1),  // of the sums of two pixels
  kDcsrSmlalQuadPixels = 4,                              // that are requantized together
};

// The sums of a pair. The even sum includes kDcsrSmlalSumStart.
static inline uint32_t dcsr_smlal_even_sum(const uint32_t* pair) {
  return pair[0] & ((UINT32_C(1) << kDcsrSmlalUpperShift) - 1);
}

static inline uint32_t dcsr_smlal_odd_sum(const uint32_t* pair) {
  return pair[1] << (32 - kDcsrSmlalUpperShift) | pair[0] >> kDcsrSmlalUpperShift;
}

// The values that the loops need for a row, in the order in which they load them.
typedef struct {
  int32_t multiplier;
  int32_t offset;
  int32_t right;
  uint32_t odd_start;  // twice the bias
  uint32_t even_start;
  uint32_t step;  // bytes between pixels
} DcsrSmlalRow;

// Requantize sums to `end`: four pixels or a multiple. For rows with scale.fast and scale.full
// (row_scale.h), the first without scale.halves.
typedef void DcsrSmlalRequantize(const uint32_t* sums, const uint32_t* end, int8_t* output,
                                 const DcsrSmlalRow* row);

DcsrSmlalRequantize dcsr_smlal_requantize_clamped;
DcsrSmlalRequantize dcsr_smlal_requantize_halves;

#endif  // DCSR_TFLM_KERNELS_SCALAR_SMLAL_OUTPUT_H_
