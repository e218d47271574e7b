// Dense layers with int16 activations: dense_int16.c.

#ifndef DCSR_TFLM_KERNELS_BASELINE_DENSE_INT16_H_
#define DCSR_TFLM_KERNELS_BASELINE_DENSE_INT16_H_

#include <stddef.h>
#include <stdint.h>

#include "tflm_kernels/kernels.h"

#ifdef __cplusplus
extern "C" {
#endif

// Contracts as in dense_baseline.h.
size_t dcsr_dense_int16_scratch_bytes(const DcsrLayer* layer);

void dcsr_dense_conv2d_int16_patches(const DcsrLayer* layer, const DcsrConvShape* shape,
                                     const int16_t* input, int16_t* output, void* scratch);

void dcsr_dense_fully_connected_int16_rows(const DcsrLayer* layer, int32_t batches,
                                           const int16_t* input, int16_t* output);

#ifdef __cplusplus
}
#endif

#endif  // DCSR_TFLM_KERNELS_BASELINE_DENSE_INT16_H_
