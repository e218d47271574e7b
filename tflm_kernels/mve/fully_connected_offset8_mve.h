// fully_connected_offset8_mve.c: cores with MVE.

#ifndef DCSR_TFLM_KERNELS_MVE_FULLY_CONNECTED_OFFSET8_MVE_H_
#define DCSR_TFLM_KERNELS_MVE_FULLY_CONNECTED_OFFSET8_MVE_H_

#include <stdint.h>

#include "tflm_kernels/packed_layer.h"

#ifdef __cplusplus
extern "C" {
#endif

// One vector: input [cols], output [rows]. The encoding is offset8.
void dcsr_fully_connected_offset8_mve(const DcsrLayer* layer, const int8_t* input, int8_t* output);

#ifdef __cplusplus
}
#endif

#endif  // DCSR_TFLM_KERNELS_MVE_FULLY_CONNECTED_OFFSET8_MVE_H_
