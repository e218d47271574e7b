// Dense baseline on cores without the DSP extension: dense_fully_connected_c.c.

#ifndef DCSR_TFLM_KERNELS_BASELINE_DENSE_FULLY_CONNECTED_C_H_
#define DCSR_TFLM_KERNELS_BASELINE_DENSE_FULLY_CONNECTED_C_H_

#include "tflm_kernels/kernels.h"

#ifdef __cplusplus
extern "C" {
#endif

// Contract as in dense_baseline.h.
void dcsr_dense_fully_connected_c(const DcsrLayer* layer, int32_t batches, const int8_t* input,
                                  int8_t* output);

#ifdef __cplusplus
}
#endif

#endif  // DCSR_TFLM_KERNELS_BASELINE_DENSE_FULLY_CONNECTED_C_H_
