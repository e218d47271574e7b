// Dense AVERAGE_POOL_2D and MAX_POOL_2D: four channels at a time with MVE, else one.

#include <stdbool.h>

#include "tflm_kernels/baseline/operators.h"
#include "tflm_kernels/common/compiler.h"

#if DCSR_HAS_MVE
#include <arm_mve.h>
#endif

// The pixels of the image that a window covers.
typedef struct {
  int32_t first_y, end_y;
  int32_t first_x, end_x;
} Area;

static int32_t larger(int32_t a, int32_t b) { return a > b ? a : b; }

static int32_t smaller(int32_t a, int32_t b) { return a < b ? a : b; }

// As TFLM's AveragePool: rounds to nearest, halves away from zero.
static int32_t rounded_quotient(int32_t sum, int32_t count) {
  return sum > 0 ? (sum + count / 2) / count : (sum - count / 2) / count;
}

static int8_t finish(const DcsrWindowParameters* window, bool is_average, int32_t count,
                     int32_t result) {
  if (is_average) result = rounded_quotient(result, count);
  return (int8_t)smaller(larger(result, window->activation_min), window->activation_max);
}

#if DCSR_HAS_MVE

enum { kLanes = 4 };

static inline void pool_four(const DcsrWindowParameters* window, bool is_average, const Area* area,
                             const int8_t* input, int32_t count, int8_t* output) {
  const int32_t channels = window->input_channels;
  int32x4_t results = vdupq_n_s32(is_average ? 0 : INT8_MIN);
  for (int32_t y = area->first_y; y < area->end_y; ++y) {
    const int8_t* values = input + (y * window->input_width + area->first_x) * channels;
    for (int32_t x = area->first_x; x < area->end_x; ++x) {
      const int32x4_t loaded = vldrbq_s32(values);
      results = is_average ? vaddq_s32(results, loaded) : vmaxq_s32(results, loaded);
      values += channels;
    }
  }
  int32_t lanes[kLanes];
  vst1q_s32(lanes, results);
  for (int32_t i = 0; i < kLanes; ++i) output[i] = finish(window, is_average, count, lanes[i]);
}

#endif

static inline void pool_pixel(const DcsrWindowParameters* window, bool is_average, const Area* area,
                              const int8_t* input, int8_t* output) {
  const int32_t channels = window->input_channels;
  const int32_t count = (area->end_y - area->first_y) * (area->end_x - area->first_x);
  int32_t channel = 0;
#if DCSR_HAS_MVE
  for (; channel + kLanes <= channels; channel += kLanes) {
    pool_four(window, is_average, area, input + channel, count, output + channel);
  }
#endif
  for (; channel < channels; ++channel) {
    int32_t result = is_average ? 0 : INT8_MIN;
    for (int32_t y = area->first_y; y < area->end_y; ++y) {
      const int8_t* values = input + (y * window->input_width + area->first_x) * channels + channel;
      for (int32_t x = area->first_x; x < area->end_x; ++x) {
        result = is_average ? result + *values : larger(result, *values);
        values += channels;
      }
    }
    output[channel] = finish(window, is_average, count, result);
  }
}

static inline void pool(const DcsrWindowParameters* window, bool is_average, const int8_t* input,
                        int8_t* output) {
  for (int32_t batch = 0; batch < window->batches; ++batch) {
    for (int32_t y = 0; y < window->output_height; ++y) {
      const int32_t start_y = y * window->stride_height - window->padding_height;
      for (int32_t x = 0; x < window->output_width; ++x) {
        const int32_t start_x = x * window->stride_width - window->padding_width;
        const Area area = {
            larger(start_y, 0), smaller(start_y + window->filter_height, window->input_height),
            larger(start_x, 0), smaller(start_x + window->filter_width, window->input_width)};
        pool_pixel(window, is_average, &area, input, output);
        output += window->output_channels;
      }
    }
    input += window->input_height * window->input_width * window->input_channels;
  }
}

void dcsr_operator_average_pool(const DcsrWindowParameters* window, const int8_t* input,
                                int8_t* output) {
  pool(window, true, input, output);
}

void dcsr_operator_max_pool(const DcsrWindowParameters* window, const int8_t* input,
                            int8_t* output) {
  pool(window, false, input, output);
}
