// Kernels of CONV_2D for Cortex-M3.

#include "tflm_kernels/dispatch/tables.h"
#include "tflm_kernels/reference/reference.h"
#include "tflm_kernels/scalar/scalar.h"

DCSR_DEFINE_CONV2D_KERNELS(kDcsrConv2dArmv7m, ARMV7M, DCSR_KERNEL_ENTRY, NULL);
