// Planners: whether a kernel takes a layer, and how it divides its scratch. Plain C without a test
// of the target, so that a host plans for every core.

#ifndef DCSR_TFLM_KERNELS_PLANNING_PLANNERS_H_
#define DCSR_TFLM_KERNELS_PLANNING_PLANNERS_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tflm_kernels/kernels.h"

#ifdef __cplusplus
extern "C" {
#endif

struct DcsrPlanRequest {
  const DcsrLayer* layer;
  const DcsrKernels* kernels;
  size_t pixels;         // of the output, in all images; batches of a FULLY_CONNECTED
  size_t budget;         // bytes of scratch
  uint32_t longest_row;  // elements; 0: not counted yet
};

// One for each kernel of kernel_lists.h. A planner is in the file of its name.
DcsrPlanner dcsr_plan_conv1x1_c;
DcsrPlanner dcsr_plan_conv1x1_gather_mve;
DcsrPlanner dcsr_plan_conv1x1_mve;
DcsrPlanner dcsr_plan_conv1x1_ref;
DcsrPlanner dcsr_plan_conv1x1_smlal;
DcsrPlanner dcsr_plan_conv2d_im2col;
DcsrPlanner dcsr_plan_conv2d_int16_c;
DcsrPlanner dcsr_plan_conv2d_int16_ref;
DcsrPlanner dcsr_plan_conv2d_ref;
DcsrPlanner dcsr_plan_fully_connected_c;
DcsrPlanner dcsr_plan_fully_connected_dcsr_mve;
DcsrPlanner dcsr_plan_fully_connected_gather_mve;
DcsrPlanner dcsr_plan_fully_connected_int16_c;
DcsrPlanner dcsr_plan_fully_connected_offset8_mve;
DcsrPlanner dcsr_plan_fully_connected_ref;

// The first kernel of `list` that takes the request. plan->kernel is NULL if none does. Inline, as
// planning is a part of every Invoke.
static inline void dcsr_plan_first(const DcsrKernel* list, DcsrPlanRequest* request,
                                   DcsrPlan* plan) {
  if (list != NULL) {
    for (; list->plan != NULL; ++list) {
      plan->scratch_bytes = 0;
      plan->kernel = list;
      if (list->plan(request, plan)) return;
    }
  }
  plan->scratch_bytes = 0;
  plan->kernel = NULL;
}

// Elements of the longest row. Counts them once for a request.
uint32_t dcsr_request_longest_row(DcsrPlanRequest* request);

// The same for a layer, in plain C.
uint32_t dcsr_longest_row(const DcsrLayer* layer);

// Tiles of whole blocks of `block_pixels` pixels, for kernels that decode the layer once for a
// tile: as few tiles as `request->budget` allows, all of about the same size. Scratch is
// `fixed_bytes` and `block_bytes` for each block of a tile. False if one block does not fit.
bool dcsr_plan_blocks(const DcsrPlanRequest* request, size_t fixed_bytes, size_t block_bytes,
                      size_t block_pixels, DcsrPlan* plan);

#ifdef __cplusplus
}
#endif

#endif  // DCSR_TFLM_KERNELS_PLANNING_PLANNERS_H_
