// Planner of conv2d_int16_c (plan_conv2d_int16_c.h).

#include "tflm_kernels/planning/plan_conv2d_int16_c.h"

#include "tflm_kernels/planning/planners.h"

bool dcsr_plan_conv2d_int16_c(DcsrPlanRequest* request, DcsrPlan* plan) {
  const uint32_t cols = request->layer->cols;
  const size_t list_bytes = dcsr_conv2d_int16_c_list_entries(cols) * kDcsrInt16ListEntryBytes;
  const size_t block_bytes =
      (size_t)cols * kDcsrInt16ColumnBytes + kDcsrInt16BlockPixels * sizeof(int64_t);
  return dcsr_plan_blocks(request, list_bytes, block_bytes, kDcsrInt16BlockPixels, plan);
}
