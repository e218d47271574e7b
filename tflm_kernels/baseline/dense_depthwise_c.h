// Dense depthwise convolution for any core.

#ifndef DCSR_TFLM_KERNELS_BASELINE_DENSE_DEPTHWISE_C_H_
#define DCSR_TFLM_KERNELS_BASELINE_DENSE_DEPTHWISE_C_H_

#include <stdint.h>

#include "tflm_kernels/kernels.h"
#include "tflm_kernels/packed_layer.h"

#ifdef __cplusplus
extern "C" {
#endif

// Contract as in dense_baseline.h. Needs no scratch.
void dcsr_dense_depthwise_conv2d_c(const DcsrLayer* layer, const DcsrConvShape* shape,
                                   const int8_t* input, int8_t* output);

#ifdef __cplusplus
}
#endif

#endif  // DCSR_TFLM_KERNELS_BASELINE_DENSE_DEPTHWISE_C_H_
