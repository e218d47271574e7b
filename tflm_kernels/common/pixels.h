// A cursor over the input pixels that a 1x1 convolution reads, in the order of its output pixels.

#ifndef DCSR_TFLM_KERNELS_COMMON_PIXELS_H_
#define DCSR_TFLM_KERNELS_COMMON_PIXELS_H_

#include <stddef.h>
#include <stdint.h>

#include "tflm_kernels/kernels.h"
#include "tflm_kernels/packed_layer.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct {
  const int8_t* row;    // first pixel of the input row
  const int8_t* pixel;  // current pixel
  size_t pixel_step;    // bytes between pixels that are read
  size_t row_step;      // bytes between rows that are read
  size_t image_step;    // bytes from the last row that is read to the first of the next batch
  int32_t x;
  int32_t y;
  int32_t width;
  int32_t height;
} DcsrPixels;

// Number of output pixels of all images.
static inline size_t dcsr_pixel_count(const DcsrConvShape* shape) {
  return (size_t)shape->batches * (size_t)shape->output_height * (size_t)shape->output_width;
}

// Returns a cursor at the first pixel. `input` is int8 [batches, input_height, input_width, cols].
static inline DcsrPixels dcsr_pixels(const DcsrLayer* layer, const DcsrConvShape* shape,
                                     const int8_t* input) {
  const size_t row_bytes = (size_t)shape->input_width * layer->cols;
  DcsrPixels pixels;
  pixels.row = input;
  pixels.pixel = input;
  pixels.pixel_step = (size_t)layer->stride_w * layer->cols;
  pixels.row_step = layer->stride_h * row_bytes;
  pixels.image_step = (size_t)shape->input_height * row_bytes -
                      (size_t)(shape->output_height - 1) * pixels.row_step;
  pixels.x = 0;
  pixels.y = 0;
  pixels.width = shape->output_width;
  pixels.height = shape->output_height;
  return pixels;
}

// Returns the address of the current pixel, int8 [cols], and moves to the next. May be called once
// per output pixel.
static inline const int8_t* dcsr_next_pixel(DcsrPixels* pixels) {
  const int8_t* pixel = pixels->pixel;
  if (++pixels->x < pixels->width) {
    pixels->pixel += pixels->pixel_step;
    return pixel;
  }
  pixels->x = 0;
  if (++pixels->y < pixels->height) {
    pixels->row += pixels->row_step;
  } else {
    pixels->y = 0;
    // After the last pixel this is the end of the input.
    pixels->row += pixels->image_step;
  }
  pixels->pixel = pixels->row;
  return pixel;
}

#ifdef __cplusplus
}
#endif

#endif  // DCSR_TFLM_KERNELS_COMMON_PIXELS_H_
