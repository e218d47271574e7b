// Depthwise convolution with the DSP extension (Cortex-M4, M7, M33), dense weights: filters of 3x3
// with stride 1 or 2, and of 5x5 with stride 1.
//
// Input:   [batches, input_height, input_width, channels], int8, or planes.
// Output:  [batches, output_height, output_width, channels], int8, or planes.
// Scratch: planes of four channels (plan_depthwise_conv2d_dense_dsp.h).
// Cycles:  counted in costs/costs.c (docs/kernels.md#depthwise-convolution-with-the-dsp-extension).
//
// SMLAD multiplies two taps at once. They have to be in one word, so four channels at a time are
// copied to planes with padding, whose words have the pixels of two neighbouring rows:
//
//   input, NHWC                     planes of channels 0 to 3
//   row 0   c0 c1 c2 c3 | ...       p0: (row 0, row 1) of pixel 0, pixel 1, ...
//   row 1   c0 c1 c2 c3 | ...       p1, p2, p3: likewise
//
// Two loads, four SXTB16 and four PKH make the words of two pixels and four channels. A strip of
// two rows of the output is then computed from the pair rows that its filters cover. The rows of
// planes are rows of the image, or its columns if these are longer. Input that is in planes already
// is copied one channel at a time, with two loads for four pixels of two rows.

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tflm_kernels/common/compiler.h"
#include "tflm_kernels/common/conv_geometry.h"
#include "tflm_kernels/common/dsp.h"
#include "tflm_kernels/common/layout.h"
#include "tflm_kernels/common/row_scale.h"
#include "tflm_kernels/planning/plan_depthwise_conv2d_dense_dsp.h"
#include "tflm_kernels/scalar/clamp_dsp.h"
#include "tflm_kernels/scalar/depthwise_strips_dsp.h"
#include "tflm_kernels/scalar/scalar.h"

enum { kStripRows = kDcsrDepthwiseStripRows };

// One dimension of the layer. Steps are in bytes.
typedef struct {
  uint32_t input;
  uint32_t output;
  uint32_t padding;
  size_t input_step;
  size_t output_step;
  uint32_t tap_step;
} Dimension;

typedef struct {
  const DcsrLayer* layer;
  Dimension row;     // from row to row of a plane
  Dimension column;  // along its rows
  uint32_t filter;
  uint32_t stride;
  size_t input_channel;  // bytes between channels
  size_t output_channel;
  uint32_t channels;   // that are copied together, each to a plane
  size_t width;        // of a plane, in words
  size_t plane_words;  // of one plane
  uint32_t* planes;
  uint32_t zeros;  // four times the input zero point
} Work;

static Dimension dimension(const DcsrLayer* layer, int32_t input, int32_t output) {
  Dimension result;
  result.input = (uint32_t)input;
  result.output = (uint32_t)output;
  result.padding = dcsr_conv_padding(input, output, layer->filter_w, layer->stride_w);
  return result;
}

DCSR_NOINLINE static Work make_work(const DcsrPlan* plan, const DcsrLayer* layer,
                                    const DcsrConvShape* shape, void* scratch) {
  Dimension y = dimension(layer, shape->input_height, shape->output_height);
  Dimension x = dimension(layer, shape->input_width, shape->output_width);
  const DcsrSteps in = dcsr_input_steps(layer, shape);
  const DcsrSteps out = dcsr_output_steps(layer, shape);
  y.input_step = in.row;
  y.output_step = out.row;
  y.tap_step = layer->filter_w;
  x.input_step = in.column;
  x.output_step = out.column;
  x.tap_step = 1;
  const bool is_transposed = dcsr_depthwise_is_transposed(shape);
  Work work;
  work.layer = layer;
  work.row = is_transposed ? x : y;
  work.column = is_transposed ? y : x;
  work.filter = layer->filter_w;
  work.stride = layer->stride_w;
  work.input_channel = in.channel;
  work.output_channel = out.channel;
  work.channels = dcsr_depthwise_dsp_planes(layer);
  work.width = dcsr_depthwise_plane_width(work.column.output, work.stride, work.filter);
  const size_t strips = plan->tile_pixels / (kStripRows * work.column.output);
  work.plane_words = dcsr_depthwise_pair_rows(strips, work.stride, work.filter) * work.width;
  work.planes = (uint32_t*)scratch;
  work.zeros = (uint8_t)layer->input_zero_point * UINT32_C(0x01010101);
  return work;
}

