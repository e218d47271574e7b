// What conv2d_dense_mve and conv2d_dense_planes_mve share: patches in scratch, and their products.

#ifndef DCSR_TFLM_KERNELS_MVE_CONV2D_DENSE_MVE_H_
#define DCSR_TFLM_KERNELS_MVE_CONV2D_DENSE_MVE_H_

#include <stddef.h>
#include <stdint.h>

#include "tflm_kernels/common/patches.h"
#include "tflm_kernels/kernels.h"
#include "tflm_kernels/packed_layer.h"

#ifdef __cplusplus
extern "C" {
#endif

// Copies a patch to `out`, int8 [pitch] (dcsr_conv2d_dense_mve_pitch()).
void dcsr_copy_patch_mve(const DcsrLayer* layer, const DcsrConvShape* shape, const DcsrPatch* patch,
                         size_t pitch, int8_t* out);

// Computes sums of `rows` rows, 0 < rows <= kDcsrDenseMveRows, for `count` >= 2 patches, without
// bias. `weights`: int8 [rows][cols]. `sums`: int32 [kDcsrDenseMveRows][count].
void dcsr_multiply_patches_mve(const int8_t* weights, uint32_t rows, uint32_t cols,
                               const int8_t* patches, size_t pitch, size_t count, int32_t* sums);

#ifdef __cplusplus
}
#endif

#endif  // DCSR_TFLM_KERNELS_MVE_CONV2D_DENSE_MVE_H_
