// conv1x1_smlal.c: cores with SMLAL and LDRD. It runs on any, but is not fast on others.

#ifndef DCSR_TFLM_KERNELS_SCALAR_CONV1X1_SMLAL_H_
#define DCSR_TFLM_KERNELS_SCALAR_CONV1X1_SMLAL_H_

#include <stddef.h>

#include "tflm_kernels/kernels.h"

#ifdef __cplusplus
extern "C" {
#endif

// Bytes of scratch to give to dcsr_conv1x1_smlal(): the most that is of use within `budget`; 0 if
// `budget` is too small for it to work with.
size_t dcsr_conv1x1_smlal_scratch_bytes(const DcsrLayer* layer, const DcsrConvShape* shape,
                                        size_t budget);

// Contract as in kernels.h. The outputs are the same for any scratch_bytes; with too few it is
// dcsr_conv1x1_ref(). Scratch is aligned to 4.
void dcsr_conv1x1_smlal(const DcsrLayer* layer, const DcsrConvShape* shape, const int8_t* input,
                        int8_t* output, void* scratch, size_t scratch_bytes);

#ifdef __cplusplus
}
#endif

#endif  // DCSR_TFLM_KERNELS_SCALAR_CONV1X1_SMLAL_H_
