// The parts of validation that layers with and without shared rows have in common.

#ifndef DCSR_TFLM_KERNELS_FORMAT_STREAMS_H_
#define DCSR_TFLM_KERNELS_FORMAT_STREAMS_H_

#include "tflm_kernels/packed_layer.h"

// The range of a shift.
enum {
  kDcsrMinShift = -31,
  kDcsrMaxShift = 30,
  kDcsrMaxInt16Shift = 7,  // with int16 activations
};

// Checks all streams of a parsed layer, like dcsr_layer_validate(), but neither multipliers nor
// shifts.
DcsrStatus dcsr_streams_validate(const DcsrLayer* layer);

#endif  // DCSR_TFLM_KERNELS_FORMAT_STREAMS_H_
