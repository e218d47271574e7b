// Planner of depthwise_conv2d_words_mve (plan_depthwise_conv2d_words_mve.h).

#include "tflm_kernels/planning/plan_depthwise_conv2d_words_mve.h"

#include "tflm_kernels/planning/plan_depthwise_conv2d_planes_mve.h"
#include "tflm_kernels/planning/planners.h"

// Whether four rows and four columns hold all taps of the outputs of a vector.
static bool filter_fits(const DcsrLayer* layer) {
  if (layer->dilation_w != 1 && layer->filter_w != 1) return false;
  if (layer->stride_w == 1) return layer->filter_w <= 3 && layer->filter_h <= 4;
  return layer->stride_w == 2 && layer->filter_w <= 4 && layer->filter_h <= 4;
}

bool dcsr_plan_depthwise_conv2d_words_mve(DcsrPlanRequest* request, DcsrPlan* plan) {
  const DcsrLayer* layer = request->layer;
  const DcsrConvShape* shape = request->shape;
  if (!dcsr_is_dense_on_planes(layer) || !filter_fits(layer)) return false;
  const DcsrWordsShape words = dcsr_words_mve_shape(layer, shape);
  const uint64_t other = dcsr_words_mve_other_bytes(shape, &words);
  const uint64_t fewest = dcsr_words_mve_sum_bytes(shape, &words, 1);
  if (other + fewest > request->budget) return false;
  uint64_t sets = words.sets;
  while (sets > 1 && (dcsr_words_mve_sum_bytes(shape, &words, sets) > kDcsrWordsMostSumBytes ||
                      other + dcsr_words_mve_sum_bytes(shape, &words, sets) > request->budget)) {
    sets = (sets + 1) / 2;
  }
  plan->tile_pixels = (size_t)(sets * words.set_rows) * (size_t)shape->output_width;
  plan->scratch_bytes = (size_t)(other + dcsr_words_mve_sum_bytes(shape, &words, sets));
  return true;
}
