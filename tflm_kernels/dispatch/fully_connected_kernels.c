#include "tflm_kernels/dispatch/tables.h"

const DcsrKernels* dcsr_fully_connected_kernels(void) {
  return &DCSR_TABLE_OF_THIS_CORE(FullyConnected);
}
