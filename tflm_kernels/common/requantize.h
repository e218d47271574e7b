// Fixed-point requantization, bit for bit as in TFLM: docs/format.md#arithmetic.
//
// The code relies on two properties that C leaves implementation-defined and that all compilers for
// Cortex-M and x86-64 have: conversion of uint32_t to int32_t wraps, and >> of a negative number
// keeps its sign.

#ifndef DCSR_TFLM_KERNELS_COMMON_REQUANTIZE_H_
#define DCSR_TFLM_KERNELS_COMMON_REQUANTIZE_H_

#include <stddef.h>
#include <stdint.h>

#include "tflm_kernels/common/row_tail.h"
#include "tflm_kernels/packed_layer.h"

#ifdef __cplusplus
extern "C" {
#endif

// Returns acc * multiplier * 2^(shift - 31), rounded twice as TFLM's MultiplyByQuantizedMultiplier
// does. Requires multiplier >= 0 and shift in [-31, 30].
static inline int32_t dcsr_multiply_by_quantized_multiplier(int32_t acc, int32_t multiplier,
                                                            int32_t shift) {
  const uint32_t left = shift > 0 ? (uint32_t)shift : 0;
  const uint32_t right = shift < 0 ? (uint32_t)-shift : 0;

  // gemmlowp adds 2^30 or 1 - 2^30, depending on the sign, and divides towards zero. This equals
  // adding 2^30 and rounding down for either sign. Only multiplier = -2^31 would saturate.
  const int32_t shifted = (int32_t)((uint32_t)acc << left);
  const int64_t product = (int64_t)shifted * multiplier;
  const int32_t high = (int32_t)((product + (INT64_C(1) << 30)) >> 31);

  // Rounds to nearest, halves away from zero.
  const uint32_t mask = (UINT32_C(1) << right) - 1;
  const uint32_t remainder = (uint32_t)high & mask;
  const uint32_t threshold = (mask >> 1) + (high < 0 ? 1 : 0);
  return (high >> right) + (remainder > threshold ? 1 : 0);
}

// Returns the output of a row with this multiplier and shift. `acc` is its sum including the bias.
static inline int8_t dcsr_requantize_by(const DcsrLayer* layer, int32_t multiplier, int32_t shift,
                                        uint32_t acc) {
  const int32_t scaled = dcsr_multiply_by_quantized_multiplier((int32_t)acc, multiplier, shift);
  // Wraps, like TFLM's dense kernels in the builds that outputs are compared with.
  const int32_t out = (int32_t)((uint32_t)scaled + (uint32_t)layer->output_zero_point);
  if (out < layer->activation_min) return (int8_t)layer->activation_min;
  if (out > layer->activation_max) return (int8_t)layer->activation_max;
  return (int8_t)out;
}

// Returns the output of row `row`. `acc` is its sum including the bias. Many sums of a row, or a
// caller that needs the bias: dcsr_row_tail() and dcsr_requantize_by().
static inline int8_t dcsr_requantize(const DcsrLayer* layer, uint32_t row, uint32_t acc) {
  if (layer->compact_rows != NULL) {
    const DcsrRowTail tail = dcsr_row_tail(layer, row);
    return dcsr_requantize_by(layer, tail.multiplier, tail.shift, acc);
  }
  const uint32_t i = row * layer->requantize_stride;
  return dcsr_requantize_by(layer, layer->multiplier[i], layer->shift[i], acc);
}

// ----- Int16 activations -----

// Returns the bias of row `row`, modulo 2^64.
static inline uint64_t dcsr_int16_bias(const DcsrLayer* layer, uint32_t row) {
  if (layer->int32_sums) return (uint64_t)(int64_t)layer->bias[row];
  const DcsrInt64* bias = layer->bias_int64 + row;
  return bias->low | (uint64_t)(uint32_t)bias->high << 32;
}

// Returns the output of row `row`. `acc` is its sum including the bias, of which sums of 32 bits
// use the lower half. As in TFLM's MultiplyByQuantizedMultiplier for 64-bit sums, the multiplier is
// first reduced to 16 bits, and the product is rounded once. Sums of 32 bits are rounded twice.
static inline int16_t dcsr_requantize_int16(const DcsrLayer* layer, uint32_t row, uint64_t acc) {
  const uint32_t i = row * layer->requantize_stride;
  const int32_t multiplier = layer->multiplier[i];
  if (layer->int32_sums) {
    const int32_t scaled =
        dcsr_multiply_by_quantized_multiplier((int32_t)(uint32_t)acc, multiplier, layer->shift[i]);
    if (scaled < layer->activation_min) return (int16_t)layer->activation_min;
    return (int16_t)(scaled > layer->activation_max ? layer->activation_max : scaled);
  }
  const uint32_t right = (uint32_t)(15 - layer->shift[i]);  // 8 .. 46
  const uint64_t reduced =
      multiplier < 0x7FFF0000 ? (uint64_t)((multiplier + (1 << 15)) >> 16) : 0x7FFF;
  const uint64_t product = acc * reduced + (UINT64_C(1) << (right - 1));
  const int32_t out = (int32_t)((int64_t)product >> right);
  if (out < layer->activation_min) return (int16_t)layer->activation_min;
  if (out > layer->activation_max) return (int16_t)layer->activation_max;
  return (int16_t)out;
}

#ifdef __cplusplus
}
#endif

#endif  // DCSR_TFLM_KERNELS_COMMON_REQUANTIZE_H_
