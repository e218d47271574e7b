// The portable kernels. They take every encoding, run on any target and need no scratch. Their code
// follows the formulas of docs/format.md, and all other kernels are tested against them.

#ifndef DCSR_TFLM_KERNELS_REFERENCE_REFERENCE_H_
#define DCSR_TFLM_KERNELS_REFERENCE_REFERENCE_H_

#include "tflm_kernels/kernels.h"

#ifdef __cplusplus
extern "C" {
#endif

// `plan` and `scratch` are not read and may be NULL.
DcsrRun dcsr_conv1x1_ref;
DcsrRun dcsr_conv2d_ref;
DcsrRun dcsr_conv2d_int16_ref;  // any filter; also FULLY_CONNECTED
DcsrRun dcsr_depthwise_conv2d_ref;
DcsrRun dcsr_fully_connected_ref;

#ifdef __cplusplus
}
#endif

#endif  // DCSR_TFLM_KERNELS_REFERENCE_REFERENCE_H_
