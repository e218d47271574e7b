// Division of the scratch of conv2d_dense_dsp, and the geometry that its planner needs.
//
// Scratch: weights of a row, uint32 [groups][2] and an end mark, two taps in each word;
//          the patch of a pixel, int8 [groups][4 taps];
//          activations of a tile, uint32 [blocks][groups][2][5 pixels], two taps in each word;
//          if the layer has padding, or its input is transposed or in planes, and no 1x1 filter
//          with stride 1 reads it: the rows of the padded image that a tile reads.

#ifndef DCSR_TFLM_KERNELS_PLANNING_PLAN_CONV2D_DENSE_DSP_H_
#define DCSR_TFLM_KERNELS_PLANNING_PLAN_CONV2D_DENSE_DSP_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tflm_kernels/common/conv_geometry.h"
#include "tflm_kernels/common/layout.h"
#include "tflm_kernels/kernels.h"
#include "tflm_kernels/packed_layer.h"

enum {
  kDcsrDspBlockPixels = 5,
  kDcsrDspGroupTaps = 4,
  kDcsrDspGroupWords = 2,
  kDcsrDspEndWords = 2,  // the end mark, and a word that is read and not used
  // A tile has at most so many blocks. Longer ones save little: a row costs 100 to 200 instructions
  // a tile.
  kDcsrDspMostBlocks = 32,
  kDcsrDspMostTaps = 1 << 15,    // limit of dcsr_row_scale()
  kDcsrDspMostPadded = 1 << 20,  // bytes of a row of the padded image, and rows of it
};

// The groups of four taps of a row. The last one is filled up with zeros.
static inline uint32_t dcsr_dsp_groups(uint32_t cols) {
  return (cols + kDcsrDspGroupTaps - 1) / kDcsrDspGroupTaps;
}

// Words of a row of weights.
static inline size_t dcsr_dsp_weight_words(uint32_t cols) {
  return (size_t)dcsr_dsp_groups(cols) * kDcsrDspGroupWords + kDcsrDspEndWords;
}

// Words of a block of activations.
static inline size_t dcsr_dsp_block_words(uint32_t cols) {
  return (size_t)dcsr_dsp_groups(cols) * kDcsrDspGroupWords * kDcsrDspBlockPixels;
}

// Pixels of the input, with padding, that `outputs` pixels of a row or column of the output read.
static inline int64_t dcsr_dsp_span(int64_t outputs, uint32_t stride, uint32_t filter,
                                    uint32_t dilation) {
  return (outputs - 1) * stride + dcsr_filter_extent(filter, dilation);
}

// Whether NHWC tensors of the layer are not transposed.
static inline bool dcsr_dsp_is_straight(const DcsrLayer* layer) {
  return layer->layout == NULL || layer->layout->is_transposed == 0;
}

// Whether the input is NHWC, not transposed.
static inline bool dcsr_dsp_is_plain(const DcsrLayer* layer) {
  return dcsr_dsp_is_straight(layer) && !dcsr_has_input_planes(layer);
}

// Whether some taps lie outside of the image.
static inline bool dcsr_dsp_has_padding(const DcsrLayer* layer, const DcsrConvShape* shape) {
  return dcsr_dsp_span(shape->output_height, layer->stride_h, layer->filter_h, layer->dilation_h) >
             shape->input_height ||
         dcsr_dsp_span(shape->output_width, layer->stride_w, layer->filter_w, layer->dilation_w) >
             shape->input_width;
}

// Whether the pixels that a 1x1 filter reads follow each other in planes.
static inline bool dcsr_dsp_has_runs(const DcsrLayer* layer) {
  return dcsr_has_input_planes(layer) && layer->cols == layer->channels && layer->stride_h == 1 &&
         layer->stride_w == 1;
}

// Whether the rows that a tile reads are copied. Otherwise patches are read from the image itself.
static inline bool dcsr_dsp_is_copied(const DcsrLayer* layer, const DcsrConvShape* shape) {
  if (layer->cols == layer->channels) {
    return dcsr_has_input_planes(layer) && !dcsr_dsp_has_runs(layer);
  }
  return !dcsr_dsp_is_plain(layer) || dcsr_dsp_has_padding(layer, shape);
}

// Bytes of a row of the padded image.
static inline int64_t dcsr_dsp_padded_row_bytes(const DcsrLayer* layer,
                                                const DcsrConvShape* shape) {
  return layer->channels *
         dcsr_dsp_span(shape->output_width, layer->stride_w, layer->filter_w, layer->dilation_w);
}

#endif  // DCSR_TFLM_KERNELS_PLANNING_PLAN_CONV2D_DENSE_DSP_H_
