// The products, as the ops call them: those with int16 in their name for layers with int16
// activations, the others for int8. Each picks the best kernel of this build
// for the layer; every kernel equals the portable reference bit for bit.
//
// `layer` has passed dcsr_layer_parse and dcsr_layer_validate. `scratch` is
// uninitialised memory, 16-byte aligned, of at least the bytes that the
// matching
// *_scratch_bytes function returned; NULL if that was 0.

#ifndef DCSR_TFLM_KERNELS_KERNELS_H_
#define DCSR_TFLM_KERNELS_KERNELS_H_

#include <stddef.h>
#include <stdint.h>

#include "tflm_kernels/packed_layer.h"

#ifdef __cplusplus
extern "C" {
#endif

// Activation tensors of a convolution, NHWC.
typedef struct {
  int32_t batches;
  int32_t input_height;
  int32_t input_width;
  int32_t output_height;  // 1x1 filter: ceil(input_height / stride_h); else conv_geometry.h
  int32_t output_width;
} DcsrConvShape;

size_t dcsr_conv2d_scratch_bytes(const DcsrLayer* layer, const DcsrConvShape* shape);

// Any filter: input [batches, input_height, input_width, channels],
// output [batches, output_height, output_width, rows].
void dcsr_conv2d(const DcsrLayer* layer, const DcsrConvShape* shape, const int8_t* input,
                 int8_t* output, void* scratch);

// What dcsr_conv2d() calls for a 1x1 filter.
size_t dcsr_conv1x1_scratch_bytes(const DcsrLayer* layer, const DcsrConvShape* shape);

// input [batches, input_height, input_width, cols],
// output [batches, output_height, output_width, rows].
void dcsr_conv1x1(const DcsrLayer* layer, const DcsrConvShape* shape, const int8_t* input,
                  int8_t* output, void* scratch);

size_t dcsr_fully_connected_scratch_bytes(const DcsrLayer* layer, int32_t batches);

// input [batches, cols], output [batches, rows].
void dcsr_fully_connected(const DcsrLayer* layer, int32_t batches, const int8_t* input,
                          int8_t* output, void* scratch);

size_t dcsr_conv2d_int16_scratch_bytes(const DcsrLayer* layer, const DcsrConvShape* shape);

// As dcsr_conv2d().
void dcsr_conv2d_int16(const DcsrLayer* layer, const DcsrConvShape* shape, const int16_t* input,
                       int16_t* output, void* scratch);

// As dcsr_fully_connected(), without scratch.
void dcsr_fully_connected_int16(const DcsrLayer* layer, int32_t batches, const int16_t* input,
                                int16_t* output);

#ifdef __cplusplus
}
#endif

#endif  // DCSR_TFLM_KERNELS_KERNELS_H_
