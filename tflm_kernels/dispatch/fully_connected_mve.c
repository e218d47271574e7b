// Kernels of FULLY_CONNECTED for Cortex-M55 and M85.

#include "tflm_kernels/dispatch/tables.h"

#if DCSR_HAS_MVE

#include "tflm_kernels/mve/mve.h"
#include "tflm_kernels/scalar/scalar.h"

// The gather kernel of CONV_2D, with another planner: FULLY_CONNECTED gathers any number of
// batches.
#define dcsr_fully_connected_gather_mve dcsr_conv1x1_gather_mve

DCSR_DEFINE_FULLY_CONNECTED_KERNELS(kDcsrFullyConnectedMve, MVE, DCSR_KERNEL_ENTRY, NULL);

#endif  // DCSR_HAS_MVE
