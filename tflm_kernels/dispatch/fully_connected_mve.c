#include "tflm_kernels/dispatch/tables.h"

#if DCSR_HAS_MVE

#include "tflm_kernels/mve/mve.h"
#include "tflm_kernels/scalar/scalar.h"

// One kernel, with a planner of its own: a FULLY_CONNECTED gathers any number of batches.
#define dcsr_fully_connected_gather_mve dcsr_conv1x1_gather_mve

DCSR_DEFINE_FULLY_CONNECTED_KERNELS(kDcsrFullyConnectedMve, MVE, DCSR_KERNEL_ENTRY, NULL);

#endif  // DCSR_HAS_MVE
