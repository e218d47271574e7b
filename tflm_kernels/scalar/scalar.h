// Kernels for cores without vectors, every encoding. They run on every target. Each is in the file
// of its name, its scratch in the planner of its name.

#ifndef DCSR_TFLM_KERNELS_SCALAR_SCALAR_H_
#define DCSR_TFLM_KERNELS_SCALAR_SCALAR_H_

#include "tflm_kernels/kernels.h"

#ifdef __cplusplus
extern "C" {
#endif

DcsrRun dcsr_conv1x1_c;      // 32-bit multiplications (Cortex-M0+, M23)
DcsrRun dcsr_conv1x1_smlal;  // SMLAL and LDRD (Cortex-M3 and later)
DcsrRun dcsr_conv2d_im2col;  // larger filters, by the pointwise kernels of plan->kernels
DcsrRun dcsr_conv2d_int16_c;
DcsrRun dcsr_fully_connected_c;
DcsrRun dcsr_fully_connected_int16_c;

#ifdef __cplusplus
}
#endif

#endif  // DCSR_TFLM_KERNELS_SCALAR_SCALAR_H_
