// Convolution with a small filter and dense weights to planes with MVE (Cortex-M55, M85).
//
// Input:   NHWC of one image, also transposed, or one plane, int8 (DcsrLayout).
// Output:  planes, int8.
// Scratch: as conv2d_dense_mve, and weights in another order (plan_conv2d_dense_planes_mve.h).
// Cycles:  docs/kernels.md#planes-with-mve.
//
// Copies and multiplies patches as conv2d_dense_mve does, but requantizes the sums of a row along
// the pixels, with the scalars of the row. A transposed image is read as it lies in memory: a patch
// then has the taps of each column of the filter one after the other, and so have the weights.

#include <string.h>

#include "tflm_kernels/common/compiler.h"
#include "tflm_kernels/common/layout.h"
#include "tflm_kernels/common/pixels.h"
#include "tflm_kernels/mve/conv2d_dense_mve.h"
#include "tflm_kernels/mve/mve.h"
#include "tflm_kernels/mve/requantize_plane_mve.h"
#include "tflm_kernels/planning/plan_conv2d_dense_planes_mve.h"

#if DCSR_HAS_MVE

#include <arm_mve.h>

enum { kRows = kDcsrDenseMveRows, kMostCols = kDcsrDenseMveMostCols };

// The requantization reads behind the sums.
_Static_assert(kDcsrDensePlanesOrderBytes >= kDcsrBehindSums * 4, "");

// How the patches lie in memory.
typedef struct {
  DcsrLayer layer;      // with the filter as it lies over the image
  DcsrConvShape shape;  // likewise
  DcsrPatches first;    // patch
  bool is_transposed;
  const int8_t* weights;  // as the layer stores them
  uint8_t* order;         // of the taps in a patch, uint8 [kMostCols]
  int8_t* reordered;      // weights, int8 [kRows][kMostCols]; transposed: those of `layer`
} Image;

static void transpose_image(const DcsrLayer* layer, const DcsrConvShape* shape, Image* image) {
  image->layer.values = image->reordered;
  image->layer.filter_h = layer->filter_w;
  image->layer.filter_w = layer->filter_h;
  image->layer.dilation_h = layer->dilation_w;
  image->layer.dilation_w = layer->dilation_h;
  image->layer.stride_h = layer->stride_w;
  image->layer.stride_w = layer->stride_h;
  image->shape.input_height = shape->input_width;
  image->shape.input_width = shape->input_height;
  image->shape.output_height = shape->output_width;
  image->shape.output_width = shape->output_height;
  uint8_t* order = image->order;
  for (uint32_t x = 0; x < layer->filter_w; ++x) {
    for (uint32_t y = 0; y < layer->filter_h; ++y) {
      for (uint32_t c = 0; c < layer->channels; ++c) {
        *order++ = (uint8_t)((y * layer->filter_w + x) * layer->channels + c);
      }
    }
  }
}

// Returns the patch of pixel `pixel` of the map.
static DcsrPatch patch_of(const Image* image, const DcsrConvShape* shape, uint32_t pixel) {
  const uint32_t y = pixel / (uint32_t)shape->output_width;
  const uint32_t x = pixel % (uint32_t)shape->output_width;
  DcsrPatch patch = image->first.patch;
  patch.y += (image->is_transposed ? x : y) * image->layer.stride_h;
  patch.x += (image->is_transposed ? y : x) * image->layer.stride_w;
  return patch;
}

// Brings the weights of `rows` rows from `row` on into the order of the taps of a patch, as the
// first rows of the layer.
static void reorder_weights(const Image* image, uint32_t row, uint32_t rows) {
  const uint32_t cols = image->layer.cols;
  const int8_t* weights = image->weights + row * cols;
  for (int8_t* out = image->reordered; rows > 0; --rows, weights += cols, out += cols) {
    for (uint32_t i = 0; i < cols; i += 16) {
      const mve_pred16_t lanes = vctp8q(cols - i);
      const uint8x16_t order = vldrbq_z_u8(image->order + i, lanes);
      vstrbq_p_s8(out + i, vldrbq_gather_offset_z_s8(weights, order, lanes), lanes);
    }
  }
}

// Computes the sums of four rows from `row` on.
static void multiply(const Image* image, uint32_t row, const int8_t* patches, size_t pitch,
                     size_t count, int32_t* sums) {
  if (image->is_transposed) {
    const uint32_t left = image->layer.rows - row;
    reorder_weights(image, row, left < kRows ? left : kRows);
    row = 0;
  }
  dcsr_multiply_patches_mve(&image->layer, row, patches, pitch, count, sums);
  dcsr_multiply_patches_mve(&image->layer, row + 2, patches, pitch, count, sums + 2 * count);
}

void dcsr_conv2d_dense_planes_mve(const DcsrPlan* plan, const DcsrLayer* layer,
                                  const DcsrConvShape* shape, const void* input_data,
                                  void* output_data, void* scratch) {
  int8_t* const patches = (int8_t*)scratch;
  const size_t pitch = dcsr_conv2d_dense_mve_pitch(layer->cols);
  const uint32_t most = (uint32_t)plan->tile_pixels;
  int32_t* const sums = (int32_t*)(void*)(patches + most * pitch);
  const size_t plane_bytes = dcsr_output_steps(layer, shape).channel;
  const int8_t* const output_end = (const int8_t*)output_data + layer->rows * plane_bytes;
  const uint32_t pixels = (uint32_t)dcsr_pixel_count(shape);
  DcsrPlaneOutputs outputs = dcsr_plane_outputs(layer, sums);
  Image image;
  image.layer = *layer;
  image.shape = *shape;
  image.weights = layer->values;
  image.reordered = (int8_t*)(sums + kRows * most);
  image.order = (uint8_t*)image.reordered + kRows * kMostCols;
  // A plane is an image of one channel, as the map has it.
  image.is_transposed = layer->layout->is_transposed != 0 && !dcsr_has_input_planes(layer);
  if (image.is_transposed) transpose_image(layer, shape, &image);
  image.first = dcsr_patches(&image.layer, &image.shape, input_data);
  for (uint32_t begin = 0; begin < pixels; begin += most) {
    const uint32_t count = pixels - begin < most ? pixels - begin : most;
    for (uint32_t p = 0; p < count; ++p) {
      const DcsrPatch patch = patch_of(&image, shape, begin + p);
      dcsr_copy_patch(&image.layer, &image.shape, &patch, pitch, patches + p * pitch);
    }
    outputs.output = (int8_t*)output_data + begin;
    for (uint32_t row = 0; row < layer->rows; row += kRows) {
      const uint32_t rows = layer->rows - row < kRows ? layer->rows - row : kRows;
      multiply(&image, row, patches, pitch, count, sums);
      outputs.sums = sums;
      for (uint32_t r = 0; r < rows; ++r) {
        const DcsrRowTail tail = dcsr_fast_row_tail(layer, row + r);
        // The last step may reach into the next plane if that is written later.
        const int8_t* const end = begin == 0 ? output_end : outputs.output + (plane_bytes - begin);
        dcsr_set_plane_row(&tail, &outputs);
        dcsr_requantize_plane(layer, &tail, count, end, &outputs);
        outputs.sums += count;
        outputs.output += plane_bytes;
      }
    }
  }
}

#endif  // DCSR_HAS_MVE
