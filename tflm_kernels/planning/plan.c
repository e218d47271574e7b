// Chooses the kernel of a layer from a table. Also has the helpers of the planners.

#include <stddef.h>

#include "tflm_kernels/common/pixels.h"
#include "tflm_kernels/format/row_reader.h"
#include "tflm_kernels/planning/planners.h"

static const DcsrKernel* list_of(const DcsrKernels* kernels, const DcsrLayer* layer) {
  if (layer->layout != NULL) return kernels->planes;
  if (layer->int16_activations) return kernels->int16;
  if (kernels->larger == NULL) return kernels->pointwise;
  if (kernels->pointwise == NULL) return kernels->larger;
  const bool has_1x1_filter = layer->filter_h == 1 && layer->filter_w == 1;
  return has_1x1_filter ? kernels->pointwise : kernels->larger;
}

void dcsr_plan(const DcsrKernels* kernels, const DcsrLayer* layer, const DcsrConvShape* shape,
               size_t scratch_budget, DcsrPlan* plan) {
  DcsrPlanRequest request = {layer, kernels, dcsr_pixel_count(shape), scratch_budget, 0, shape};
  dcsr_plan_first(list_of(kernels, layer), &request, plan);
  if (plan->kernel != NULL && plan->kernel->run == dcsr_not_linked) plan->kernel = NULL;
}

void dcsr_not_linked(const DcsrPlan* plan, const DcsrLayer* layer, const DcsrConvShape* shape,
                     const void* input, void* output, void* scratch) {
  (void)plan;
  (void)layer;
  (void)shape;
  (void)input;
  (void)output;
  (void)scratch;
}

uint32_t dcsr_longest_row(const DcsrLayer* layer) {
  uint32_t longest = 0;
  if (layer->row_length_bits != 0) {
    for (uint32_t row = 0; row < layer->rows; ++row) {
      const uint32_t length = dcsr_load_row_length(layer, row);
      if (length > longest) longest = length;
    }
    return longest;
  }
  if (layer->row_length_bytes == 1) {
    for (uint32_t row = 0; row < layer->rows; ++row) {
      if (layer->row_length[row] > longest) longest = layer->row_length[row];
    }
    return longest;
  }
  for (uint32_t row = 0; row < layer->rows; ++row) {
    const uint32_t length = dcsr_row_length(layer, row);
    if (length > longest) longest = length;
  }
  return longest;
}

uint32_t dcsr_request_longest_row(DcsrPlanRequest* request) {
  if (request->longest_row == 0) {
    const DcsrKernels* kernels = request->kernels;
    request->longest_row = kernels->longest_row != NULL ? kernels->longest_row(request->layer)
                                                        : dcsr_longest_row(request->layer);
  }
  return request->longest_row;
}

bool dcsr_plan_blocks(const DcsrPlanRequest* request, size_t fixed_bytes, size_t block_bytes,
                      size_t block_pixels, DcsrPlan* plan) {
  const size_t budget = request->budget;
  if (request->pixels == 0 || budget < fixed_bytes + block_bytes) return false;
  const size_t all = (request->pixels + block_pixels - 1) / block_pixels;
  const size_t most = (budget - fixed_bytes) / block_bytes;
  const size_t tiles = most < all ? (all + most - 1) / most : 1;
  const size_t tile_blocks = (all + tiles - 1) / tiles;
  plan->tile_pixels = tile_blocks * block_pixels;
  plan->scratch_bytes = fixed_bytes + tile_blocks * block_bytes;
  return true;
}
