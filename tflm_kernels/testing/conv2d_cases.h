// A table of convolutions with filters larger than 1x1. Every kernel for such filters is tested
// with all of them, on the host and on targets. make_window_case() (layers.h) makes their weights
// and activations.

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
