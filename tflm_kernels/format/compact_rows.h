// The head of compact rows in a packed layer: docs/format.md#compact-rows.

#ifndef DCSR_TFLM_KERNELS_FORMAT_COMPACT_ROWS_H_
#define DCSR_TFLM_KERNELS_FORMAT_COMPACT_ROWS_H_

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum {
  kDcsrCompactHeadBytes = 16,
  kDcsrExceptionBytes = 12,
  kDcsrMaxBiasBits = 32,
  kDcsrMaxExponentBits = 6,
};

// The head in memory. All fields are naturally aligned.
typedef struct {
  uint32_t ratio_low;
  uint16_t ratio_high;
  int16_t exponent;
  int32_t first_bias;
  uint8_t bias_bits;      // 1 .. 32
  uint8_t exponent_bits;  // 0 .. 6
  uint16_t exceptions;
} DcsrCompactHead;

_Static_assert(sizeof(DcsrCompactHead) == kDcsrCompactHeadBytes, "docs/format.md, Compact rows");

#ifdef __cplusplus
}
#endif

#endif  // DCSR_TFLM_KERNELS_FORMAT_COMPACT_ROWS_H_
