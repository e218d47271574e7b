// Depthwise convolution on planes with the DSP extension (Cortex-M4, M7, M33): dense weights, 3x3,
// stride 1 or 2, padding SAME.
//
// Input:   planes, int8, at least four pixels wide, with stride 2 five.
// Output:  planes, int8.
// Scratch: two edges of a plane (plan_depthwise_conv2d_planes_dsp.h).
// Cycles:  counted in costs/costs.c (docs/kernels.md#depthwise-convolution-on-planes).
//
// Planes are read in place, in strips of two columns of the output (depthwise_columns_dsp.h). A
// strip reads the four columns around it. Those at the edges are copied, with a column of padding,
// to scratch of the same pitch:
//
//   plane, 6 wide       left edge         strip         right edge
//   x0 x1 x2 x3 x4 x5   z  x0 x1 x2       x1 x2 x3 x4   x3 x4 x5 z
//
// With stride 2 a strip reads five columns: x0 x1 x2 x3 x4, and at the right edge x2 x3 x4 x5 z. An
// even width then needs no padding at the left.
//
// In place of the padding above and below the map its products are added: they are the same for all
// columns. If the width of the output is odd, the last strip computes a column for the second time.

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "tflm_kernels/common/compiler.h"
#include "tflm_kernels/common/conv_geometry.h"
#include "tflm_kernels/common/dsp.h"
#include "tflm_kernels/common/layout.h"
#include "tflm_kernels/common/row_scale.h"
#include "tflm_kernels/planning/plan_depthwise_conv2d_dense_dsp.h"
#include "tflm_kernels/planning/plan_depthwise_conv2d_planes_dsp.h"
#include "tflm_kernels/scalar/clamp_dsp.h"
#include "tflm_kernels/scalar/depthwise_columns_dsp.h"
#include "tflm_kernels/scalar/scalar.h"

enum { kTaps = 9 };

// The map, and the edges in scratch.
typedef struct {
  size_t height;
  size_t width;
  size_t output_height;
  size_t output_width;
  size_t stride;
  size_t top;     // pixels of padding above the map
  size_t before;  // and to its left
  int8_t* left;
  int8_t* right;
} Map;

static inline void store_word(uint32_t word, int8_t* out) { memcpy(out, &word, sizeof(word)); }

// Copies the edges of stride 2. The last strip reads the last four pixels and padding.
static void copy_edges_of_stride_2(const Map* map, const int8_t* plane, int8_t zero_point) {
  const int8_t* const end = plane + map->height * map->width;
  const size_t last = map->width - 4;
  int8_t* left = map->left;
  int8_t* right = map->right;
  for (; plane != end; plane += map->width) {
    left[0] = zero_point;
    store_word(dcsr_dsp_load(plane), left + 1);
    store_word(dcsr_dsp_load(plane + last), right);
    right[4] = zero_point;
    left += map->width;
    right += map->width;
  }
}

// Copies the edges of stride 1. The last strip reads the last three pixels and padding.
static void copy_edges(const Map* map, const int8_t* plane, uint32_t zero_point) {
  const int8_t* const end = plane + map->height * map->width;
  const size_t last = map->width - 4;
  int8_t* left = map->left;
  int8_t* right = map->right;
  for (; plane != end; plane += map->width) {
    store_word(dcsr_dsp_load(plane) << 8 | zero_point, left);
    store_word(dcsr_dsp_load(plane + last) >> 8 | zero_point << 24, right);
    left += map->width;
    right += map->width;
  }
}

// Returns the word of taps `i` and `j`, times 2^shift.
static inline uint32_t taps(const int8_t* weights, uint32_t i, uint32_t j, uint32_t shift) {
  return dcsr_dsp_pack_low((uint32_t)weights[i] << shift, (uint32_t)weights[j] << shift);
}

// Returns the products of a row of the filter with padding.
static inline uint32_t padding(const int8_t* weights, int32_t zero_point, uint32_t shift) {
  return (uint32_t)((weights[0] + weights[1] + weights[2]) * zero_point) << shift;
}

static void set_channel(const DcsrLayer* layer, const DcsrRowScale* scale, int32_t left,
                        const int8_t* weights, DcsrDepthwiseColumns* columns) {
  const uint32_t shift = (uint32_t)left + 1;
  columns->first_outer = taps(weights, 0, 2, shift);
  columns->middle_outer = taps(weights, 3, 5, shift);
  columns->last_outer = taps(weights, 6, 8, shift);
  columns->centers = taps(weights, 1, 4, shift);
  columns->last_center = (uint32_t)weights[7] << shift;
  columns->multiplier = scale->multiplier;
  columns->offset = scale->fast ? scale->offset : layer->output_zero_point;
  columns->right = scale->fast ? scale->right : 0;
  columns->sum = (uint32_t)scale->bias << shift;
  columns->top = columns->sum + padding(weights, layer->input_zero_point, shift);
  columns->bottom = padding(weights + 6, layer->input_zero_point, shift);
}

