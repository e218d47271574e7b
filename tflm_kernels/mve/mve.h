// Kernels for cores with MVE (Cortex-M55, M85). Each is in the file of its name, its scratch in the
// planner of its name. conv1x1_mve and conv1x1_planes_mve run on every target, the others exist on
// cores with MVE only.

#ifndef DCSR_TFLM_KERNELS_MVE_MVE_H_
#define DCSR_TFLM_KERNELS_MVE_MVE_H_

#include "tflm_kernels/kernels.h"

#ifdef __cplusplus
extern "C" {
#endif

DcsrRun dcsr_conv1x1_mve;  // every encoding

// The same for some encodings with plain values. A firmware links only their decoders.
DcsrRun dcsr_conv1x1_mve_groups;   // any encoding, any values
DcsrRun dcsr_conv1x1_mve_nibbles;  // dcsr
DcsrRun dcsr_conv1x1_mve_bytes;    // dcsr with byte deltas
DcsrRun dcsr_conv1x1_mve_offset8;
DcsrRun dcsr_conv1x1_mve_ones;  // rice, bitmap

// The same for layers with a layout (DcsrLayout). These also run on every target.
DcsrRun dcsr_conv1x1_planes_mve;
DcsrRun dcsr_conv1x1_planes_mve_groups;
DcsrRun dcsr_conv1x1_planes_mve_nibbles;
DcsrRun dcsr_conv1x1_planes_mve_bytes;
DcsrRun dcsr_conv1x1_planes_mve_offset8;
DcsrRun dcsr_conv1x1_planes_mve_ones;

// Any number of pixels, every encoding, 2.5 KB of stack. Also FULLY_CONNECTED, whose batches are
// images of one pixel.
DcsrRun dcsr_conv1x1_gather_mve;

// Filters of up to 48 taps times channels, dense encoding, plain values.
DcsrRun dcsr_conv2d_dense_mve;
DcsrRun dcsr_conv2d_dense_planes_mve;  // the same to planes

// Depth multiplier 1, dense encoding, plain values.
DcsrRun dcsr_depthwise_conv2d_dense_mve;
DcsrRun dcsr_depthwise_conv2d_planes_mve;  // the same for planes at both ends
DcsrRun dcsr_depthwise_conv2d_words_mve;   // the same for small filters

DcsrRun dcsr_fully_connected_offset8_mve;  // one batch, plain values
DcsrRun dcsr_fully_connected_dcsr_mve;     // one batch, byte deltas, plain values, no escapes

// Elements of the longest row (DcsrKernels.longest_row).
uint32_t dcsr_longest_row_mve(const DcsrLayer* layer);

#ifdef __cplusplus
}
#endif

#endif  // DCSR_TFLM_KERNELS_MVE_MVE_H_
