// Kernels of CONV_2D for Cortex-M55 and M85.

#include "tflm_kernels/dispatch/tables.h"

#if DCSR_HAS_MVE

#include "tflm_kernels/mve/mve.h"
#include "tflm_kernels/reference/reference.h"
#include "tflm_kernels/scalar/scalar.h"

DCSR_DEFINE_CONV2D_KERNELS(kDcsrConv2dMve, MVE, DCSR_KERNEL_ENTRY, dcsr_longest_row_mve);

#endif  // DCSR_HAS_MVE
