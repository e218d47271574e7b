// Applies the activation's range to outputs that are limited to int8 already.

#ifndef DCSR_TFLM_KERNELS_SCALAR_CLAMP_DSP_H_
#define DCSR_TFLM_KERNELS_SCALAR_CLAMP_DSP_H_

#include <stddef.h>
#include <stdint.h>

#include "tflm_kernels/packed_layer.h"

// Limits `count` outputs to the layer's range. Does nothing if the range is all of int8, as it is
// with most activations.
void dcsr_clamp_dsp(const DcsrLayer* layer, size_t count, int8_t* output);

#endif  // DCSR_TFLM_KERNELS_SCALAR_CLAMP_DSP_H_
