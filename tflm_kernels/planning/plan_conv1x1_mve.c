// Planner of conv1x1_mve (plan_conv1x1_mve.h). Chooses the widest block that fits into the budget.
// The row lists get the rest of the budget, up to the bytes that they can use.

#include "tflm_kernels/planning/plan_conv1x1_mve.h"

#include "tflm_kernels/common/layout.h"
#include "tflm_kernels/planning/planners.h"

bool dcsr_plan_conv1x1_mve(DcsrPlanRequest* request, DcsrPlan* plan) {
  const DcsrLayer* layer = request->layer;
  const size_t pixels = request->pixels;
  const size_t budget = request->budget;
  if (pixels < kDcsrMveLanes || layer->rows > kDcsrMveMostRows) return false;
  const size_t longest = dcsr_request_longest_row(request);
  const size_t word_bytes = dcsr_word_reader_bytes(longest);
  const size_t least = dcsr_conv1x1_mve_row_words(longest) * sizeof(uint32_t);
  // Bytes of all row lists, estimated with two nonzeros per group. The plan never requests more.
  const size_t all =
      ((size_t)layer->rows * (kDcsrMveHeaderWords + 1) + (size_t)layer->elements * 5 / 2) *
          sizeof(uint32_t) +
      least;
  for (size_t width = kDcsrMveBlockPixels; width >= kDcsrMveLanes; width /= 2) {
    if (width > kDcsrMveLanes && width / 2 >= pixels) continue;
    const size_t x_bytes = (size_t)layer->cols * width;
    if (x_bytes > kDcsrMveMostBlockBytes) continue;
    if (x_bytes + word_bytes + least > budget) continue;
    const size_t left = budget - x_bytes - word_bytes;
    // If the row lists do not fit at once, all blocks are filled again for each part of them. A
    // wide block is worth that only if the row lists get at least as many bytes as the block, or a
    // third if it is copied from planes.
    const size_t least_left = dcsr_has_input_planes(layer) ? x_bytes / 3 : x_bytes;
    if (width > kDcsrMveLanes && left < all && left < least_left) continue;
    const size_t block_bytes = dcsr_conv1x1_mve_block_bytes(layer->cols, width);
    size_t program_bytes = (left < all ? left : all) / 4 * 4;
    if (block_bytes + word_bytes + program_bytes > budget) program_bytes -= 4;
    plan->tile_pixels = width;
    plan->longest_row = longest;
    plan->scratch_bytes = block_bytes + word_bytes + program_bytes;
    return true;
  }
  return false;
}
