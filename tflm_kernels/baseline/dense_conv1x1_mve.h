// Dense baseline on cores with MVE: dense_conv1x1_mve.c. Only defined there.

#ifndef DCSR_TFLM_KERNELS_BASELINE_DENSE_CONV1X1_MVE_H_
#define DCSR_TFLM_KERNELS_BASELINE_DENSE_CONV1X1_MVE_H_

#include "tflm_kernels/kernels.h"

#ifdef __cplusplus
extern "C" {
#endif

// Contract as in dense_baseline.h. Needs no scratch.
void dcsr_dense_conv1x1_mve(const DcsrLayer* layer, const DcsrConvShape* shape, const int8_t* input,
                            int8_t* output);

#ifdef __cplusplus
}
#endif

#endif  // DCSR_TFLM_KERNELS_BASELINE_DENSE_CONV1X1_MVE_H_
