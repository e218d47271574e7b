// The portable kernels: every encoding, any target, no scratch. They read like the formula and are
// the oracle of the kernels for particular cores.

#ifndef DCSR_TFLM_KERNELS_REFERENCE_REFERENCE_H_
#define DCSR_TFLM_KERNELS_REFERENCE_REFERENCE_H_

#include "tflm_kernels/kernels.h"

#ifdef __cplusplus
extern "C" {
#endif

// They do not read `plan` and `scratch`, which may be NULL.
DcsrRun dcsr_conv1x1_ref;
DcsrRun dcsr_conv2d_ref;
DcsrRun dcsr_conv2d_int16_ref;  // any filter, and FULLY_CONNECTED
DcsrRun dcsr_fully_connected_ref;

#ifdef __cplusplus
}
#endif

#endif  // DCSR_TFLM_KERNELS_REFERENCE_REFERENCE_H_
