// Planner of conv1x1_c (plan_conv1x1_c.h).

#include "tflm_kernels/planning/plan_conv1x1_c.h"

#include "tflm_kernels/planning/planners.h"

bool dcsr_plan_conv1x1_c(DcsrPlanRequest* request, DcsrPlan* plan) {
  const uint32_t cols = request->layer->cols;
  const size_t list_bytes = dcsr_conv1x1_c_list_entries(cols) * kDcsrCListEntryBytes;
  const size_t block_bytes =
      (size_t)cols * kDcsrCColumnBytes + kDcsrCBlockPixels * sizeof(uint32_t);
  return dcsr_plan_blocks(request, list_bytes, block_bytes, kDcsrCBlockPixels, plan);
}