// ----- Planes -----

// Copies `count` pixels of two rows `a` and `b` to the words of a pair row of four planes.
DCSR_NOINLINE static void copy_pair(const int8_t* a, size_t step_a, const int8_t* b, size_t step_b,
                                    size_t count, uint32_t* out, size_t plane_words) {
  uint32_t* const end = out + count;
  while (out != end) {
    const uint32_t word_a = dcsr_dsp_load(a);
    const uint32_t word_b = dcsr_dsp_load(b);
    const uint32_t even_a = dcsr_dsp_even(word_a);
    const uint32_t even_b = dcsr_dsp_even(word_b);
    const uint32_t odd_a = dcsr_dsp_odd(word_a);
    const uint32_t odd_b = dcsr_dsp_odd(word_b);
    a += step_a;
    b += step_b;
    out[plane_words] = dcsr_dsp_pack_low(odd_a, odd_b);
    out[2 * plane_words] = dcsr_dsp_pack_high(even_a, even_b);
    out[3 * plane_words] = dcsr_dsp_pack_high(odd_a, odd_b);
    *out++ = dcsr_dsp_pack_low(even_a, even_b);
  }
}

// The same for one plane.
static inline void copy_plane_pair(const int8_t* a, size_t step_a, const int8_t* b, size_t step_b,
                                   size_t count, uint32_t* out) {
  for (uint32_t* const end = out + count; out != end;) {
    *out++ = dcsr_dsp_pack_low((uint32_t)*a, (uint32_t)*b);
    a += step_a;
    b += step_b;
  }
}

// The same if the pixels follow each other: the steps are 1, or 0 for a row of padding.
static inline void copy_flat_pair(const int8_t* a, size_t step_a, const int8_t* b, size_t step_b,
                                  size_t count, uint32_t* out) {
  for (uint32_t* const end = out + count / 4 * 4; out != end; out += 4) {
    const uint32_t word_a = dcsr_dsp_load(a);
    const uint32_t word_b = dcsr_dsp_load(b);
    const uint32_t even_a = dcsr_dsp_even(word_a);
    const uint32_t even_b = dcsr_dsp_even(word_b);
    const uint32_t odd_a = dcsr_dsp_odd(word_a);
    const uint32_t odd_b = dcsr_dsp_odd(word_b);
    a += 4 * step_a;
    b += 4 * step_b;
    out[0] = dcsr_dsp_pack_low(even_a, even_b);
    out[1] = dcsr_dsp_pack_low(odd_a, odd_b);
    out[2] = dcsr_dsp_pack_high(even_a, even_b);
    out[3] = dcsr_dsp_pack_high(odd_a, odd_b);
  }
  copy_plane_pair(a, step_a, b, step_b, count % 4, out);
}

// Copies the rows of the channels from `input` on that `strips` strips need, those from row `first`
// of the padded image on.
DCSR_NOINLINE static void copy_planes(const Work* work, const int8_t* input, uint32_t first,
                                      size_t strips) {
  const Dimension* row = &work->row;
  const Dimension* column = &work->column;
  const size_t inside = work->width - column->padding;
  const size_t count = column->input < inside ? column->input : inside;
  const size_t pair_rows = dcsr_depthwise_pair_rows(strips, work->stride, work->filter);
  const int8_t* zeros = (const int8_t*)&work->zeros;
  uint32_t* out = work->planes + column->padding;
  for (size_t r = 0; r < pair_rows; ++r, out += work->width) {
    // Modulo 2^32: rows before the image are larger than its size.
    const uint32_t y = first + (uint32_t)(2 * r) - row->padding;
    const bool has_a = y < row->input;
    const bool has_b = y + 1 < row->input;
    if (!has_a && !has_b) continue;
    const int8_t* a = has_a ? input + y * row->input_step : zeros;
    const int8_t* b = has_b ? input + (y + 1) * row->input_step : zeros;
    const size_t step_a = has_a ? column->input_step : 0;
    const size_t step_b = has_b ? column->input_step : 0;
    if (work->channels != 1) {
      copy_pair(a, step_a, b, step_b, count, out, work->plane_words);
    } else if (column->input_step == 1) {
      copy_flat_pair(a, step_a, b, step_b, count, out);
    } else {
      copy_plane_pair(a, step_a, b, step_b, count, out);
    }
  }
}

