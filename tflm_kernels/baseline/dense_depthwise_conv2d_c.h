// Dense depthwise convolution in portable C.

#ifndef DCSR_TFLM_KERNELS_BASELINE_DENSE_DEPTHWISE_CONV2D_C_H_
#define DCSR_TFLM_KERNELS_BASELINE_DENSE_DEPTHWISE_CONV2D_C_H_

#include <stdint.h>

#include "tflm_kernels/kernels.h"

#ifdef __cplusplus
extern "C" {
#endif

// Contract as dcsr_dense_depthwise_conv2d() (dense_baseline.h). Needs no scratch.
void dcsr_dense_depthwise_conv2d_c(const DcsrLayer* layer, const DcsrConvShape* shape,
                                   const int8_t* input, int8_t* output);

#ifdef __cplusplus
}
#endif

#endif  // DCSR_TFLM_KERNELS_BASELINE_DENSE_DEPTHWISE_CONV2D_C_H_
