// Planner of depthwise_conv2d_planes_mve (plan_depthwise_conv2d_planes_mve.h).

#include "tflm_kernels/planning/plan_depthwise_conv2d_planes_mve.h"

#include "tflm_kernels/planning/planners.h"

bool dcsr_plan_depthwise_conv2d_planes_mve(DcsrPlanRequest* request, DcsrPlan* plan) {
  const DcsrLayer* layer = request->layer;
  const DcsrConvShape* shape = request->shape;
  if (!dcsr_is_dense_on_planes(layer) || layer->cols > kDcsrDepthwiseMostTaps) return false;
  if (request->pixels < kDcsrPlaneLeastPixels) return false;
  const uint64_t input_pixels = (uint64_t)shape->input_height * (uint64_t)shape->input_width;
  if (input_pixels > kDcsrPlaneMostPlaces || request->pixels > kDcsrPlaneMostPlaces) return false;
  const DcsrPlaneCopies copies = dcsr_plane_copies(layer, shape);
  const uint64_t copied = (uint64_t)copies.count * copies.bytes;
  if (copied > kDcsrPlaneMostPlaces) return false;
  const uint64_t places =
      dcsr_plane_vectors(dcsr_plane_pads(layer, shape, &copies)) + dcsr_plane_sources(&copies);
  const uint64_t bytes =
      copied + places * sizeof(uint16_t) + 2 * dcsr_planes_words(layer->cols) * sizeof(int32_t);
  if (bytes > request->budget) return false;
  plan->scratch_bytes = (size_t)bytes;
  return true;
}
