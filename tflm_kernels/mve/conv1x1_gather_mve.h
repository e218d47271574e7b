// conv1x1_gather_mve.c: cores with MVE, for convolutions with few pixels and FULLY_CONNECTED.

#ifndef DCSR_TFLM_KERNELS_MVE_CONV1X1_GATHER_MVE_H_
#define DCSR_TFLM_KERNELS_MVE_CONV1X1_GATHER_MVE_H_

#include "tflm_kernels/kernels.h"

#ifdef __cplusplus
extern "C" {
#endif

// Contract as in kernels.h; any number of pixels, every encoding, no scratch, 2.5 KB of stack. A
// FULLY_CONNECTED layer is a convolution over `batches` images of one pixel.
void dcsr_conv1x1_gather_mve(const DcsrLayer* layer, const DcsrConvShape* shape,
                             const int8_t* input, int8_t* output);

#ifdef __cplusplus
}
#endif

#endif  // DCSR_TFLM_KERNELS_MVE_CONV1X1_GATHER_MVE_H_
