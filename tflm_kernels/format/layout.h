// Checks the layout of a layer: docs/format.md#layout.

#ifndef DCSR_TFLM_KERNELS_FORMAT_LAYOUT_H_
#define DCSR_TFLM_KERNELS_FORMAT_LAYOUT_H_

#include <stdbool.h>

#include "tflm_kernels/packed_layer.h"

#ifdef __cplusplus
extern "C" {
#endif

// Whether the planes of a layer that has a layout hold their map, and those of the input also the
// padding of the filter. All other fields of the layer are valid. Takes constant time.
bool dcsr_layout_is_valid(const DcsrLayer* layer);

#ifdef __cplusplus
}
#endif

#endif  // DCSR_TFLM_KERNELS_FORMAT_LAYOUT_H_
