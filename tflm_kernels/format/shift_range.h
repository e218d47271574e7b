// The range of a shift: docs/format.md#sections.

#ifndef DCSR_TFLM_KERNELS_FORMAT_SHIFT_RANGE_H_
#define DCSR_TFLM_KERNELS_FORMAT_SHIFT_RANGE_H_

enum {
  kDcsrMinShift = -31,
  kDcsrMaxShift = 30,
  kDcsrMaxInt16Shift = 7,  // with int16 activations
};

#endif  // DCSR_TFLM_KERNELS_FORMAT_SHIFT_RANGE_H_
