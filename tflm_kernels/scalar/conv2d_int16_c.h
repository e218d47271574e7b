// conv2d_int16_c.c: any core.

#ifndef DCSR_TFLM_KERNELS_SCALAR_CONV2D_INT16_C_H_
#define DCSR_TFLM_KERNELS_SCALAR_CONV2D_INT16_C_H_

#include <stddef.h>

#include "tflm_kernels/kernels.h"

#ifdef __cplusplus
extern "C" {
#endif

// Bytes of scratch to give to dcsr_conv2d_int16_c(): the most that is of use within `budget`; 0 if
// `budget` is too small for it to work with.
size_t dcsr_conv2d_int16_c_scratch_bytes(const DcsrLayer* layer, const DcsrConvShape* shape,
                                         size_t budget);

// Contract as in kernels.h. The outputs are the same for any scratch_bytes; with too few it is
// dcsr_conv2d_int16_ref(). Scratch is aligned to 8.
void dcsr_conv2d_int16_c(const DcsrLayer* layer, const DcsrConvShape* shape, const int16_t* input,
                         int16_t* output, void* scratch, size_t scratch_bytes);

#ifdef __cplusplus
}
#endif

#endif  // DCSR_TFLM_KERNELS_SCALAR_CONV2D_INT16_C_H_
