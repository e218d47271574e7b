// conv1x1_mve.c: cores with MVE (Cortex-M55, M85). It runs on any, but is not fast on others.

#ifndef DCSR_TFLM_KERNELS_MVE_CONV1X1_MVE_H_
#define DCSR_TFLM_KERNELS_MVE_CONV1X1_MVE_H_

#include <stdbool.h>
#include <stddef.h>

#include "tflm_kernels/kernels.h"

#ifdef __cplusplus
extern "C" {
#endif

// Bytes of scratch that dcsr_conv1x1_mve() takes: the most that is of use within `budget`; 0 if it
// cannot work with the layer, the shape or the budget.
size_t dcsr_conv1x1_mve_scratch_bytes(const DcsrLayer* layer, const DcsrConvShape* shape,
                                      size_t budget);

// Contract as in kernels.h. The outputs are the same for any budget; false, and none, if that is
// one for which the function above returns 0. Scratch is aligned to 4.
bool dcsr_conv1x1_mve(const DcsrLayer* layer, const DcsrConvShape* shape, const int8_t* input,
                      int8_t* output, void* scratch, size_t budget);

#ifdef __cplusplus
}
#endif

#endif  // DCSR_TFLM_KERNELS_MVE_CONV1X1_MVE_H_
