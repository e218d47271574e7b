// Kernels of DEPTHWISE_CONV_2D for any target: the portable kernels.

#include "tflm_kernels/dispatch/tables.h"
#include "tflm_kernels/reference/reference.h"

DCSR_DEFINE_DEPTHWISE_CONV2D_KERNELS(kDcsrDepthwiseConv2dReference, REFERENCE, DCSR_KERNEL_ENTRY,
                                     NULL);
