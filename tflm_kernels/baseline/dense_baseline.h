// Dense products, which the sparse ones are compared with: `layer` is dense, its values plain. No
// op uses them, so they are in no firmware but the benchmark's.
//
// As in kernels.h the layer has passed dcsr_layer_parse and dcsr_layer_validate, every kernel
// equals the portable reference bit for bit, and `scratch` is uninitialised memory, 16-byte
// aligned, of at least the bytes that the matching *_scratch_bytes function returned; NULL if that
// was 0.

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

// input [batches, input_height, input_width, cols],
// output [batches, output_height, output_width, rows].
void dcsr_dense_conv1x1(const DcsrLayer* layer, const DcsrConvShape* shape, const int8_t* input,
                        int8_t* output, void* scratch);

size_t dcsr_dense_fully_connected_scratch_bytes(const DcsrLayer* layer, int32_t batches);

// input [batches, cols], output [batches, rows].
void dcsr_dense_fully_connected(const DcsrLayer* layer, int32_t batches, const int8_t* input,
                                int8_t* output, void* scratch);

// Any filter, by the product for 1x1 filters of the patches of a few pixels.
size_t dcsr_dense_conv2d_scratch_bytes(const DcsrLayer* layer, const DcsrConvShape* shape);

void dcsr_dense_conv2d(const DcsrLayer* layer, const DcsrConvShape* shape, const int8_t* input,
                       int8_t* output, void* scratch);

// Int16 activations; shapes as in kernels.h.
size_t dcsr_dense_conv2d_int16_scratch_bytes(const DcsrLayer* layer, const DcsrConvShape* shape);

void dcsr_dense_conv2d_int16(const DcsrLayer* layer, const DcsrConvShape* shape,
                             const int16_t* input, int16_t* output, void* scratch);

void dcsr_dense_fully_connected_int16(const DcsrLayer* layer, int32_t batches, const int16_t* input,
                                      int16_t* output);

#ifdef __cplusplus
}
#endif

#endif  // DCSR_TFLM_KERNELS_BASELINE_DENSE_BASELINE_H_
