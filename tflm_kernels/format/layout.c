// Checks the layout of a layer: docs/format.md#layout. The blob is not trusted. Positions are
// computed in 64 bits, where the ranges of the fields exclude an overflow.

#include "tflm_kernels/format/layout.h"

#include "tflm_kernels/common/conv_geometry.h"

// Pixels that a filter reads outside of the map along one dimension.
typedef struct {
  uint64_t before;
  uint64_t after;
} Padding;

static Padding padding_of(int32_t input, int32_t output, uint32_t filter, uint32_t dilation,
                          uint32_t stride) {
  const int64_t extent = dcsr_filter_extent(filter, dilation);
  const uint32_t before = dcsr_conv_padding(input, output, extent, stride);
  const int64_t after = (int64_t)(output - 1) * stride + extent - before - input;
  const Padding padding = {before, after > 0 ? (uint64_t)after : 0};
  return padding;
}

// The planes of one tensor, and its map.
typedef struct {
  uint64_t first;
  uint64_t pitch;
  uint64_t plane_bytes;
  uint64_t channels;
  uint64_t height;
  uint64_t width;
} Planes;

static bool planes_are_valid(const Planes* planes, Padding rows, Padding columns) {
  if (planes->pitch == 0) return planes->first == 0 && planes->plane_bytes == 0;
  // A row of pixels shares the padding between it and the next one.
  const uint64_t between = columns.before > columns.after ? columns.before : columns.after;
  const uint64_t last = planes->first + (planes->height - 1 + rows.after) * planes->pitch +
                        planes->width - 1 + columns.after;
  return planes->pitch >= planes->width + between &&
         planes->first >= rows.before * planes->pitch + columns.before &&
         last < planes->plane_bytes && planes->plane_bytes % 4 == 0 &&
         planes->plane_bytes * planes->channels <= INT32_MAX;
}

bool dcsr_layout_is_valid(const DcsrLayer* layer) {
  const DcsrLayout* layout = layer->layout;
  const bool is_between = layout->input_pitch != 0 && layout->output_pitch != 0;
  DcsrConvShape shape;
  if (layout->input_height == 0 || layout->input_width == 0 || layout->reserved != 0 ||
      layout->is_transposed > (is_between ? 0 : 1) ||
      (layout->input_pitch == 0 && layout->output_pitch == 0) ||
      !dcsr_conv_shape(layer, 1, layout->input_height, layout->input_width, &shape)) {
    return false;
  }
  const Padding rows = padding_of(shape.input_height, shape.output_height, layer->filter_h,
                                  layer->dilation_h, layer->stride_h);
  const Padding columns = padding_of(shape.input_width, shape.output_width, layer->filter_w,
                                     layer->dilation_w, layer->stride_w);
  const Padding none = {0, 0};
  const Planes input = {layout->input_first,          layout->input_pitch,
                        layout->input_plane_bytes,    layer->channels,
                        (uint64_t)shape.input_height, (uint64_t)shape.input_width};
  const Planes output = {layout->output_first,          layout->output_pitch,
                         layout->output_plane_bytes,    layer->rows,
                         (uint64_t)shape.output_height, (uint64_t)shape.output_width};
  return planes_are_valid(&input, rows, columns) && planes_are_valid(&output, none, none);
}
