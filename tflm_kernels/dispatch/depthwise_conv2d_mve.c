// Kernels of DEPTHWISE_CONV_2D for Cortex-M55 and M85.

#include "tflm_kernels/dispatch/tables.h"

#if DCSR_HAS_MVE

#include "tflm_kernels/mve/mve.h"
#include "tflm_kernels/reference/reference.h"

DCSR_DEFINE_DEPTHWISE_CONV2D_KERNELS(kDcsrDepthwiseConv2dMve, MVE, DCSR_KERNEL_ENTRY, NULL);

#endif  // DCSR_HAS_MVE
