// The table of FULLY_CONNECTED for the core that this build is for.

#include "tflm_kernels/dispatch/tables.h"

const DcsrKernels* dcsr_fully_connected_kernels(void) {
  return &DCSR_TABLE_OF_THIS_CORE(FullyConnected);
}
