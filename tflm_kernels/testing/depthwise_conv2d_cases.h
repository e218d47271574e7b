// A table of depthwise convolutions. Every kernel for them is tested with all of them, on the host
// and on targets. make_depthwise_case() (layers.h) makes their weights and activations.

#ifndef DCSR_TFLM_KERNELS_TESTING_DEPTHWISE_CONV2D_CASES_H_
#define DCSR_TFLM_KERNELS_TESTING_DEPTHWISE_CONV2D_CASES_H_

#include <stddef.h>

#include "tflm_kernels/testing/cases.h"
#include "tflm_kernels/testing/pack.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct {
  DcsrCase layer;
  Window window;
  uint32_t depth_multiplier;
} DcsrDepthwiseConv2dCase;

extern const DcsrDepthwiseConv2dCase kDcsrDepthwiseConv2dCases[];
extern const size_t kDcsrDepthwiseConv2dCaseCount;

#ifdef __cplusplus
}
#endif

#endif  // DCSR_TFLM_KERNELS_TESTING_DEPTHWISE_CONV2D_CASES_H_
