// Planner of conv1x1_planes_mve. Its scratch is that of conv1x1_mve (plan_conv1x1_mve.h).

#include "tflm_kernels/common/layout.h"
#include "tflm_kernels/planning/planners.h"

enum { kMostGatheredPlane = 65536 };  // bytes: offsets in a plane have 16 bits

bool dcsr_plan_conv1x1_planes_mve(DcsrPlanRequest* request, DcsrPlan* plan) {
  const DcsrLayer* layer = request->layer;
  if (layer->filter_h != 1 || layer->filter_w != 1) return false;
  if (layer->stride_h != 1 || layer->stride_w != 1) return false;
  const bool is_gathered = layer->layout->is_transposed != 0 && !dcsr_has_output_planes(layer);
  if (is_gathered && request->pixels > kMostGatheredPlane) return false;
  return dcsr_plan_conv1x1_mve(request, plan);
}
