// CMSIS-NN as the dense baseline, if the build has it (--//third_party/cmsis:nn=LABEL,
// docs/cortex_m.md#cmsis): dense_cmsis_nn.c.

#ifndef DCSR_TFLM_KERNELS_BASELINE_DENSE_CMSIS_NN_H_
#define DCSR_TFLM_KERNELS_BASELINE_DENSE_CMSIS_NN_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tflm_kernels/kernels.h"

#if __has_include("arm_nnfunctions.h")
#define DCSR_HAS_CMSIS_NN 1
#else
#define DCSR_HAS_CMSIS_NN 0
#endif

#if DCSR_HAS_CMSIS_NN

#ifdef __cplusplus
extern "C" {
#endif

// Whether CMSIS-NN has a kernel for the layer: convolutions need a multiplier per row, fully
// connected layers one for all rows.
static inline bool dcsr_dense_cmsis_nn_takes(const DcsrLayer* layer) {
  return (layer->op != kDcsrOpFullyConnected) == (layer->requantize_stride == 1);
}

// Contracts as in dense_baseline.h. dcsr_dense_cmsis_nn_takes(layer) has to be true. If CMSIS-NN
// refuses the layer, the output is not written.
size_t dcsr_dense_conv1x1_cmsis_nn_scratch_bytes(const DcsrLayer* layer,
                                                 const DcsrConvShape* shape);
void dcsr_dense_conv1x1_cmsis_nn(const DcsrLayer* layer, const DcsrConvShape* shape,
                                 const int8_t* input, int8_t* output, void* scratch);
// CONV_2D with a larger filter, and DEPTHWISE_CONV_2D with any, by the kernels that TFLM calls.
// Preparing scratch is no part of the product (dcsr_dense_prepare()).
size_t dcsr_dense_filter_cmsis_nn_scratch_bytes(const DcsrLayer* layer, const DcsrConvShape* shape);
void dcsr_dense_filter_cmsis_nn_prepare(const DcsrLayer* layer, void* scratch);
void dcsr_dense_filter_cmsis_nn(const DcsrLayer* layer, const DcsrConvShape* shape,
                                const int8_t* input, int8_t* output, void* scratch);
void dcsr_dense_fully_connected_cmsis_nn(const DcsrLayer* layer, int32_t batches,
                                         const int8_t* input, int8_t* output);

#ifdef __cplusplus
}
#endif

#endif  // DCSR_HAS_CMSIS_NN

#endif  // DCSR_TFLM_KERNELS_BASELINE_DENSE_CMSIS_NN_H_
