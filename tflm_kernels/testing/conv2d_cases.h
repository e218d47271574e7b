// Convolutions with filters larger than 1x1 that every kernel for them is tested with, on the host
// and on targets. Only data: make_window_case() (layers.h) makes the rest.

#ifndef DCSR_TFLM_KERNELS_TESTING_CONV2D_CASES_H_
#define DCSR_TFLM_KERNELS_TESTING_CONV2D_CASES_H_

#include <stddef.h>

#include "tflm_kernels/testing/cases.h"
#include "tflm_kernels/testing/pack.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct {
  DcsrCase layer;
  Window window;
} DcsrConv2dCase;

extern const DcsrConv2dCase kDcsrConv2dCases[];
extern const size_t kDcsrConv2dCaseCount;

#ifdef __cplusplus
}
#endif

#endif  // DCSR_TFLM_KERNELS_TESTING_CONV2D_CASES_H_
