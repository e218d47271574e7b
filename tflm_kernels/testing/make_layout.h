// Makes layouts for layers (DcsrLayout), for the tests of planes and the fuzzer.

#ifndef DCSR_TFLM_KERNELS_TESTING_MAKE_LAYOUT_H_
#define DCSR_TFLM_KERNELS_TESTING_MAKE_LAYOUT_H_

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "tflm_kernels/common/conv_geometry.h"
#include "tflm_kernels/kernels.h"
#include "tflm_kernels/packed_layer.h"

#ifdef __cplusplus
extern "C" {
#endif

// Where planes are used, and how much larger than necessary they are.
typedef struct {
  bool input;
  bool output;
  bool is_transposed;
  uint32_t more_pitch;
  uint32_t more_first;
  uint32_t more_end;
} LayoutVariant;

static inline uint32_t layout_greater(int64_t a, int64_t b) { return (uint32_t)(a > b ? a : b); }

typedef struct {
  uint32_t before;
  uint32_t after;
} LayoutPadding;

static inline LayoutPadding layout_padding(int32_t input, int32_t output, uint32_t filter,
                                           uint32_t dilation, uint32_t stride) {
  const int64_t extent = dcsr_filter_extent(filter, dilation);
  const uint32_t before = dcsr_conv_padding(input, output, extent, stride);
  const LayoutPadding padding = {
      before, layout_greater((int64_t)(output - 1) * stride + extent - before - input, 0)};
  return padding;
}

// Returns the smallest layout of a layer for a variant, plus what the variant has more.
static inline DcsrLayout make_layout(const DcsrLayer* layer, const DcsrConvShape* s,
                                     const LayoutVariant* v) {
  DcsrLayout layout;
  memset(&layout, 0, sizeof(layout));
  layout.input_height = (uint16_t)s->input_height;
  layout.input_width = (uint16_t)s->input_width;
  layout.is_transposed = v->is_transposed ? 1 : 0;
  if (v->input) {
    const LayoutPadding rows = layout_padding(s->input_height, s->output_height, layer->filter_h,
                                              layer->dilation_h, layer->stride_h);
    const LayoutPadding columns = layout_padding(s->input_width, s->output_width, layer->filter_w,
                                                 layer->dilation_w, layer->stride_w);
    const uint32_t pitch =
        layout.input_width + layout_greater(columns.before, columns.after) + v->more_pitch;
    layout.input_pitch = (uint16_t)pitch;
    layout.input_first = (uint16_t)(rows.before * pitch + columns.before + v->more_first);
    layout.input_plane_bytes = layout.input_first + (layout.input_height - 1 + rows.after) * pitch +
                               layout.input_width + columns.after + v->more_end;
    layout.input_plane_bytes = (layout.input_plane_bytes + 3) / 4 * 4;
  }
  if (v->output) {
    layout.output_pitch = (uint16_t)((uint32_t)s->output_width + v->more_pitch);
    layout.output_first = (uint16_t)v->more_first;
    layout.output_plane_bytes = v->more_first +
                                (uint32_t)(s->output_height - 1) * layout.output_pitch +
                                (uint32_t)s->output_width + v->more_end;
    layout.output_plane_bytes = (layout.output_plane_bytes + 3) / 4 * 4;
  }
  return layout;
}

#ifdef __cplusplus
}
#endif

#endif  // DCSR_TFLM_KERNELS_TESTING_MAKE_LAYOUT_H_
