// Kernels for cores without vectors. They take every encoding and run on every target. Kernel
// dcsr_<name> is in <name>.c, its planner in planning/plan_<name>.c. The fully connected kernels
// share plan_fully_connected.c.

#ifndef DCSR_TFLM_KERNELS_SCALAR_SCALAR_H_
#define DCSR_TFLM_KERNELS_SCALAR_SCALAR_H_

#include "tflm_kernels/kernels.h"

#ifdef __cplusplus
extern "C" {
#endif

DcsrRun dcsr_conv1x1_c;         // 32-bit multiplications (Cortex-M0+, M23)
DcsrRun dcsr_conv1x1_smlal;     // SMLAL and LDRD (Cortex-M3 and later)
DcsrRun dcsr_conv2d_dense_dsp;  // dense weights, SMLAD (Cortex-M4, M7, M33)
DcsrRun dcsr_conv2d_im2col;     // larger filters; calls a 1x1 kernel of plan->kernels
DcsrRun dcsr_conv2d_int16_c;
DcsrRun dcsr_depthwise_conv2d_dense_dsp;   // SMLAD (Cortex-M4, M7, M33)
DcsrRun dcsr_depthwise_conv2d_planes_dsp;  // planes, SMLAD
DcsrRun dcsr_fully_connected_c;
DcsrRun dcsr_fully_connected_int16_c;

// Parts of kernels, for some codings. A firmware links only their decoders.
DcsrRun dcsr_conv1x1_smlal_groups;   // any coding
DcsrRun dcsr_conv1x1_smlal_nibbles;  // dcsr with deltas of 4 bits, plain values

#ifdef __cplusplus
}
#endif

#endif  // DCSR_TFLM_KERNELS_SCALAR_SCALAR_H_
