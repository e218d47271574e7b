// Planners of the fully connected kernels without vectors. None needs scratch.

#include "tflm_kernels/format/group_words.h"
#include "tflm_kernels/planning/planners.h"

bool dcsr_plan_fully_connected_c(DcsrPlanRequest* request, DcsrPlan* plan) {
  (void)plan;
  return dcsr_has_word_groups(request->layer);
}

bool dcsr_plan_fully_connected_int16_c(DcsrPlanRequest* request, DcsrPlan* plan) {
  (void)request;
  (void)plan;
  return true;
}
