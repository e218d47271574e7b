// Product of the weight matrix with a tile of activation vectors, shared by the portable kernels.

#ifndef DCSR_TFLM_KERNELS_REFERENCE_TILE_REF_H_
#define DCSR_TFLM_KERNELS_REFERENCE_TILE_REF_H_

#include <stddef.h>
#include <stdint.h>

#include "tflm_kernels/packed_layer.h"
#include "tflm_kernels/planning/plan_ref.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { kDcsrTileVectors = kDcsrRefTilePixels };

// Computes output[v][row] for `count` <= kDcsrTileVectors vectors of `cols` activations.
void dcsr_tile_ref(const DcsrLayer* layer, const int8_t* const vectors[], size_t count,
                   int8_t* output);

#ifdef __cplusplus
}
#endif

#endif  // DCSR_TFLM_KERNELS_REFERENCE_TILE_REF_H_
