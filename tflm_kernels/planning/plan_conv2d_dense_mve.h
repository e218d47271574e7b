// Division of the scratch of conv2d_dense_mve, and the layers that it takes.
//
// Scratch: patches of a tile, int8 [pixels][pitch], pitch = 16, 32 or 48, bytes behind the filter
//          unspecified;
//          sums of the tile, int32 [4 rows][pixels].

#ifndef DCSR_TFLM_KERNELS_PLANNING_PLAN_CONV2D_DENSE_MVE_H_
#define DCSR_TFLM_KERNELS_PLANNING_PLAN_CONV2D_DENSE_MVE_H_

#include <stddef.h>
#include <stdint.h>

enum {
  kDcsrDenseMveVector = 16,    // bytes
  kDcsrDenseMveMostCols = 48,  // three vectors
  kDcsrDenseMveRows = 4,       // whose sums are requantized together
  // Pixels of a tile. More gain little, but take more scratch. With many rows they gain more, and
  // the output, beside which scratch is allocated, is larger.
  kDcsrDenseMveMostPixels = 128,
  kDcsrDenseMveManyRows = 128,
  kDcsrDenseMveMostPixelsOfManyRows = 256,
};

// Bytes of a patch in scratch.
static inline size_t dcsr_conv2d_dense_mve_pitch(uint32_t cols) {
  return ((size_t)cols + kDcsrDenseMveVector - 1) / kDcsrDenseMveVector * kDcsrDenseMveVector;
}

#endif  // DCSR_TFLM_KERNELS_PLANNING_PLAN_CONV2D_DENSE_MVE_H_
