#include "tflm_kernels/planning/plan_conv1x1_mve.h"

#include "tflm_kernels/planning/planners.h"

bool dcsr_plan_conv1x1_mve(DcsrPlanRequest* request, DcsrPlan* plan) {
  const DcsrLayer* layer = request->layer;
  const size_t pixels = request->pixels;
  const size_t budget = request->budget;
  if (pixels < kDcsrMveLanes || layer->rows > kDcsrMveMostRows) return false;
  const size_t longest = dcsr_request_longest_row(request);
  const size_t word_bytes = dcsr_word_reader_bytes(longest);
  const size_t least = dcsr_conv1x1_mve_row_words(longest) * sizeof(uint32_t);
  // Pairs of nonzeros are a group, as a rule; more than that is never used.
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
    // A wide block is of no use if every part of the programs then needs a transposition.
    if (width > kDcsrMveLanes && left < all && left < x_bytes) continue;
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
