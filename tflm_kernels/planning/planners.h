// Planners decide whether a kernel takes a layer, and how it divides its scratch. They are plain C
// that does not depend on the target, so a host can plan for every core.

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
  size_t pixels;               // output pixels of all images; FULLY_CONNECTED: batches
  size_t budget;               // bytes of scratch
  uint32_t longest_row;        // elements; 0: not counted yet
  const DcsrConvShape* shape;  // NULL for the 1x1 kernels that run a tile of conv2d_im2col
};

// One planner for each kernel of kernel_lists.h. dcsr_plan_<kernel> is in plan_<kernel>.c. The
// portable kernels share plan_ref.c, the kernels that gather plan_gather_mve.c, the other fully
// connected kernels plan_fully_connected.c.
DcsrPlanner dcsr_plan_conv1x1_c;
DcsrPlanner dcsr_plan_conv1x1_gather_mve;
DcsrPlanner dcsr_plan_conv1x1_mve;
DcsrPlanner dcsr_plan_conv1x1_planes_mve;
DcsrPlanner dcsr_plan_conv1x1_ref;
DcsrPlanner dcsr_plan_conv1x1_smlal;
DcsrPlanner dcsr_plan_conv2d_dense_dsp;
DcsrPlanner dcsr_plan_conv2d_dense_mve;
DcsrPlanner dcsr_plan_conv2d_dense_planes_mve;
DcsrPlanner dcsr_plan_conv2d_im2col;
DcsrPlanner dcsr_plan_conv2d_int16_c;
DcsrPlanner dcsr_plan_conv2d_int16_ref;
DcsrPlanner dcsr_plan_conv2d_ref;
DcsrPlanner dcsr_plan_depthwise_conv2d_dense_mve;
DcsrPlanner dcsr_plan_depthwise_conv2d_dense_dsp;
DcsrPlanner dcsr_plan_depthwise_conv2d_planes_dsp;
DcsrPlanner dcsr_plan_depthwise_conv2d_planes_mve;
DcsrPlanner dcsr_plan_depthwise_conv2d_ref;
DcsrPlanner dcsr_plan_depthwise_conv2d_words_mve;
DcsrPlanner dcsr_plan_fully_connected_c;
DcsrPlanner dcsr_plan_fully_connected_dcsr_mve;
DcsrPlanner dcsr_plan_fully_connected_gather_mve;
DcsrPlanner dcsr_plan_fully_connected_int16_c;
DcsrPlanner dcsr_plan_fully_connected_offset8_mve;
DcsrPlanner dcsr_plan_fully_connected_ref;

// Returns the bit of the layer's coding (kernels.h).
static inline uint32_t dcsr_coding(const DcsrLayer* layer) {
  const bool has_byte_deltas = layer->encoding == kDcsrEncodingDcsr && layer->index_parameter == 8;
  const uint32_t bit = has_byte_deltas ? (uint32_t)kDcsrEncodingCount : (uint32_t)layer->encoding;
  return UINT32_C(1) << (bit + (layer->value_decoder != NULL ? kDcsrHuffmanCodings : 0));
}

// Plans for the first kernel of `list` that takes the request. plan->kernel is NULL if none does,
// or if `list` is NULL. Inline because every Invoke plans.
static inline void dcsr_plan_first(const DcsrKernel* list, DcsrPlanRequest* request,
                                   DcsrPlan* plan) {
  if (list != NULL) {
    const uint32_t coding = dcsr_coding(request->layer);
    for (; list->plan != NULL; ++list) {
      if ((list->codings & coding) == 0) continue;
      plan->scratch_bytes = 0;
      plan->kernel = list;
      if (list->plan(request, plan)) return;
    }
  }
  plan->scratch_bytes = 0;
  plan->kernel = NULL;
}

// Returns the number of elements of the longest row, fillers included. Counts once per request.
uint32_t dcsr_request_longest_row(DcsrPlanRequest* request);

// The same for a layer, in portable C.
uint32_t dcsr_longest_row(const DcsrLayer* layer);

// Plans tiles for kernels that decode the layer once per tile. A tile is a number of blocks of
// `block_pixels` pixels. The plan has as few tiles as `request->budget` allows, all of about the
// same size. Its scratch is `fixed_bytes`, plus `block_bytes` for each block of a tile. Returns
// false if one block does not fit, or without pixels.
bool dcsr_plan_blocks(const DcsrPlanRequest* request, size_t fixed_bytes, size_t block_bytes,
                      size_t block_pixels, DcsrPlan* plan);

#ifdef __cplusplus
}
#endif

#endif  // DCSR_TFLM_KERNELS_PLANNING_PLANNERS_H_
