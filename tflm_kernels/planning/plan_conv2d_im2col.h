// Division of the scratch of conv2d_im2col, and the 1x1 convolution that it makes of a tile.
//
// Scratch: patches of a tile, int8 [pixels][filter_h][filter_w][channels], padded to 16 bytes;
//          scratch of the 1x1 kernel, plan->inner_bytes bytes.

#ifndef DCSR_TFLM_KERNELS_PLANNING_PLAN_CONV2D_IM2COL_H_
#define DCSR_TFLM_KERNELS_PLANNING_PLAN_CONV2D_IM2COL_H_

#include <stddef.h>

#include "tflm_kernels/packed_layer.h"
#include "tflm_kernels/planning/planners.h"

enum {
  kDcsrTileStep = 8,  // pixels; the narrowest block of the 1x1 kernels
  kDcsrPatchAlignment = 16,
};

// Returns the layer of a tile: a 1x1 convolution with the same matrix, whose channels are the
// columns of the patches.
static inline DcsrLayer dcsr_tile_layer(const DcsrLayer* layer) {
  DcsrLayer tile = *layer;
  tile.stride_h = tile.stride_w = 1;
  tile.filter_h = tile.filter_w = 1;
  tile.dilation_h = tile.dilation_w = 1;
  tile.same_padding = false;
  tile.channels = layer->cols;
  return tile;
}

// Bytes of the patches of a tile.
static inline size_t dcsr_patch_bytes(const DcsrLayer* layer, size_t tile_pixels) {
  return (tile_pixels * layer->cols + kDcsrPatchAlignment - 1) / kDcsrPatchAlignment *
         kDcsrPatchAlignment;
}

// Plans the 1x1 convolution of a tile of `pixels` patches. `tile` is the result of
// dcsr_tile_layer(). `longest_row` is that of the layer, or 0 if it is not known.
static inline DcsrPlan dcsr_plan_tile(const DcsrKernels* kernels, const DcsrLayer* tile,
                                      size_t pixels, size_t budget, uint32_t longest_row) {
  DcsrPlanRequest request = {tile, kernels, pixels, budget, longest_row, NULL};
  DcsrPlan plan;
  dcsr_plan_first(kernels->pointwise, &request, &plan);
  return plan;
}

#endif  // DCSR_TFLM_KERNELS_PLANNING_PLAN_CONV2D_IM2COL_H_
