// Planner of depthwise_conv2d_dense_dsp (plan_depthwise_conv2d_dense_dsp.h).

#include "tflm_kernels/planning/plan_depthwise_conv2d_dense_dsp.h"

#include "tflm_kernels/planning/planners.h"

// Whether the kernel has code for the filter: 3x3 with stride 1 or 2, 5x5 with stride 1.
static bool takes_filter(const DcsrLayer* layer) {
  if (layer->filter_h != layer->filter_w || layer->stride_h != layer->stride_w) return false;
  if (layer->dilation_h != 1 || layer->dilation_w != 1) return false;
  if (layer->filter_w == 3) return layer->stride_w <= 2;
  return layer->filter_w == 5 && layer->stride_w == 1;
}

bool dcsr_plan_depthwise_conv2d_dense_dsp(DcsrPlanRequest* request, DcsrPlan* plan) {
  const DcsrLayer* layer = request->layer;
  const DcsrConvShape* shape = request->shape;
  if (layer->encoding != kDcsrEncodingDense || layer->value_coding != kDcsrValuesPlain) {
    return false;
  }
  const uint32_t planes = dcsr_depthwise_dsp_planes(layer);
  if (layer->depth_multiplier != 1 || layer->channels < planes) return false;
  if (!takes_filter(layer)) return false;
  const bool is_transposed = dcsr_depthwise_is_transposed(shape);
  const uint32_t length = (uint32_t)(is_transposed ? shape->output_height : shape->output_width);
  const uint32_t rows = (uint32_t)(is_transposed ? shape->output_width : shape->output_height);
  // Two neighbours of a row are computed together.
  if (length < 2) return false;
  const size_t width = dcsr_depthwise_plane_width(length, layer->stride_w, layer->filter_w);
  const size_t row_bytes = width * planes * sizeof(uint32_t);
  const size_t all = ((size_t)rows + kDcsrDepthwiseStripRows - 1) / kDcsrDepthwiseStripRows;
  const size_t first = dcsr_depthwise_pair_rows(1, layer->stride_w, layer->filter_w);
  if (request->budget / row_bytes < first) return false;
  const size_t wanted =
      kDcsrDepthwiseMostBytes > first * row_bytes ? kDcsrDepthwiseMostBytes : first * row_bytes;
  const size_t budget = request->budget < wanted ? request->budget : wanted;
  // Each further strip takes `stride` pair rows.
  const size_t most = 1 + (budget / row_bytes - first) / layer->stride_w;
  const size_t tiles = (all + most - 1) / most;
  const size_t strips = (all + tiles - 1) / tiles;
  plan->tile_pixels = strips * kDcsrDepthwiseStripRows * length;
  plan->scratch_bytes =
      dcsr_depthwise_pair_rows(strips, layer->stride_w, layer->filter_w) * row_bytes;
  return true;
}
