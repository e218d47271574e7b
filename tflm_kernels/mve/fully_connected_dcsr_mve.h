// Fully connected layer with MVE, dcsr with byte deltas: fully_connected_dcsr_mve.c.

#ifndef DCSR_TFLM_KERNELS_MVE_FULLY_CONNECTED_DCSR_MVE_H_
#define DCSR_TFLM_KERNELS_MVE_FULLY_CONNECTED_DCSR_MVE_H_

#include <stdbool.h>
#include <stdint.h>

#include "tflm_kernels/packed_layer.h"

#ifdef __cplusplus
extern "C" {
#endif

// Whether the kernel accepts the layer: dcsr with deltas of 8 bits, plain values, no escaped base.
bool dcsr_fully_connected_dcsr_mve_takes(const DcsrLayer* layer);

// Multiplies one vector: input [cols], output [rows].
void dcsr_fully_connected_dcsr_mve(const DcsrLayer* layer, const int8_t* input, int8_t* output);

#ifdef __cplusplus
}
#endif

#endif  // DCSR_TFLM_KERNELS_MVE_FULLY_CONNECTED_DCSR_MVE_H_
