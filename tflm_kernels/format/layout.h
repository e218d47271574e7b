// Checks the layout of a layer: docs/format.md#layout.

#ifndef DCSR_TFLM_KERNELS_FORMAT_LAYOUT_H_
#define DCSR_TFLM_KERNELS_FORMAT_LAYOUT_H_

#include <stdbool.h>

#include "tflm_kernels/packed_layer.h"

#ifdef __cplusplus
extern "C" {
#endif

// Whether the layout of a layer that has one is valid. All other fields of the layer are. Takes
// constant time.
bool dcsr_layout_is_valid(const DcsrLayer* layer);

#ifdef __cplusplus
}
#endif

#endif  // DCSR_TFLM_KERNELS_FORMAT_LAYOUT_H_
