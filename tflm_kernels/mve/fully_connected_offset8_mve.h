// Fully connected layer with MVE, offset8: fully_connected_offset8_mve.c.

#ifndef DCSR_TFLM_KERNELS_MVE_FULLY_CONNECTED_OFFSET8_MVE_H_
#define DCSR_TFLM_KERNELS_MVE_FULLY_CONNECTED_OFFSET8_MVE_H_

#include <stdint.h>

#include "tflm_kernels/packed_layer.h"

#ifdef __cplusplus
extern "C" {
#endif

// Multiplies one vector: input [cols], output [rows]. The encoding has to be offset8.
void dcsr_fully_connected_offset8_mve(const DcsrLayer* layer, const int8_t* input, int8_t* output);

#ifdef __cplusplus
}
#endif

#endif  // DCSR_TFLM_KERNELS_MVE_FULLY_CONNECTED_OFFSET8_MVE_H_
