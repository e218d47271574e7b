// Dense DEPTHWISE_CONV_2D: eight channels at a time with MVE, four with the DSP extension, else
// one.

#include <stddef.h>

#include "tflm_kernels/baseline/operators.h"
#include "tflm_kernels/common/compiler.h"
#include "tflm_kernels/common/dsp.h"
#include "tflm_kernels/common/requantize.h"

#if DCSR_HAS_MVE
#include <arm_mve.h>
#endif

// The taps of the filter that lie inside the image for one output pixel.
typedef struct {
  int32_t first_y, end_y;
  int32_t first_x, end_x;
  const int8_t* first;   // the pixel below the first of them
  int32_t first_weight;  // elements, to the weights of the first of them
  int32_t step;          // elements, from one tap to the next
  int32_t line;          // from one line of taps to the next
  int32_t weight_line;
} Taps;

static void find_taps(int32_t start, int32_t size, int32_t dilation, int32_t taps, int32_t* first,
                      int32_t* end) {
  *first = start < 0 ? (dilation - 1 - start) / dilation : 0;
  const int32_t fitting = size > start ? (size - start + dilation - 1) / dilation : 0;
  *end = fitting < taps ? fitting : taps;
}

static inline int8_t finish(const DcsrWindowParameters* window, const DcsrDenseWeights* layer,
                            int32_t channel, int32_t sum) {
  if (layer->bias != NULL) sum += layer->bias[channel];
  const int32_t scaled =
      dcsr_multiply_by_quantized_multiplier(sum, layer->multiplier[channel], layer->shift[channel]);
  const int32_t value = scaled + window->output_zero_point;
  if (value < window->activation_min) return (int8_t)window->activation_min;
  if (value > window->activation_max) return (int8_t)window->activation_max;
  return (int8_t)value;
}

#if DCSR_HAS_MVE

enum { kLanes = 8 };

// As dcsr_dense_mve_requantize().
static inline int32x4_t requantized(const DcsrWindowParameters* window, int32x4_t sums,
                                    int32x4_t multiplier, int32x4_t shift) {
  const int32x4_t zero = vdupq_n_s32(0);
  const int32x4_t right = vminq_s32(shift, zero);
  const int32x4_t high = vqrdmulhq_s32(vshlq_s32(sums, vmaxq_s32(shift, zero)), multiplier);
  const int32x4_t nudge = vshrq_n_s32(vandq_s32(high, right), 31);
  int32x4_t out = vrshlq_s32(vqaddq_s32(high, nudge), right);
  out = vaddq_n_s32(out, window->output_zero_point);
  out = vmaxq_s32(out, vdupq_n_s32(window->activation_min));
  return vminq_s32(out, vdupq_n_s32(window->activation_max));
}

static inline void compute_eight(const DcsrWindowParameters* window, const DcsrDenseWeights* layer,
                                 const Taps* taps, int32_t channel, int8_t* output) {
  const int32_t channels = window->output_channels;
  const int32_t columns = taps->end_x - taps->first_x;
  const int16_t zero_point = (int16_t)window->input_zero_point;
  int32x4_t even = vdupq_n_s32(0);
  int32x4_t odd = even;
  if (layer->bias != NULL) {
    const int32x4x2_t bias = vld2q_s32(layer->bias + channel);
    even = bias.val[0];
    odd = bias.val[1];
  }
  const int8_t* input = taps->first + channel;
  const int8_t* weights = layer->weights + taps->first_weight + channel;
  for (int32_t y = taps->first_y; y < taps->end_y; ++y) {
    const int8_t* value = input;
    const int8_t* weight = weights;
    for (int32_t x = 0; x < columns; ++x) {
      const int16x8_t values = vsubq_n_s16(vldrbq_s16(value), zero_point);
      const int16x8_t factors = vldrbq_s16(weight);
      even = vaddq_s32(even, vmullbq_int_s16(values, factors));
      odd = vaddq_s32(odd, vmulltq_int_s16(values, factors));
      value += taps->step;
      weight += channels;
    }
    input += taps->line;
    weights += taps->weight_line;
  }
  const int32x4x2_t multiplier = vld2q_s32(layer->multiplier + channel);
  const int32x4x2_t shift = vld2q_s32(layer->shift + channel);
  even = requantized(window, even, multiplier.val[0], shift.val[0]);
  odd = requantized(window, odd, multiplier.val[1], shift.val[1]);
  vstrbq_s16(output + channel, vmovntq_s32(vreinterpretq_s16_s32(even), odd));
}

#elif defined(__ARM_FEATURE_DSP)

enum { kLanes = 4 };

static inline int32_t multiply_low(uint32_t a, uint32_t b, int32_t sum) {
  __asm__("smlabb %0, %1, %2, %0" : "+r"(sum) : "r"(a), "r"(b));
  return sum;
}

static inline int32_t multiply_high(uint32_t a, uint32_t b, int32_t sum) {
  __asm__("smlatt %0, %1, %2, %0" : "+r"(sum) : "r"(a), "r"(b));
  return sum;
}

static inline uint32_t add_even(uint32_t offsets, uint32_t bytes) {
  uint32_t result;
  __asm__("sxtab16 %0, %1, %2" : "=r"(result) : "r"(offsets), "r"(bytes));
  return result;
}

static inline uint32_t add_odd(uint32_t offsets, uint32_t bytes) {
  uint32_t result;
  __asm__("sxtab16 %0, %1, %2, ror #8" : "=r"(result) : "r"(offsets), "r"(bytes));
  return result;
}

// The sums of four channels: of even bytes, then of odd ones.
typedef struct {
  int32_t sum0, sum2, sum1, sum3;
} Sums;

