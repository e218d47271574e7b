// Dense kernels, with which the benchmark compares the sparse ones. No op uses them.
//
// `layer` has passed dcsr_layer_parse() and dcsr_layer_validate(), its encoding is dense, and its
// values are plain. The outputs of every kernel are those of the portable reference, bit for bit.
// `scratch` has at least the bytes that the matching *_scratch_bytes function returned, is aligned
// to 16 and need not be initialised. It may be NULL if that number is 0.

#ifndef DCSR_TFLM_KERNELS_BASELINE_DENSE_BASELINE_H_
#define DCSR_TFLM_KERNELS_BASELINE_DENSE_BASELINE_H_

#include <stddef.h>
#include <stdint.h>

#include "tflm_kernels/kernels.h"
#include "tflm_kernels/packed_layer.h"

#ifdef __cplusplus
extern "C" {
#endif

size_t dcsr_dense_conv1x1_scratch_bytes(const DcsrLayer* layer, const DcsrConvShape* shape);

// 1x1 filters. Input [batches, input_height, input_width, cols], output [batches, output_height,
// output_width, rows], both int8.
void dcsr_dense_conv1x1(const DcsrLayer* layer, const DcsrConvShape* shape, const int8_t* input,
                        int8_t* output, void* scratch);

size_t dcsr_dense_fully_connected_scratch_bytes(const DcsrLayer* layer, int32_t batches);

// Input [batches, cols], output [batches, rows], both int8.
void dcsr_dense_fully_connected(const DcsrLayer* layer, int32_t batches, const int8_t* input,
                                int8_t* output, void* scratch);

// Filters of any size. Input [batches, input_height, input_width, channels], output [batches,
// output_height, output_width, rows], both int8. Copies the patches of a few pixels at a time and
// multiplies them with the kernel for 1x1 filters.
size_t dcsr_dense_conv2d_scratch_bytes(const DcsrLayer* layer, const DcsrConvShape* shape);

void dcsr_dense_conv2d(const DcsrLayer* layer, const DcsrConvShape* shape, const int8_t* input,
                       int8_t* output, void* scratch);

// Depthwise convolution. Input [batches, input_height, input_width, channels], output [batches,
// output_height, output_width, rows], both int8.
size_t dcsr_dense_depthwise_conv2d_scratch_bytes(const DcsrLayer* layer,
                                                 const DcsrConvShape* shape);

void dcsr_dense_depthwise_conv2d(const DcsrLayer* layer, const DcsrConvShape* shape,
                                 const int8_t* input, int8_t* output, void* scratch);

// Prepares the scratch of dcsr_dense_conv2d() and dcsr_dense_depthwise_conv2d(), to be called
// before them. This is no part of the product: a model that is not packed has its weights and
// biases in the form that the kernel needs.
void dcsr_dense_prepare(const DcsrLayer* layer, void* scratch);

// dcsr_dense_conv2d() with int16 activations. Fully connected layers need no scratch.
size_t dcsr_dense_conv2d_int16_scratch_bytes(const DcsrLayer* layer, const DcsrConvShape* shape);

void dcsr_dense_conv2d_int16(const DcsrLayer* layer, const DcsrConvShape* shape,
                             const int16_t* input, int16_t* output, void* scratch);

void dcsr_dense_fully_connected_int16(const DcsrLayer* layer, int32_t batches, const int16_t* input,
                                      int16_t* output);

#ifdef __cplusplus
}
#endif

#endif  // DCSR_TFLM_KERNELS_BASELINE_DENSE_BASELINE_H_
