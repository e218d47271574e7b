// The portable kernels: every encoding, any target, no scratch. They read like
// the formula and are the oracle of the kernels for particular cores. Contracts
// as in kernels.h.

#ifndef DCSR_TFLM_KERNELS_REFERENCE_REFERENCE_H_
#define DCSR_TFLM_KERNELS_REFERENCE_REFERENCE_H_

#include <stdint.h>

#include "tflm_kernels/kernels.h"
#include "tflm_kernels/packed_layer.h"

#ifdef __cplusplus
extern "C" {
#endif

void dcsr_conv1x1_ref(const DcsrLayer* layer, const DcsrConvShape* shape, const int8_t* input,
                      int8_t* output);

void dcsr_conv2d_ref(const DcsrLayer* layer, const DcsrConvShape* shape, const int8_t* input,
                     int8_t* output);

// FULLY_CONNECTED is a convolution of images of one pixel.
void dcsr_conv2d_int16_ref(const DcsrLayer* layer, const DcsrConvShape* shape, const int16_t* input,
                           int16_t* output);

void dcsr_fully_connected_ref(const DcsrLayer* layer, int32_t batches, const int8_t* input,
                              int8_t* output);

#ifdef __cplusplus
}
#endif

#endif  // DCSR_TFLM_KERNELS_REFERENCE_REFERENCE_H_
