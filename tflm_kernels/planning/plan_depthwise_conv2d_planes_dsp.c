// Planner of depthwise_conv2d_planes_dsp (plan_depthwise_conv2d_planes_dsp.h).

#include "tflm_kernels/planning/plan_depthwise_conv2d_planes_dsp.h"

#include "tflm_kernels/common/layout.h"
#include "tflm_kernels/planning/planners.h"

// Whether the filter is 3x3 with stride 1 or 2, and padding SAME.
static bool takes_filter(const DcsrLayer* layer) {
  return layer->filter_h == 3 && layer->filter_w == 3 && layer->stride_w <= 2 &&
         layer->stride_h == layer->stride_w && layer->dilation_h == 1 && layer->dilation_w == 1 &&
         layer->same_padding;
}

bool dcsr_plan_depthwise_conv2d_planes_dsp(DcsrPlanRequest* request, DcsrPlan* plan) {
  const DcsrLayer* layer = request->layer;
  if (layer->encoding != kDcsrEncodingDense || layer->value_coding != kDcsrValuesPlain) {
    return false;
  }
  if (!dcsr_has_input_planes(layer) || !dcsr_has_output_planes(layer)) return false;
  if (layer->depth_multiplier != 1 || !takes_filter(layer)) return false;
  // The used bytes of rows of an edge do not overlap: four, with stride 2 five.
  if ((uint32_t)request->shape->input_width < 3 + layer->stride_w) return false;
  const size_t bytes = 2 * dcsr_depthwise_edge_bytes(request->shape);
  if (bytes > request->budget) return false;
  plan->tile_pixels = request->pixels;
  plan->scratch_bytes = bytes;
  return true;
}