static void fill_planes(const Work* work) {
  const uint32_t word = dcsr_dsp_even(work->zeros);
  uint32_t* const end = work->planes + work->channels * work->plane_words;
  for (uint32_t* out = work->planes; out != end; ++out) *out = word;
}

// ----- Strips -----

// Computes a strip in portable C, with any requantization. `x` are the words of its first pair row.
DCSR_COLD static void multiply_slowly(const Work* work, uint32_t channel, const DcsrRowScale* scale,
                                      const uint32_t* x, uint32_t rows, int8_t* output) {
  const DcsrLayer* layer = work->layer;
  const int8_t* weights = layer->values + channel * layer->cols;
  for (uint32_t r = 0; r < rows; ++r) {
    for (uint32_t c = 0; c < work->column.output; ++c) {
      uint32_t sum = (uint32_t)scale->bias;
      for (uint32_t i = 0; i < work->filter; ++i) {
        const uint32_t y = r * work->stride + i;
        const uint32_t* words = x + y / 2 * work->width + c * work->stride;
        for (uint32_t j = 0; j < work->filter; ++j) {
          const int16_t pixel = (int16_t)(y % 2 == 0 ? words[j] : words[j] >> 16);
          sum += (uint32_t)(weights[i * work->row.tap_step + j * work->column.tap_step] * pixel);
        }
      }
      output[r * work->row.output_step + c * work->column.output_step] =
          dcsr_scale_any(layer, channel, scale, sum);
    }
  }
}

#if DCSR_HAS_DEPTHWISE_STRIPS

// Returns a word of the weights of two taps that are `step` bytes apart, times 2^shift.
static inline uint32_t pair_of(const int8_t* weight, size_t step, uint32_t shift) {
  return dcsr_dsp_pack_low((uint32_t)weight[0] << shift, (uint32_t)weight[step] << shift);
}

// Writes the words of weights in the order of depthwise_strips_dsp.c.
static inline void pack_weights(const Work* work, const int8_t* weights, uint32_t shift,
                                uint32_t* out) {
  const size_t row = work->row.tap_step;
  if (work->filter == 3) {
    for (uint32_t j = 0; j < 3; ++j) {
      out[j] = pair_of(weights, row, shift);
      out[3 + j] = pair_of(weights + row, row, shift);
      weights += work->column.tap_step;
    }
    return;
  }
  for (uint32_t j = 0; j < 5; ++j) {
    out[j] = pair_of(weights, row, shift);
    out[5 + 2 * j] = pair_of(weights + 2 * row, row, shift);
    out[6 + 2 * j] = pair_of(weights + row, row, shift);
    out[15 + j] = pair_of(weights + 3 * row, row, shift);
    weights += work->column.tap_step;
  }
}

