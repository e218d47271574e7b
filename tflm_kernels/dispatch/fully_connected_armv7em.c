// Kernels of FULLY_CONNECTED for Cortex-M4, M7 and M33.

#include "tflm_kernels/dispatch/tables.h"
#include "tflm_kernels/reference/reference.h"
#include "tflm_kernels/scalar/scalar.h"

DCSR_DEFINE_FULLY_CONNECTED_KERNELS(kDcsrFullyConnectedArmv7em, ARMV7EM, DCSR_KERNEL_ENTRY, NULL);
