// Convolutions with filters larger than 1x1. Every kernel for them is tested with all of these, on
// the host and on targets. This is only a table: make_window_case() (layers.h) makes weights and
// activations.

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
