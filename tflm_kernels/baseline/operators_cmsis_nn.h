// The operators of operators.h with CMSIS-NN, called as TFLM's kernels of
// tensorflow/lite/micro/kernels/cmsis_nn/ call it. Only if the build has CMSIS-NN.

#ifndef DCSR_TFLM_KERNELS_BASELINE_OPERATORS_CMSIS_NN_H_
#define DCSR_TFLM_KERNELS_BASELINE_OPERATORS_CMSIS_NN_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tflm_kernels/baseline/dense_cmsis_nn.h"
#include "tflm_kernels/baseline/operators.h"

#if DCSR_HAS_CMSIS_NN

#ifdef __cplusplus
extern "C" {
#endif

// All functions return whether CMSIS-NN takes the operator. `scratch` has the bytes that the
// function ..._scratch_bytes() returns, aligned to 16.

size_t dcsr_cmsis_nn_conv2d_scratch_bytes(const DcsrWindowParameters* window);
bool dcsr_cmsis_nn_conv2d(const DcsrWindowParameters* window, const DcsrDenseWeights* layer,
                          const int8_t* input, int8_t* output, void* scratch);

size_t dcsr_cmsis_nn_depthwise_conv2d_scratch_bytes(const DcsrWindowParameters* window);
bool dcsr_cmsis_nn_depthwise_conv2d(const DcsrWindowParameters* window,
                                    const DcsrDenseWeights* layer, const int8_t* input,
                                    int8_t* output, void* scratch);

// TFLM computes the sums of the rows at start-up, if it is built for speed, and keeps them:
// dcsr_cmsis_nn_fully_connected_sum_bytes() bytes, 0 if the core's kernel needs none.
size_t dcsr_cmsis_nn_fully_connected_sum_bytes(const DcsrWindowParameters* window);
bool dcsr_cmsis_nn_fully_connected_prepare(const DcsrWindowParameters* window,
                                           const DcsrDenseWeights* layer, int32_t* sums);
size_t dcsr_cmsis_nn_fully_connected_scratch_bytes(const DcsrWindowParameters* window);
bool dcsr_cmsis_nn_fully_connected(const DcsrWindowParameters* window,
                                   const DcsrDenseWeights* layer, int32_t* sums,
                                   const int8_t* input, int8_t* output, void* scratch);

size_t dcsr_cmsis_nn_average_pool_scratch_bytes(const DcsrWindowParameters* window);
bool dcsr_cmsis_nn_average_pool(const DcsrWindowParameters* window, const int8_t* input,
                                int8_t* output, void* scratch);
bool dcsr_cmsis_nn_max_pool(const DcsrWindowParameters* window, const int8_t* input,
                            int8_t* output);

// Not for inputs of different shapes, with which TFLM calls its portable code.
bool dcsr_cmsis_nn_add(const DcsrBinaryParameters* binary, const int8_t* input1,
                       const int8_t* input2, int8_t* output);
bool dcsr_cmsis_nn_mul(const DcsrBinaryParameters* binary, const int8_t* input1,
                       const int8_t* input2, int8_t* output);

bool dcsr_cmsis_nn_pad(const DcsrPadParameters* pad, const int8_t* input, int8_t* output);

bool dcsr_cmsis_nn_softmax(const DcsrSoftmaxParameters* softmax, const int8_t* input,
                           int8_t* output);

#ifdef __cplusplus
}
#endif

#endif  // DCSR_HAS_CMSIS_NN

#endif  // DCSR_TFLM_KERNELS_BASELINE_OPERATORS_CMSIS_NN_H_
