// Bias, multiplier and shift of compact rows: docs/format.md, "Compact rows".
//
// All arithmetic is on integers, and all loads are aligned: Cortex-M0+ has no others.

#include "tflm_kernels/format/compact_rows.h"

#include "tflm_kernels/common/row_tail.h"
#include "tflm_kernels/format/derived_multiplier.h"

enum { kNoSuchException = 127 };  // shift

_Static_assert(sizeof(DcsrRowTail) == kDcsrExceptionBytes, "docs/format.md, Compact rows");

// Returns the `width` bits before bit `end` as a number; 1 <= width <= 32. Loads the word with the
// last bit and the one before it.
static inline uint32_t bits_before(const uint32_t* words, uint32_t end, uint32_t width) {
  const uint32_t last = (end - 1) % 32;
  words += (end - 1) / 32;
  return (words[0] << (31 - last) | words[-1] >> 1 >> last) >> (32 - width);
}

DcsrRowTail dcsr_row_tail(const DcsrLayer* layer, uint32_t row) {
  if (layer->compact_rows == NULL) return dcsr_fast_row_tail(layer, row);
  DcsrRowTail tail;
  const DcsrCompactHead* head = (const DcsrCompactHead*)(const void*)layer->compact_rows;
  const DcsrRowTail* exceptions = (const DcsrRowTail*)(const void*)(head + 1);
  const uint32_t* words = (const uint32_t*)(const void*)(exceptions + head->exceptions);
  const uint32_t scale_bits = kDcsrFloatBits + head->exponent_bits;
  const uint32_t end = (row + 1) * (head->bias_bits + scale_bits);
  const uint32_t scale = bits_before(words, end, scale_bits);
  const uint32_t bias = bits_before(words, end - scale_bits, head->bias_bits);
  tail.shift = kNoSuchException;
  if (bias != UINT32_MAX >> (32 - head->bias_bits)) {
    tail.bias = (int32_t)((uint32_t)head->first_bias + bias);
    tail.shift = head->exponent + (int32_t)(scale >> kDcsrFloatBits);
    tail.multiplier =
        dcsr_derived_multiplier(scale, head->ratio_high, head->ratio_low, &tail.shift);
  } else if (scale < head->exceptions) {
    tail = exceptions[scale];
  }
  return tail;
}
