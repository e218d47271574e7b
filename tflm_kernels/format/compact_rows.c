// Bias, multiplier and shift of compact rows: docs/format.md, "Compact rows".
//
// All arithmetic is on integers, and all loads are aligned: Cortex-M0+ has no others.

#include "tflm_kernels/format/compact_rows.h"

#include "tflm_kernels/common/row_tail.h"

enum { kNoSuchException = 127 };  // shift

_Static_assert(sizeof(DcsrRowTail) == kDcsrExceptionBytes, "docs/format.md, Compact rows");
_Static_assert(sizeof(DcsrCompactRows) == kDcsrCompactHeadBytes, "docs/format.md, Compact rows");

DcsrRowTail dcsr_row_exception(const DcsrCompactRows* head, uint32_t number) {
  const DcsrRowTail none = {0, 0, kNoSuchException};
  const DcsrRowTail* exceptions = (const DcsrRowTail*)(const void*)(head + 1);
  return number < head->exceptions ? exceptions[number] : none;
}

DcsrRowTail dcsr_row_tail(const DcsrLayer* layer, uint32_t row) {
  if (layer->compact_rows != NULL) return dcsr_compact_row_tail(layer, row);
  const uint32_t i = row * layer->requantize_stride;
  const DcsrRowTail tail = {layer->bias[row], layer->multiplier[i], layer->shift[i]};
  return tail;
}