DCSR_NOINLINE static void multiply_strips(const Work* work, uint32_t channel,
                                          const DcsrRowScale* scale, int32_t left,
                                          const uint32_t* x, uint32_t rows, int8_t* output) {
  const DcsrLayer* layer = work->layer;
  const uint32_t shift = (uint32_t)left + 1;
  const size_t row_bytes = work->width * sizeof(uint32_t);
  DcsrDepthwiseStrip strip;
  strip.multiplier = scale->multiplier;
  strip.offset = scale->fast ? scale->offset : layer->output_zero_point;
  strip.right = scale->fast ? scale->right : 0;
  strip.step = (uint32_t)work->column.output_step;
  strip.row_step = (uint32_t)work->row.output_step;
  const uint32_t sum = (uint32_t)scale->bias << shift;
  strip.sums[0] = strip.sums[1] = strip.sums[2] = strip.sums[3] = sum;
  pack_weights(work, layer->values + channel * layer->cols, shift, strip.weights);
  // The loops with a pitch below the size of a row advance by the words that they read.
  DcsrDepthwiseStripRun* run = dcsr_depthwise_strip_3x3;
  strip.pitch = (uint32_t)row_bytes;
  if (work->filter == 5) {
    run = dcsr_depthwise_strip_5x5;
    strip.pitch = (uint32_t)row_bytes - 6 * sizeof(uint32_t);
  } else if (work->stride == 2) {
    run = dcsr_depthwise_strip_3x3_stride_2;
    strip.pitch = (uint32_t)row_bytes - 5 * sizeof(uint32_t);
  }
  const uint32_t columns = work->column.output;
  for (uint32_t r = 0; r < rows; r += kStripRows) {
    strip.is_odd = columns % 2;
    strip.output = output;
    strip.end = x + (columns - columns % 2) * work->stride;
    if (rows - r == 1) strip.row_step = 0;
    run(x, strip.sums);
    x += work->stride * work->width;
    output += kStripRows * work->row.output_step;
  }
}

#else

static void multiply_strips(const Work* work, uint32_t channel, const DcsrRowScale* scale,
                            int32_t left, const uint32_t* x, uint32_t rows, int8_t* output) {
  (void)left;
  multiply_slowly(work, channel, scale, x, rows, output);
}

#endif

// Computes `rows` rows of the output of an image for all channels, from row `first` on.
DCSR_NOINLINE static void multiply_tile(const Work* work, const int8_t* input, uint32_t first,
                                        uint32_t rows, int8_t* output) {
  const DcsrLayer* layer = work->layer;
  const size_t strips = (rows + kStripRows - 1) / kStripRows;
  fill_planes(work);
  for (uint32_t channel = 0; channel < layer->channels;) {
    // The last four channels overlap those before them.
    const uint32_t last = layer->channels - work->channels;
    const uint32_t group = channel < last ? channel : last;
    copy_planes(work, input + group * work->input_channel, first * work->stride, strips);
    for (; channel < group + work->channels; ++channel) {
      const DcsrRowScale scale = dcsr_row_scale(layer, channel, layer->cols);
      const uint32_t* x = work->planes + (channel - group) * work->plane_words;
      int8_t* of_channel = output + channel * work->output_channel;
      const int32_t left = dcsr_depthwise_left_shift(&scale);
      if (left >= 0) {
        multiply_strips(work, channel, &scale, left, x, rows, of_channel);
      } else {
        multiply_slowly(work, channel, &scale, x, rows, of_channel);
      }
    }
  }
}

void dcsr_depthwise_conv2d_dense_dsp(const DcsrPlan* plan, const DcsrLayer* layer,
                                     const DcsrConvShape* shape, const void* input_data,
                                     void* output_data, void* scratch) {
  const int8_t* input = (const int8_t*)input_data;
  int8_t* output = (int8_t*)output_data;
  const Work work = make_work(plan, layer, shape, scratch);
  const uint32_t tile_rows = (uint32_t)(plan->tile_pixels / work.column.output);
  const size_t pixels = (size_t)shape->output_height * (size_t)shape->output_width;
  // A layer with planes has one image.
  const size_t image =
      dcsr_has_output_planes(layer) ? work.output_channel * layer->rows : pixels * layer->rows;
  for (int32_t batch = 0; batch < shape->batches; ++batch) {
    for (uint32_t row = 0; row < work.row.output; row += tile_rows) {
      const uint32_t left = work.row.output - row;
      multiply_tile(&work, input, row, left < tile_rows ? left : tile_rows,
                    output + row * work.row.output_step);
    }
    input += (size_t)work.row.input * work.column.input * layer->channels;
    output += image;
  }
  dcsr_clamp_dsp(layer, image * (size_t)shape->batches, (int8_t*)output_data);
}
