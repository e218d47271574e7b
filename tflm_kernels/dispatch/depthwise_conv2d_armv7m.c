// Kernels of DEPTHWISE_CONV_2D for Cortex-M3.

#include "tflm_kernels/dispatch/tables.h"
#include "tflm_kernels/reference/reference.h"

DCSR_DEFINE_DEPTHWISE_CONV2D_KERNELS(kDcsrDepthwiseConv2dArmv7m, ARMV7M, DCSR_KERNEL_ENTRY, NULL);
