// The table of CONV_2D for the core that this build is for.

#include "tflm_kernels/dispatch/tables.h"

const DcsrKernels* dcsr_conv2d_kernels(void) { return &DCSR_TABLE_OF_THIS_CORE(Conv2d); }
