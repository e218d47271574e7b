// Division of the scratch of depthwise_conv2d_words_mve, and the layers that it takes.
//
// Scratch: addresses of input rows, DcsrWordRows [sets];
//          weights of a channel, int8 [32]: 16 zeros, then a vector;
//          what is read before the words, int8 [16];
//          words of a set, uint32 [words];
//          sums of a tile, int32 [rows of the tile][output width], and what is read and written
//          behind them;
//          a row of padding, int8 [padding_bytes];
//          the last rows of a plane, int8 [dcsr_words_mve_last_rows()][input width], and what is
//          read behind them.

#ifndef DCSR_TFLM_KERNELS_PLANNING_PLAN_DEPTHWISE_CONV2D_WORDS_MVE_H_
#define DCSR_TFLM_KERNELS_PLANNING_PLAN_DEPTHWISE_CONV2D_WORDS_MVE_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tflm_kernels/common/conv_geometry.h"
#include "tflm_kernels/kernels.h"
#include "tflm_kernels/packed_layer.h"
#include "tflm_kernels/planning/plan_requantize_plane_mve.h"

enum {
  kDcsrWordsGroup = 4,    // output columns that are computed together
  kDcsrWordsVector = 16,  // bytes; columns that are loaded together
  kDcsrWordsMostSumBytes = 2048,
};

// Addresses of the four input rows of a set. The kernel moves them by `step` from channel to
// channel, those of padding by 0.
typedef struct {
  uint32_t row[4];
  uint32_t step[4];
} DcsrWordRows;

// How a layer is computed.
typedef struct {
  uint32_t top;       // rows of padding before the map
  uint32_t left;      // columns of padding before the map
  uint32_t set_rows;  // output rows of a set of four input rows, 1 or 2
  uint32_t run_rows;  // output rows that are computed of a set; those behind set_rows do not count
  uint32_t sets;
  uint32_t loads;          // vectors of a row of the map
  uint32_t padding_bytes;  // the same in bytes
  uint32_t groups;         // of a row of the output
  uint32_t words;          // of a set, and those behind them that are read
} DcsrWordsShape;

static inline DcsrWordsShape dcsr_words_mve_shape(const DcsrLayer* layer,
                                                  const DcsrConvShape* shape) {
  const int64_t extent_h = dcsr_filter_extent(layer->filter_h, layer->dilation_h);
  const uint32_t width = (uint32_t)shape->input_width;
  DcsrWordsShape words;
  words.top =
      dcsr_conv_padding(shape->input_height, shape->output_height, extent_h, layer->stride_h);
  words.left =
      dcsr_conv_padding(shape->input_width, shape->output_width, layer->filter_w, layer->stride_w);
  words.set_rows = layer->stride_h == 1 && layer->stride_w == 1 && extent_h <= 3 ? 2 : 1;
  words.run_rows = layer->stride_w == 1 ? 2 : 1;
  words.sets = ((uint32_t)shape->output_height + words.set_rows - 1) / words.set_rows;
  words.loads = (width + kDcsrWordsVector - 1) / kDcsrWordsVector;
  words.padding_bytes = words.loads * kDcsrWordsVector;
  words.groups = ((uint32_t)shape->output_width + kDcsrWordsGroup - 1) / kDcsrWordsGroup;
  const uint32_t written = words.left + words.padding_bytes + 2;
  const uint32_t read = words.groups * kDcsrWordsGroup * layer->stride_w + 4;
  words.words = written > read ? written : read;
  return words;
}

// Rows at the end of a plane behind which a vector may reach.
static inline uint32_t dcsr_words_mve_last_rows(const DcsrConvShape* shape) {
  const uint32_t width = (uint32_t)shape->input_width;
  const uint32_t rows = (kDcsrWordsVector - 1 + width - 1) / width;
  return rows < (uint32_t)shape->input_height ? rows : (uint32_t)shape->input_height;
}

// Bytes of the sums of `sets` sets of rows.
static inline uint64_t dcsr_words_mve_sum_bytes(const DcsrConvShape* shape,
                                                const DcsrWordsShape* words, uint64_t sets) {
  const uint64_t rows = sets * words->set_rows + words->run_rows - words->set_rows;
  return 4 * (rows * (uint64_t)shape->output_width + kDcsrBehindSums);
}

// Bytes of scratch without sums.
static inline uint64_t dcsr_words_mve_other_bytes(const DcsrConvShape* shape,
                                                  const DcsrWordsShape* words) {
  return (uint64_t)words->sets * sizeof(DcsrWordRows) + 4 * (uint64_t)words->words +
         words->padding_bytes + dcsr_words_mve_last_rows(shape) * (uint64_t)shape->input_width +
         4 * kDcsrWordsVector;
}

#endif  // DCSR_TFLM_KERNELS_PLANNING_PLAN_DEPTHWISE_CONV2D_WORDS_MVE_H_