static inline void add_tap(Sums* sums, uint32_t offsets, const int8_t* value,
                           const int8_t* weight) {
  const uint32_t values = dcsr_dsp_load(value);
  const uint32_t factors = dcsr_dsp_load(weight);
  const uint32_t even = add_even(offsets, values);
  const uint32_t even_factors = dcsr_dsp_even(factors);
  sums->sum0 = multiply_low(even, even_factors, sums->sum0);
  sums->sum2 = multiply_high(even, even_factors, sums->sum2);
  const uint32_t odd = add_odd(offsets, values);
  const uint32_t odd_factors = dcsr_dsp_odd(factors);
  sums->sum1 = multiply_low(odd, odd_factors, sums->sum1);
  sums->sum3 = multiply_high(odd, odd_factors, sums->sum3);
}

// In a function of its own the inner loop keeps its registers.
static DCSR_NOINLINE Sums sum_of_taps(const Taps* taps, uint32_t offsets, const int8_t* value,
                                      const int8_t* weight, int32_t channels) {
  Sums sums = {0, 0, 0, 0};
  const int32_t step = taps->step;
  const int32_t columns = taps->end_x - taps->first_x;
  const int32_t to_next_line = taps->line - columns * step;
  const int32_t to_next_weights = taps->weight_line - columns * channels;
  for (int32_t rows = taps->end_y - taps->first_y; rows > 0; --rows) {
    const int8_t* end = value + columns * step;
    while (value != end) {
      add_tap(&sums, offsets, value, weight);
      value += step;
      weight += channels;
    }
    value += to_next_line;
    weight += to_next_weights;
  }
  return sums;
}

static inline void compute_four(const DcsrWindowParameters* window, const DcsrDenseWeights* layer,
                                const Taps* taps, int32_t channel, int8_t* output) {
  const uint32_t offset = (uint32_t)-window->input_zero_point & 0xFFFF;
  const Sums sums =
      sum_of_taps(taps, offset | offset << 16, taps->first + channel,
                  layer->weights + taps->first_weight + channel, window->output_channels);
  output[channel] = finish(window, layer, channel, sums.sum0);
  output[channel + 1] = finish(window, layer, channel + 1, sums.sum1);
  output[channel + 2] = finish(window, layer, channel + 2, sums.sum2);
  output[channel + 3] = finish(window, layer, channel + 3, sums.sum3);
}

#endif

// The channels from `first` on, one at a time.
static void compute_channels(const DcsrWindowParameters* window, const DcsrDenseWeights* layer,
                             const Taps* taps, int32_t first, int8_t* output) {
  const int32_t channels = window->output_channels;
  const int32_t depth_multiplier = channels / window->input_channels;
  const int32_t offset = -window->input_zero_point;
  const int32_t step = taps->step;
  const int8_t* input = taps->first + first / depth_multiplier;
  const int8_t* weights = layer->weights + taps->first_weight + first;
  int32_t repeated = first % depth_multiplier;
  for (int32_t channel = first; channel < channels; ++channel) {
    int32_t sum = 0;
    const int8_t* row = input;
    const int8_t* weight_row = weights;
    for (int32_t y = taps->first_y; y < taps->end_y; ++y) {
      const int8_t* value = row;
      const int8_t* weight = weight_row;
      for (int32_t x = taps->first_x; x < taps->end_x; ++x) {
        sum += (*value + offset) * *weight;
        value += step;
        weight += channels;
      }
      row += taps->line;
      weight_row += taps->weight_line;
    }
    output[channel] = finish(window, layer, channel, sum);
    ++weights;
    if (++repeated == depth_multiplier) {
      repeated = 0;
      ++input;
    }
  }
}

static void compute_pixel(const DcsrWindowParameters* window, const DcsrDenseWeights* layer,
                          const Taps* taps, int8_t* output) {
  int32_t done = 0;
#if DCSR_HAS_MVE || defined(__ARM_FEATURE_DSP)
  if (window->output_channels == window->input_channels) {
    for (; done + kLanes <= window->output_channels; done += kLanes) {
#if DCSR_HAS_MVE
      compute_eight(window, layer, taps, done, output);
#else
      compute_four(window, layer, taps, done, output);
#endif
    }
  }
#endif
  if (done < window->output_channels) compute_channels(window, layer, taps, done, output);
}

void dcsr_operator_depthwise_conv2d(const DcsrWindowParameters* window,
                                    const DcsrDenseWeights* layer, const int8_t* input,
                                    int8_t* output) {
  for (int32_t batch = 0; batch < window->batches; ++batch) {
    for (int32_t y = 0; y < window->output_height; ++y) {
      Taps taps = {
          .step = window->dilation_width * window->input_channels,
          .line = window->dilation_height * window->input_width * window->input_channels,
          .weight_line = window->filter_width * window->output_channels,
      };
      const int32_t start_y = y * window->stride_height - window->padding_height;
      find_taps(start_y, window->input_height, window->dilation_height, window->filter_height,
                &taps.first_y, &taps.end_y);
      for (int32_t x = 0; x < window->output_width; ++x) {
        const int32_t start_x = x * window->stride_width - window->padding_width;
        find_taps(start_x, window->input_width, window->dilation_width, window->filter_width,
                  &taps.first_x, &taps.end_x);
        const int32_t first_y = start_y + taps.first_y * window->dilation_height;
        const int32_t first_x = start_x + taps.first_x * window->dilation_width;
        taps.first = input + (first_y * window->input_width + first_x) * window->input_channels;
        taps.first_weight =
            (taps.first_y * window->filter_width + taps.first_x) * window->output_channels;
        compute_pixel(window, layer, &taps, output);
        output += window->output_channels;
      }
    }
    input += window->input_height * window->input_width * window->input_channels;
  }
}
