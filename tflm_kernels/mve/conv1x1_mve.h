// What conv1x1_mve and conv1x1_planes_mve share: row lists that run on blocks of pixels. The
// kernels differ in where the activations of a pixel lie.

#ifndef DCSR_TFLM_KERNELS_MVE_CONV1X1_MVE_H_
#define DCSR_TFLM_KERNELS_MVE_CONV1X1_MVE_H_

#include <stddef.h>
#include <stdint.h>

#include "tflm_kernels/kernels.h"
#include "tflm_kernels/mve/row_words_mve.h"
#include "tflm_kernels/packed_layer.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { kDcsrMvePartPixels = 4 };  // that are transposed together

// Code that ends a row and stores its outputs, [rounding in full][blocks of 8, 16 or 32 pixels].
typedef struct {
  const uint8_t* end[2][3];
} DcsrMveEnds;

extern const DcsrMveEnds kDcsrMveNhwcEnds;

// Stores eight pixels of a row contiguously. Rows are row_bytes apart.
extern const DcsrMveEnds kDcsrMvePlaneEnds;

// Where the activations of a layer lie.
typedef struct DcsrMveActivations DcsrMveActivations;

// Copies the inputs of `width` output pixels from `first` on, 8, 16 or 32, to x[cols][pitch].
typedef void DcsrMveFill(const DcsrMveActivations* activations, size_t first, uint32_t width,
                         size_t pitch, int8_t* x);

struct DcsrMveActivations {
  const DcsrLayer* layer;
  const DcsrConvShape* shape;
  const int8_t* input;
  int8_t* output;
  size_t pixel_bytes;  // from an output to that of the next pixel
  size_t row_bytes;    // from an output to that of the next row; 1: NHWC
  DcsrMveFill* fill;
  const DcsrMveEnds* ends;
};

// Runs a layer that has been planned as for conv1x1_mve.
void dcsr_run_conv1x1_mve(const DcsrPlan* plan, const DcsrMveActivations* activations,
                          void* scratch, DcsrWordStage* stage);

DcsrMveFill dcsr_fill_from_nhwc_mve;

// Transposes four pixels, int8 [cols] each, to x[cols][pitch]. `x` and `pitch` are multiples of 4.
void dcsr_transpose_pixels_mve(const int8_t* const pixel[kDcsrMvePartPixels], size_t cols,
                               size_t pitch, int8_t* x);

#ifdef __cplusplus
}
#endif

#endif  // DCSR_TFLM_KERNELS_MVE_CONV1X1_MVE_H_
