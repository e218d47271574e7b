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

// Derives the tail of row `row` from layer->compact_rows, which is not NULL. A row with the number
// of an exception that does not exist has shift 127. Defined in format/compact_rows.c.
void dcsr_compact_row_tail(const DcsrLayer* layer, uint32_t row, DcsrRowTail* tail);

// Returns the tail of row `row`. Kernels call this once a row: a compact tail takes dozens of
// instructions.
static inline DcsrRowTail dcsr_row_tail(const DcsrLayer* layer, uint32_t row) {
  DcsrRowTail tail;
  if (layer->compact_rows != NULL) {
    DcsrRowTail compact;  // `tail` itself stays in registers
    dcsr_compact_row_tail(layer, row, &compact);
    tail = compact;
  } else {
    const uint32_t i = row * layer->requantize_stride;
    tail.bias = layer->bias[row];
    tail.multiplier = layer->multiplier[i];
    tail.shift = layer->shift[i];
  }
  return tail;
}

#ifdef __cplusplus
}
#endif

#endif  // DCSR_TFLM_KERNELS_COMMON_ROW_TAIL_H_
