// Convolution with any filter by a kernel for 1x1 filters. docs/kernels.md#larger-filters.
//
// The patches of a tile of output pixels are copied to scratch,
// [pixel][filter_h][filter_w][channels]: the pixels of a 1x1 convolution with the same matrix. What
// lies outside of the image is the input zero point there.

#include "tflm_kernels/scalar/conv2d_im2col.h"

#include <string.h>

#include "tflm_kernels/common/patches.h"
#include "tflm_kernels/common/pixels.h"
#include "tflm_kernels/reference/reference.h"

enum {
  kTileStep = 8,  // pixels; what 1x1 kernels work with at least
  kAlignment = 16,
};

// No core has more, and sizes cannot overflow.
static const size_t kMostScratch = (size_t)1 << 28;

typedef struct {
  size_t tile_pixels;  // 0: scratch is too small
  size_t patch_bytes;  // of a tile
  size_t kernel_bytes;
} Plan;

static DcsrLayer tile_layer(const DcsrLayer* layer) {
  DcsrLayer tile = *layer;
  tile.stride_h = tile.stride_w = 1;
  tile.filter_h = tile.filter_w = 1;
  tile.dilation_h = tile.dilation_w = 1;
  tile.same_padding = false;
  tile.channels = layer->cols;
  return tile;
}

static DcsrConvShape tile_shape(size_t pixels) {
  const DcsrConvShape shape = {1, 1, (int32_t)pixels, 1, (int32_t)pixels};
  return shape;
}

// For tiles of `pixels`; tile_pixels is 0 if that does not fit.
static Plan plan_tile(const DcsrLayer* layer, size_t pixels, size_t budget,
                      const DcsrConv1x1Kernel* kernel) {
  Plan plan = {0, 0, 0};
  if (pixels > budget / layer->cols) return plan;
  const DcsrLayer tile = tile_layer(layer);
  const DcsrConvShape shape = tile_shape(pixels);
  plan.patch_bytes = (pixels * layer->cols + kAlignment - 1) / kAlignment * kAlignment;
  // With all that the kernel can use: it decodes the rows once for a tile then.
  plan.kernel_bytes = kernel->scratch_bytes(&tile, &shape, 4 * kMostScratch);
  if (plan.patch_bytes + plan.kernel_bytes <= budget) plan.tile_pixels = pixels;
  return plan;
}

// As few tiles as possible, as every one decodes the layer; then of about the same size.
static Plan make_plan(const DcsrLayer* layer, size_t pixels, size_t budget,
                      const DcsrConv1x1Kernel* kernel) {
  if (budget > kMostScratch) budget = kMostScratch;
  const Plan whole = plan_tile(layer, pixels, budget, kernel);
  if (whole.tile_pixels > 0 || pixels <= kTileStep) return whole;
  // In steps: `fits` fit, or one is too many; `most` do not.
  size_t fits = 0;
  size_t most = (pixels + kTileStep - 1) / kTileStep;
  while (most - fits > 1) {
    const size_t middle = fits + (most - fits) / 2;
    if (plan_tile(layer, middle * kTileStep, budget, kernel).tile_pixels > 0) {
      fits = middle;
    } else {
      most = middle;
    }
  }
  if (fits == 0) return whole;
  const size_t tiles = (pixels + fits * kTileStep - 1) / (fits * kTileStep);
  const size_t steps = (pixels + tiles * kTileStep - 1) / (tiles * kTileStep);
  return plan_tile(layer, steps * kTileStep, budget, kernel);
}

// One row of the filter; `row` is the row of the image that it reads.
static void copy_row(const DcsrLayer* layer, const int8_t* row, uint32_t x, uint32_t width,
                     int8_t* out) {
  const size_t channels = layer->channels;
  if (layer->dilation_w == 1 && x < width && layer->filter_w <= width - x) {
    memcpy(out, row + x * channels, layer->filter_w * channels);
    return;
  }
  for (uint32_t f = 0; f < layer->filter_w; ++f) {
    if (x < width) {
      memcpy(out, row + x * channels, channels);
    } else {
      memset(out, layer->input_zero_point, channels);
    }
    out += channels;
    x += layer->dilation_w;
  }
}

static void copy_patch(const DcsrLayer* layer, const DcsrConvShape* shape, const DcsrPatch* patch,
                       int8_t* out) {
  const uint32_t height = (uint32_t)shape->input_height;
  const uint32_t width = (uint32_t)shape->input_width;
  const size_t row_bytes = (size_t)width * layer->channels;
  const size_t out_bytes = (size_t)layer->filter_w * layer->channels;
  uint32_t y = patch->y;
  for (uint32_t f = 0; f < layer->filter_h; ++f) {
    if (y < height) {
      copy_row(layer, (const int8_t*)patch->image + y * row_bytes, patch->x, width, out);
    } else {
      memset(out, layer->input_zero_point, out_bytes);
    }
    out += out_bytes;
    y += layer->dilation_h;
  }
}

size_t dcsr_conv2d_im2col_scratch_bytes(const DcsrLayer* layer, const DcsrConvShape* shape,
                                        size_t budget, const DcsrConv1x1Kernel* kernel) {
  const Plan plan = make_plan(layer, dcsr_pixel_count(shape), budget, kernel);
  return plan.tile_pixels > 0 ? plan.patch_bytes + plan.kernel_bytes : 0;
}

void dcsr_conv2d_im2col(const DcsrLayer* layer, const DcsrConvShape* shape, const int8_t* input,
                        int8_t* output, void* scratch, size_t scratch_bytes,
                        const DcsrConv1x1Kernel* kernel) {
  size_t left = dcsr_pixel_count(shape);
  const Plan plan = make_plan(layer, left, scratch_bytes, kernel);
  if (plan.tile_pixels == 0) {
    dcsr_conv2d_ref(layer, shape, input, output);
    return;
  }
  int8_t* patches = (int8_t*)scratch;
  const DcsrLayer tile = tile_layer(layer);
  DcsrPatches cursor = dcsr_patches(layer, shape, input);
  while (left > 0) {
    const size_t count = left < plan.tile_pixels ? left : plan.tile_pixels;
    for (size_t p = 0; p < count; ++p) {
      const DcsrPatch patch = dcsr_next_patch(&cursor);
      copy_patch(layer, shape, &patch, patches + p * layer->cols);
    }
    const DcsrConvShape tile_pixels = tile_shape(count);
    kernel->run(&tile, &tile_pixels, patches, output, patches + plan.patch_bytes,
                plan.kernel_bytes);
    output += count * layer->rows;
    left -= count;
  }
}
