// Planner of depthwise_conv2d_dense_mve (plan_depthwise_conv2d_dense_mve.h).

#include "tflm_kernels/planning/plan_depthwise_conv2d_dense_mve.h"

#include "tflm_kernels/planning/planners.h"

// Plans runs of up to kDcsrDepthwiseMostRun pixels, and tiles of about the same number of blocks.
bool dcsr_plan_depthwise_conv2d_dense_mve(DcsrPlanRequest* request, DcsrPlan* plan) {
  const DcsrLayer* layer = request->layer;
  if (layer->encoding != kDcsrEncodingDense || layer->value_coding != kDcsrValuesPlain)
    return false;
  if (layer->depth_multiplier != 1 || layer->cols > kDcsrDepthwiseMostTaps) return false;
  size_t pixels = (size_t)request->shape->output_width;
  if (pixels > kDcsrDepthwiseMostRun) pixels = kDcsrDepthwiseMostRun;
  while (pixels > 1 && dcsr_depthwise_mve_scratch_bytes(layer, 1, pixels) > request->budget) {
    pixels /= 2;
  }
  const size_t least = dcsr_depthwise_mve_scratch_bytes(layer, 1, pixels);
  if (least > request->budget) return false;
  const size_t block = dcsr_depthwise_mve_scratch_bytes(layer, 2, pixels) - least;
  size_t most = 1 + (request->budget - least) / block;
  if (most * block > kDcsrDepthwiseMostTileBytes) most = 1 + kDcsrDepthwiseMostTileBytes / block;
  const size_t all = layer->rows < kDcsrDepthwiseBlock ? 1 : layer->rows / kDcsrDepthwiseBlock;
  const size_t tiles = (all + most - 1) / most;
  const size_t blocks = (all + tiles - 1) / tiles;
  plan->tile_pixels = pixels;
  plan->tile_channels = blocks * kDcsrDepthwiseBlock;
  plan->scratch_bytes = dcsr_depthwise_mve_scratch_bytes(layer, blocks, pixels);
  return true;
}
