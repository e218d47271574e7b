// Validation that also adds up the weights of each row, for the bias of layers with shared rows.

#ifndef DCSR_TFLM_KERNELS_FORMAT_ROW_SUMS_H_
#define DCSR_TFLM_KERNELS_FORMAT_ROW_SUMS_H_

#include <stdint.h>

#include "tflm_kernels/packed_layer.h"

// The range of a shift.
enum {
  kDcsrMinShift = -31,
  kDcsrMaxShift = 30,
  kDcsrMaxInt16Shift = 7,  // with int16 activations
};

// dcsr_layer_validate(), which passes NULL. Else sets `sums` to the sum of the weights of each row,
// modulo 2^32: [rows].
DcsrStatus dcsr_layer_validate_and_sum(const DcsrLayer* layer, uint32_t* sums);

#endif  // DCSR_TFLM_KERNELS_FORMAT_ROW_SUMS_H_
