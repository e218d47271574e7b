// Kernels of FULLY_CONNECTED for any target: the portable kernels.

#include "tflm_kernels/dispatch/tables.h"
#include "tflm_kernels/reference/reference.h"

DCSR_DEFINE_FULLY_CONNECTED_KERNELS(kDcsrFullyConnectedReference, REFERENCE, DCSR_KERNEL_ENTRY,
                                    NULL);
