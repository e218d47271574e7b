// Bias, multiplier and shift of one row of a layer with int8 activations: docs/format.md#sections
// and docs/format.md#compact-rows.

#ifndef DCSR_TFLM_KERNELS_COMMON_ROW_TAIL_H_
#define DCSR_TFLM_KERNELS_COMMON_ROW_TAIL_H_

#include <stddef.h>
#include <stdint.h>

#include "tflm_kernels/common/compiler.h"
#include "tflm_kernels/packed_layer.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct {
  int32_t bias;        // input zero point folded in
  int32_t multiplier;  // >= 0
  int32_t shift;       // -31 .. 30
} DcsrRowTail;

// A record of a compact row, from its lowest bit on: 1 bit that is added to the multiplier, the
// shift, the low bits of the bias, and 24 bits of the product that the multiplier follows from.
enum {
  kDcsrRecordShiftAt = 1,
  kDcsrRecordShiftBits = 4,
  kDcsrRecordBiasAt = 5,
  kDcsrRecordBiasBits = 3,
  kDcsrRecordFactorMask = 0xFF,  // bits that are not of the factor
};

// Returns the tail of row `row`. A compact row with the number of an exception that does not exist
// has shift 127. Defined in format/compact_rows.c.
DcsrRowTail dcsr_row_tail(const DcsrLayer* layer, uint32_t row);

// Returns the tail of a compact row whose bias_high is 0. Defined in format/compact_rows.c.
DcsrRowTail dcsr_row_exception(const DcsrCompactRows* head, uint32_t number);

// Returns the upper 32 bits of the product.
static inline uint32_t dcsr_high_product(uint32_t a, uint32_t b) {
#if DCSR_HAS_LONG_MULTIPLY
  return (uint32_t)((uint64_t)a * b >> 32);
#else
  // Halves of 16 bits. No sum exceeds 32 bits.
  const uint32_t middle = (a >> 16) * (b & 0xFFFF) + ((a & 0xFFFF) * (b & 0xFFFF) >> 16);
  const uint32_t other = (a & 0xFFFF) * (b >> 16) + (middle & 0xFFFF);
  return (a >> 16) * (b >> 16) + (middle >> 16) + (other >> 16);
#endif
}

// The same for a layer with compact rows, without a call unless the row is an exception.
static inline DcsrRowTail dcsr_compact_row_tail(const DcsrLayer* layer, uint32_t row) {
  const DcsrCompactRows* head = layer->compact_rows;
  const uint32_t bias_high = layer->row_bias_high[row];
  const uint32_t record = layer->row_record[row];
  if (bias_high == 0) return dcsr_row_exception(head, record);
  const uint32_t factor = record & ~(uint32_t)kDcsrRecordFactorMask;
  const uint32_t bias = bias_high << kDcsrRecordBiasBits |
                        (record >> kDcsrRecordBiasAt & ((1 << kDcsrRecordBiasBits) - 1));
  const uint32_t shift = record >> kDcsrRecordShiftAt & ((1 << kDcsrRecordShiftBits) - 1);
  const uint32_t multiplier =
      (uint32_t)head->first_multiplier + dcsr_high_product(factor, head->ratio) + (record & 1);
  const DcsrRowTail tail = {(int32_t)((uint32_t)head->first_bias + bias), (int32_t)multiplier,
                            head->first_shift + (int32_t)shift};
  return tail;
}

// dcsr_row_tail() without a call. Takes more code.
static inline DcsrRowTail dcsr_fast_row_tail(const DcsrLayer* layer, uint32_t row) {
  if (layer->compact_rows != NULL) {
#if DCSR_HAS_LONG_MULTIPLY
    return dcsr_compact_row_tail(layer, row);
#else
    return dcsr_row_tail(layer, row);
#endif
  }
  const uint32_t i = row * layer->requantize_stride;
  const DcsrRowTail tail = {layer->bias[row], layer->multiplier[i], layer->shift[i]};
  return tail;
}

#ifdef __cplusplus
}
#endif

#endif  // DCSR_TFLM_KERNELS_COMMON_ROW_TAIL_H_
