// The table of DEPTHWISE_CONV_2D for the core that this build is for.

#include "tflm_kernels/dispatch/tables.h"

const DcsrKernels* dcsr_depthwise_conv2d_kernels(void) {
  return &DCSR_TABLE_OF_THIS_CORE(DepthwiseConv2d);
}
