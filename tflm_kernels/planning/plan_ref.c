// Planners of the portable kernels. They take every layer and need no scratch.

#include "tflm_kernels/planning/planners.h"

bool dcsr_plan_conv1x1_ref(DcsrPlanRequest* request, DcsrPlan* plan) {
  (void)request;
  (void)plan;
  return true;
}

bool dcsr_plan_conv2d_ref(DcsrPlanRequest* request, DcsrPlan* plan) {
  (void)request;
  (void)plan;
  return true;
}

bool dcsr_plan_conv2d_int16_ref(DcsrPlanRequest* request, DcsrPlan* plan) {
  (void)request;
  (void)plan;
  return true;
}

bool dcsr_plan_depthwise_conv2d_ref(DcsrPlanRequest* request, DcsrPlan* plan) {
  (void)request;
  (void)plan;
  return true;
}

bool dcsr_plan_fully_connected_ref(DcsrPlanRequest* request, DcsrPlan* plan) {
  (void)request;
  (void)plan;
  return true;
}
