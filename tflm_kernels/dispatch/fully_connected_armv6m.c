// Kernels of FULLY_CONNECTED for Cortex-M0, M0+ and M23.

#include "tflm_kernels/dispatch/tables.h"
#include "tflm_kernels/reference/reference.h"
#include "tflm_kernels/scalar/scalar.h"

DCSR_DEFINE_FULLY_CONNECTED_KERNELS(kDcsrFullyConnectedArmv6m, ARMV6M, DCSR_KERNEL_ENTRY, NULL);