// Computes `count` strips of which the first reads from `input` on.
static void run_strips(const Map* map, DcsrDepthwiseColumnsRun* run, const int8_t* input,
                       size_t count, int8_t* output, DcsrDepthwiseColumns* columns) {
  columns->start = input;
  columns->end = input + map->height * map->width;
  columns->last = input + 2 * map->stride * count;
  columns->delta = (intptr_t)output - (intptr_t)input - (intptr_t)map->width;
  columns->output = output;
  run(columns);
}

// Computes a channel in portable C, with any requantization.
DCSR_COLD static void multiply_slowly(const DcsrLayer* layer, uint32_t channel, const Map* map,
                                      const DcsrRowScale* scale, const int8_t* plane,
                                      int8_t* output) {
  const int8_t* weights = layer->values + (size_t)channel * kTaps;
  for (size_t y = 0; y < map->output_height; ++y) {
    for (size_t x = 0; x < map->output_width; ++x) {
      uint32_t sum = (uint32_t)scale->bias;
      for (uint32_t tap = 0; tap < kTaps; ++tap) {
        // Modulo 2^n: pixels before the map are larger than its size.
        const size_t row = y * map->stride + tap / 3 - map->top;
        const size_t column = x * map->stride + tap % 3 - map->before;
        const bool is_inside = row < map->height && column < map->width;
        const int32_t pixel =
            is_inside ? plane[row * map->width + column] : layer->input_zero_point;
        sum += (uint32_t)(weights[tap] * pixel);
      }
      *output++ = dcsr_scale_any(layer, channel, scale, sum);
    }
  }
}

static void multiply_channel(const DcsrLayer* layer, uint32_t channel, const Map* map,
                             const int8_t* plane, int8_t* output) {
  const DcsrRowScale scale = dcsr_row_scale(layer, channel, kTaps);
  const int32_t left = dcsr_depthwise_left_shift(&scale);
  if (left < 0) {
    multiply_slowly(layer, channel, map, &scale, plane, output);
    return;
  }
  DcsrDepthwiseColumns columns;
  set_channel(layer, &scale, left, layer->values + (size_t)channel * kTaps, &columns);
  columns.pitch = map->width;
  columns.output_pitch = map->output_width;
  columns.has_top = (uint32_t)map->top;
  DcsrDepthwiseColumnsRun* run = dcsr_depthwise_columns_clamped;
  if (map->stride == 1) {
    if (scale.halves) run = dcsr_depthwise_columns_halves;
    copy_edges(map, plane, (uint8_t)layer->input_zero_point);
  } else {
    run = scale.halves ? dcsr_depthwise_columns_stride_2_halves
                       : dcsr_depthwise_columns_stride_2_clamped;
    copy_edges_of_stride_2(map, plane, (int8_t)layer->input_zero_point);
  }
  // The strips between the edges: the column of the output that the first one begins with, and how
  // many there are. The output has at least three columns.
  const size_t first = 2 * map->before;
  const size_t strips = (map->output_width - 1 - first) / 2;
  if (map->before > 0) run_strips(map, run, map->left, 1, output, &columns);
  run_strips(map, run, map->right, 1, output + map->output_width - 2, &columns);
  if (strips > 0) {
    run_strips(map, run, plane + first * map->stride - map->before, strips, output + first,
               &columns);
  }
}

void dcsr_depthwise_conv2d_planes_dsp(const DcsrPlan* plan, const DcsrLayer* layer,
                                      const DcsrConvShape* shape, const void* input_data,
                                      void* output_data, void* scratch) {
  (void)plan;
  const size_t input_bytes = dcsr_input_steps(layer, shape).channel;
  const size_t output_bytes = dcsr_output_steps(layer, shape).channel;
  const int8_t* plane = (const int8_t*)input_data;
  int8_t* output = (int8_t*)output_data;
  Map map;
  map.height = (size_t)shape->input_height;
  map.width = (size_t)shape->input_width;
  map.output_height = (size_t)shape->output_height;
  map.output_width = (size_t)shape->output_width;
  map.stride = layer->stride_w;
  map.top = dcsr_conv_padding(shape->input_height, shape->output_height, 3, layer->stride_h);
  map.before = dcsr_conv_padding(shape->input_width, shape->output_width, 3, layer->stride_w);
  map.left = (int8_t*)scratch;
  map.right = map.left + dcsr_depthwise_edge_bytes(shape);
  for (uint32_t channel = 0; channel < layer->channels; ++channel) {
    multiply_channel(layer, channel, &map, plane, output);
    plane += input_bytes;
    output += output_bytes;
  }
  dcsr_clamp_dsp(layer, output_bytes * layer->channels, (int8_t*)output_data);
}
