// Planner of conv2d_dense_dsp (plan_conv2d_dense_dsp.h).

#include "tflm_kernels/planning/plan_conv2d_dense_dsp.h"

#include "tflm_kernels/planning/planners.h"

// Returns the bytes of the rows of the padded image that a tile of `pixels` pixels reads, at most
// SIZE_MAX / 2.
static size_t padded_bytes(const DcsrLayer* layer, const DcsrConvShape* shape, size_t pixels) {
  if (!dcsr_dsp_is_copied(layer, shape)) return 0;
  const size_t width = (size_t)shape->output_width;
  // A tile may begin with the last pixel of a row.
  size_t rows = (pixels + width - 2) / width + 1;
  if (rows > (size_t)shape->output_height) rows = (size_t)shape->output_height;
  const int64_t row_bytes = dcsr_dsp_padded_row_bytes(layer, shape);
  const int64_t span =
      dcsr_dsp_span((int64_t)rows, layer->stride_h, layer->filter_h, layer->dilation_h);
  if (row_bytes > kDcsrDspMostPadded || span > kDcsrDspMostPadded) return SIZE_MAX / 2;
  const int64_t bytes = row_bytes * span;
  return bytes < INT32_MAX / 2 ? (size_t)bytes : SIZE_MAX / 2;
}

bool dcsr_plan_conv2d_dense_dsp(DcsrPlanRequest* request, DcsrPlan* plan) {
  const DcsrLayer* layer = request->layer;
  const DcsrConvShape* shape = request->shape;
  if (layer->encoding != kDcsrEncodingDense || layer->value_coding != kDcsrValuesPlain) {
    return false;
  }
  if (shape == NULL || layer->cols >= kDcsrDspMostTaps) return false;
  // The outputs of neighbouring rows of the map follow each other.
  if (!dcsr_has_output_planes(layer) && !dcsr_dsp_is_straight(layer)) return false;
  // The last block of a map overlaps its neighbour instead of ending early.
  const size_t pixels = (size_t)shape->output_height * (size_t)shape->output_width;
  if (pixels < kDcsrDspBlockPixels) return false;
  const size_t patch_bytes = (size_t)dcsr_dsp_groups(layer->cols) * kDcsrDspGroupTaps;
  const size_t fixed_bytes = dcsr_dsp_weight_words(layer->cols) * sizeof(uint32_t) + patch_bytes;
  const size_t block_bytes = dcsr_dsp_block_words(layer->cols) * sizeof(uint32_t);
  const size_t all = (pixels + kDcsrDspBlockPixels - 1) / kDcsrDspBlockPixels;
  // The longest tile that fits, up to kDcsrDspMostBlocks, then as few tiles as that takes.
  size_t most = all < kDcsrDspMostBlocks ? all : (size_t)kDcsrDspMostBlocks;
  for (; most > 0; --most) {
    const size_t bytes =
        fixed_bytes + most * block_bytes + padded_bytes(layer, shape, most * kDcsrDspBlockPixels);
    if (bytes <= request->budget) break;
  }
  if (most == 0) return false;
  const size_t tiles = (all + most - 1) / most;
  const size_t blocks = (all + tiles - 1) / tiles;
  plan->tile_pixels = blocks * kDcsrDspBlockPixels;
  plan->scratch_bytes =
      fixed_bytes + blocks * block_bytes + padded_bytes(layer, shape, plan->tile_pixels);
  return true;
}
