// Planner of conv2d_dense_mve (plan_conv2d_dense_mve.h).

#include "tflm_kernels/planning/plan_conv2d_dense_mve.h"

#include "tflm_kernels/planning/planners.h"

// Plans tiles of about the same, even number of pixels. No tile has a single pixel, because the
// kernel multiplies two at a time.
bool dcsr_plan_conv2d_dense_mve(DcsrPlanRequest* request, DcsrPlan* plan) {
  const DcsrLayer* layer = request->layer;
  if (layer->encoding != kDcsrEncodingDense || layer->value_coding != kDcsrValuesPlain)
    return false;
  if (layer->cols > kDcsrDenseMveMostCols || request->pixels < 2) return false;
  // A depthwise convolution of one channel is a convolution.
  if (layer->channels > 1 && layer->op == kDcsrOpDepthwiseConv2d) return false;
  const size_t pixel_bytes =
      dcsr_conv2d_dense_mve_pitch(layer->cols) + kDcsrDenseMveRows * sizeof(int32_t);
  DcsrPlanRequest limited = *request;
  const size_t most = layer->rows < kDcsrDenseMveManyRows ? kDcsrDenseMveMostPixels
                                                          : kDcsrDenseMveMostPixelsOfManyRows;
  if (limited.budget > most * pixel_bytes) limited.budget = most * pixel_bytes;
  if (!dcsr_plan_blocks(&limited, 0, 2 * pixel_bytes, 2, plan)) return false;
  while (plan->tile_pixels > 2 && request->pixels % plan->tile_pixels == 1) plan->tile_pixels -= 2;
  if (request->pixels % plan->tile_pixels == 1) return false;
  plan->scratch_bytes = plan->tile_pixels * pixel_bytes;
  return true;
}
