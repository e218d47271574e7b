// Planner of conv2d_im2col (plan_conv2d_im2col.h).

#include "tflm_kernels/planning/plan_conv2d_im2col.h"

// Budgets are limited to this many bytes. No core has more, and sizes cannot overflow.
static const size_t kMostScratch = (size_t)1 << 28;

// Plans tiles of `pixels` pixels. Returns false if they do not fit into `budget`.
static bool plan_tile(DcsrPlanRequest* request, const DcsrLayer* tile, size_t pixels, size_t budget,
                      DcsrPlan* plan) {
  if (pixels > budget / request->layer->cols) return false;
  // The 1x1 kernel gets all scratch that it can use, so that it decodes the rows once per tile.
  DcsrPlanRequest inner_request = {
      tile, request->kernels, pixels, 4 * kMostScratch, request->longest_row, NULL};
  DcsrPlan inner;
  dcsr_plan_first(request->kernels->pointwise, &inner_request, &inner);
  if (inner.kernel == NULL) return false;
  request->longest_row = inner_request.longest_row;
  const size_t bytes = dcsr_patch_bytes(request->layer, pixels) + inner.scratch_bytes;
  if (bytes > budget) return false;
  plan->kernels = request->kernels;
  plan->tile_pixels = pixels;
  plan->longest_row = request->longest_row;
  plan->inner_bytes = inner.scratch_bytes;
  plan->scratch_bytes = bytes;
  return true;
}

// Whether the table has the kernel of a tile of `pixels` pixels.
static bool has_kernel(const DcsrPlan* plan, const DcsrLayer* tile, size_t pixels) {
  const DcsrPlan inner =
      dcsr_plan_tile(plan->kernels, tile, pixels, plan->inner_bytes, (uint32_t)plan->longest_row);
  return inner.kernel != NULL && inner.kernel->run != dcsr_not_linked;
}

// Plans as few tiles as possible, because each tile decodes the layer. All tiles have about the
// same size.
static bool plan_tiles(DcsrPlanRequest* request, const DcsrLayer* tile, DcsrPlan* plan) {
  const size_t budget = request->budget < kMostScratch ? request->budget : kMostScratch;
  const size_t pixels = request->pixels;
  if (plan_tile(request, tile, pixels, budget, plan)) return pixels > 0;
  if (pixels <= kDcsrTileStep) return false;
  // Binary search for the largest number of steps that fits: `fits` steps fit or are 0, `most`
  // steps do not fit.
  size_t fits = 0;
  size_t most = (pixels + kDcsrTileStep - 1) / kDcsrTileStep;
  while (most - fits > 1) {
    const size_t middle = fits + (most - fits) / 2;
    if (plan_tile(request, tile, middle * kDcsrTileStep, budget, plan)) {
      fits = middle;
    } else {
      most = middle;
    }
  }
  if (fits == 0) return false;
  const size_t tiles = (pixels + fits * kDcsrTileStep - 1) / (fits * kDcsrTileStep);
  const size_t steps = (pixels + tiles * kDcsrTileStep - 1) / (tiles * kDcsrTileStep);
  return plan_tile(request, tile, steps * kDcsrTileStep, budget, plan);
}

bool dcsr_plan_conv2d_im2col(DcsrPlanRequest* request, DcsrPlan* plan) {
  const DcsrLayer tile = dcsr_tile_layer(request->layer);
  if (!plan_tiles(request, &tile, plan)) return false;
  // The last tile may be smaller and have another kernel.
  const size_t last = request->pixels % plan->tile_pixels;
  return has_kernel(plan, &tile, plan->tile_pixels) && (last == 0 || has_kernel(plan, &tile, last));
}
