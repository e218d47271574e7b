// Kernels of DEPTHWISE_CONV_2D for Cortex-M4, M7 and M33.

#include "tflm_kernels/dispatch/tables.h"
#include "tflm_kernels/reference/reference.h"
#include "tflm_kernels/scalar/scalar.h"

DCSR_DEFINE_DEPTHWISE_CONV2D_KERNELS(kDcsrDepthwiseConv2dArmv7em, ARMV7EM, DCSR_KERNEL_ENTRY, NULL);
