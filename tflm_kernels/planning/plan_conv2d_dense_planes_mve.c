// Planner of conv2d_dense_planes_mve (plan_conv2d_dense_planes_mve.h).

#include "tflm_kernels/planning/plan_conv2d_dense_planes_mve.h"

#include "tflm_kernels/common/layout.h"
#include "tflm_kernels/planning/planners.h"

bool dcsr_plan_conv2d_dense_planes_mve(DcsrPlanRequest* request, DcsrPlan* plan) {
  const DcsrLayer* layer = request->layer;
  if (!dcsr_has_output_planes(layer)) return false;
  if (dcsr_has_input_planes(layer) && layer->channels > 1) return false;
  if (request->budget < kDcsrDensePlanesOrderBytes) return false;
  DcsrPlanRequest rest = *request;
  rest.budget -= kDcsrDensePlanesOrderBytes;
  if (!dcsr_plan_conv2d_dense_mve(&rest, plan)) return false;
  plan->scratch_bytes += kDcsrDensePlanesOrderBytes;
  return true;
}
