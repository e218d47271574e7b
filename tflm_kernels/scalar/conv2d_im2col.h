// conv2d_im2col.c: convolution with any filter by a kernel for 1x1 filters.

#ifndef DCSR_TFLM_KERNELS_SCALAR_CONV2D_IM2COL_H_
#define DCSR_TFLM_KERNELS_SCALAR_CONV2D_IM2COL_H_

#include <stddef.h>
#include <stdint.h>

#include "tflm_kernels/kernels.h"

#ifdef __cplusplus
extern "C" {
#endif

// A kernel for 1x1 filters. It works with any scratch, aligned to 16: its scratch_bytes() is the
// most that is of use within `budget`.
typedef struct {
  size_t (*scratch_bytes)(const DcsrLayer* layer, const DcsrConvShape* shape, size_t budget);
  void (*run)(const DcsrLayer* layer, const DcsrConvShape* shape, const int8_t* input,
              int8_t* output, void* scratch, size_t scratch_bytes);
} DcsrConv1x1Kernel;

// Bytes of scratch to give to dcsr_conv2d_im2col(): the most that is of use within `budget`; 0 if
// `budget` is too small for it to work with.
size_t dcsr_conv2d_im2col_scratch_bytes(const DcsrLayer* layer, const DcsrConvShape* shape,
                                        size_t budget, const DcsrConv1x1Kernel* kernel);

// Contract as in kernels.h. The outputs are the same for any scratch_bytes; with too few it is
// dcsr_conv2d_ref(). Scratch is aligned to 16.
void dcsr_conv2d_im2col(const DcsrLayer* layer, const DcsrConvShape* shape, const int8_t* input,
                        int8_t* output, void* scratch, size_t scratch_bytes,
                        const DcsrConv1x1Kernel* kernel);

#ifdef __cplusplus
}
#endif

#endif  // DCSR_TFLM_KERNELS_SCALAR_CONV2D_IM2COL_H_
