// Planner of conv2d_dense_dsp (plan_conv2d_dense_dsp.h).

#include "tflm_kernels/planning/plan_conv2d_dense_dsp.h"

#include "tflm_kernels/planning/planners.h"

bool dcsr_plan_conv2d_dense_dsp(DcsrPlanRequest* request, DcsrPlan* plan) {
  const DcsrLayer* layer = request->layer;
  if (layer->encoding != kDcsrEncodingDense || layer->value_coding != kDcsrValuesPlain) {
    return false;
  }
  // The last block of a map overlaps its neighbour instead of ending early.
  if (request->pixels < kDcsrDspBlockPixels || layer->cols >= kDcsrDspMostTaps) return false;
  const size_t patch_bytes = (size_t)dcsr_dsp_groups(layer->cols) * kDcsrDspGroupTaps;
  const size_t fixed_bytes = dcsr_dsp_weight_words(layer->cols) * sizeof(uint32_t) + patch_bytes;
  const size_t block_bytes = dcsr_dsp_block_words(layer->cols) * sizeof(uint32_t);
  const size_t most = fixed_bytes + kDcsrDspMostBlocks * block_bytes;
  DcsrPlanRequest limited = *request;
  if (limited.budget > most) limited.budget = most;
  return dcsr_plan_blocks(&limited, fixed_bytes, block_bytes, kDcsrDspBlockPixels, plan);
}
