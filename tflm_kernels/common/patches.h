// A cursor over the patches of the input, in the order of the output pixels. A patch is the part of
// an image that a filter covers.

#ifndef DCSR_TFLM_KERNELS_COMMON_PATCHES_H_
#define DCSR_TFLM_KERNELS_COMMON_PATCHES_H_

#include <stddef.h>
#include <stdint.h>

#include "tflm_kernels/common/conv_geometry.h"
#include "tflm_kernels/kernels.h"
#include "tflm_kernels/packed_layer.h"

#ifdef __cplusplus
extern "C" {
#endif

// The position of the first pixel of a patch. Coordinates are modulo 2^32: those in the padding
// before the image are larger than its size, so one comparison tells whether a pixel is outside.
typedef struct {
  const void* image;  // the image of the batch, int8 or int16
  uint32_t y;
  uint32_t x;
} DcsrPatch;

typedef struct {
  DcsrPatch patch;  // the current patch
  size_t image_bytes;
  uint32_t first_x;
  uint32_t first_y;
  uint32_t stride_w;
  uint32_t stride_h;
  int32_t columns_left;  // pixels left in this row of the output
  int32_t rows_left;     // rows left in this image of the output
  int32_t width;
  int32_t height;
} DcsrPatches;

// Returns a cursor at the first patch. `input` is [batches, input_height, input_width, channels],
// int16 if layer->int16_activations, else int8.
static inline DcsrPatches dcsr_patches(const DcsrLayer* layer, const DcsrConvShape* shape,
                                       const void* input) {
  const int64_t extent_h = dcsr_filter_extent(layer->filter_h, layer->dilation_h);
  const int64_t extent_w = dcsr_filter_extent(layer->filter_w, layer->dilation_w);
  DcsrPatches patches;
  patches.first_y =
      0 - dcsr_conv_padding(shape->input_height, shape->output_height, extent_h, layer->stride_h);
  patches.first_x =
      0 - dcsr_conv_padding(shape->input_width, shape->output_width, extent_w, layer->stride_w);
  patches.patch.image = input;
  patches.patch.y = patches.first_y;
  patches.patch.x = patches.first_x;
  patches.image_bytes = (size_t)shape->input_height * (size_t)shape->input_width * layer->channels *
                        (layer->int16_activations ? 2 : 1);
  patches.stride_h = layer->stride_h;
  patches.stride_w = layer->stride_w;
  patches.width = patches.columns_left = shape->output_width;
  patches.height = patches.rows_left = shape->output_height;
  return patches;
}

// Returns the current patch and moves to the next. May be called once per output pixel.
static inline DcsrPatch dcsr_next_patch(DcsrPatches* patches) {
  const DcsrPatch patch = patches->patch;
  if (--patches->columns_left > 0) {
    patches->patch.x += patches->stride_w;
    return patch;
  }
  patches->columns_left = patches->width;
  patches->patch.x = patches->first_x;
  if (--patches->rows_left > 0) {
    patches->patch.y += patches->stride_h;
    return patch;
  }
  patches->rows_left = patches->height;
  patches->patch.y = patches->first_y;
  patches->patch.image = (const int8_t*)patches->patch.image + patches->image_bytes;
  return patch;
}

#ifdef __cplusplus
}
#endif

#endif  // DCSR_TFLM_KERNELS_COMMON_PATCHES_H_
