// Planner of conv1x1_smlal (plan_conv1x1_smlal.h).

#include "tflm_kernels/planning/plan_conv1x1_smlal.h"

#include "tflm_kernels/planning/planners.h"

bool dcsr_plan_conv1x1_smlal(DcsrPlanRequest* request, DcsrPlan* plan) {
  const DcsrLayer* layer = request->layer;
  // Layers with a layout have one list of kernels for all filters.
  if (layer->filter_h != 1 || layer->filter_w != 1) return false;
  const uint32_t longest = dcsr_request_longest_row(request);
  const size_t list_bytes = dcsr_conv1x1_smlal_list_entries(longest) * kDcsrSmlalListEntryBytes;
  // One word per pixel for the sum of a list, and one for the total if rows may have several lists.
  const size_t sums = dcsr_conv1x1_smlal_has_one_list(longest) ? 1 : 2;
  const size_t block_bytes =
      (size_t)layer->cols * kDcsrSmlalColumnBytes + sums * kDcsrSmlalBlockPixels * sizeof(uint32_t);
  plan->longest_row = longest;
  return dcsr_plan_blocks(request, list_bytes, block_bytes, kDcsrSmlalBlockPixels, plan);
}
