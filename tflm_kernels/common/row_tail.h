// Bias, multiplier and shift of one row of a layer with int8 activations: docs/format.md#sections.

#ifndef DCSR_TFLM_KERNELS_COMMON_ROW_TAIL_H_
#define DCSR_TFLM_KERNELS_COMMON_ROW_TAIL_H_

#include <stddef.h>
#include <stdint.h>

#include "tflm_kernels/packed_layer.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct {
  int32_t bias;        // input zero point folded in
  int32_t multiplier;  // >= 0
  int32_t shift;       // -31 .. 30
} DcsrRowTail;

// Returns the tail of row `row`. Kernels call this once a row: a compact tail takes dozens of
// instructions. A compact row with the number of an exception that does not exist has shift 127.
// Defined in format/compact_rows.c.
DcsrRowTail dcsr_row_tail(const DcsrLayer* layer, uint32_t row);

// The same without a call for plain rows. Takes more code.
static inline DcsrRowTail dcsr_fast_row_tail(const DcsrLayer* layer, uint32_t row) {
  if (layer->compact_rows != NULL) return dcsr_row_tail(layer, row);
  const uint32_t i = row * layer->requantize_stride;
  const DcsrRowTail tail = {layer->bias[row], layer->multiplier[i], layer->shift[i]};
  return tail;
}

#ifdef __cplusplus
}
#endif

#endif  // DCSR_TFLM_KERNELS_COMMON_ROW_TAIL_H_
