// Dense baseline on cores with the DSP extension: dense_conv1x1_dsp.c.

#ifndef DCSR_TFLM_KERNELS_BASELINE_DENSE_CONV1X1_DSP_H_
#define DCSR_TFLM_KERNELS_BASELINE_DENSE_CONV1X1_DSP_H_

#include <stddef.h>

#include "tflm_kernels/kernels.h"

#ifdef __cplusplus
extern "C" {
#endif

size_t dcsr_dense_conv1x1_dsp_scratch_bytes(const DcsrLayer* layer);

// Contract as in dense_baseline.h. Scratch is aligned to 4.
void dcsr_dense_conv1x1_dsp(const DcsrLayer* layer, const DcsrConvShape* shape, const int8_t* input,
                            int8_t* output, void* scratch);

#ifdef __cplusplus
}
#endif

#endif  // DCSR_TFLM_KERNELS_BASELINE_DENSE_CONV1X1_DSP_H_
