// The activations of a tile of conv1x1_smlal: words of two pixels.

#ifndef DCSR_TFLM_KERNELS_SCALAR_SMLAL_TILE_H_
#define DCSR_TFLM_KERNELS_SCALAR_SMLAL_TILE_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tflm_kernels/common/pixels.h"
#include "tflm_kernels/kernels.h"
#include "tflm_kernels/packed_layer.h"
#include "tflm_kernels/planning/plan_conv1x1_smlal.h"

// A cursor over the input in the order in which the output lies in memory: its rows, or columns if
// it is NHWC and transposed.
typedef struct {
  DcsrPixels pixels;
  size_t column_step;  // bytes between the columns of a pixel
  bool is_run;         // pixels are in planes and follow each other
} DcsrSmlalInput;

DcsrSmlalInput dcsr_smlal_input(const DcsrLayer* layer, const DcsrConvShape* shape,
                                const int8_t* input);

// Returns the words of a column in a block of `pixels` <= kDcsrSmlalBlockPixels pixels.
static inline uint32_t dcsr_smlal_block_words(size_t pixels) {
  return pixels > 4 ? kDcsrSmlalBlockPixels / 2 : pixels > 2 ? 2 : 1;
}

// Fills blocks with the next `count` pixels: x[block][cols][4]. Pixels behind the last are
// unspecified. `count` is a multiple of kDcsrSmlalBlockPixels, or the rest of the pixels.
void dcsr_smlal_fill_tile(DcsrSmlalInput* input, size_t count, uint32_t cols, uint32_t* x);

#endif  // DCSR_TFLM_KERNELS_SCALAR_SMLAL_TILE_H_
