// Generator and oracle of the kernel tests. Uses nothing of the library.

#include "tflm_kernels/testing/layers.h"

#include <stdlib.h>
#include <string.h>

#include "tflm_kernels/testing/pack_compact.h"
#include "tflm_kernels/testing/random.h"

static void* allocate(size_t size) {
  void* memory = malloc(size);
  if (memory == NULL) abort();
  return memory;
}

static int8_t random_weight(CaseValues values, Random* random) {
  switch (values) {
    case kValuesExtreme: {
      static const int8_t kExtreme[] = {-128, -127, 127, 127};
      return kExtreme[random_below(random, 4)];
    }
    case kValuesTiny:
      return random_below(random, 2) ? 1 : -1;
    case kValuesHighest:
    case kValuesLowest:
      return -128;
    case kValuesBounds: {
      // 4 * 64 = 256, 3 * 85 = 255, 85 + 85 + 84 = 254, 127 + 128 = 255, 127 + 127 = 254.
      static const int8_t kBounds[] = {-64, -64, -64, -85, -85, -84, -127, -128};
      return kBounds[random_below(random, 8)];
    }
    case kValuesRandom:
      break;
  }
  const int32_t magnitude = random_between(random, 1, 127);
  return (int8_t)(random_below(random, 2) ? magnitude : -magnitude);
}

static int8_t random_activation(const DcsrCase* c, Random* random) {
  switch (c->values) {
    case kValuesExtreme:
      return random_below(random, 2) ? 127 : -128;
    case kValuesTiny:
      return (int8_t)(c->input_zero_point + random_between(random, -1, 1));
    case kValuesHighest:
    case kValuesBounds:
      return -128;
    case kValuesLowest:
      return 127;
    case kValuesRandom:
      break;
  }
  return (int8_t)random_between(random, -128, 127);
}

static void fill_randomly(const DcsrCase* c, uint32_t permille, int8_t* row, Random* random) {
  for (uint32_t i = 0; i < c->cols; ++i) {
    if (random_below(random, 1000) < permille) {
      row[i] = random_weight(c->values, random);
    }
  }
}

static void fill_row(const DcsrCase* c, uint32_t r, int8_t* row, Random* random) {
  switch (c->pattern) {
    case kPatternZero:
      break;
    case kPatternRandom:
      fill_randomly(c, c->nonzero_permille, row, random);
      break;
    case kPatternEmptyAndFull:
      if (r % 3 == 1) fill_randomly(c, 1000, row, random);
      if (r % 3 == 2) fill_randomly(c, c->nonzero_permille, row, random);
      break;
    case kPatternCounted:
      for (uint32_t left = r % 50; left > 0;) {
        int8_t* weight = &row[random_below(random, c->cols)];
        if (*weight != 0) continue;
        *weight = random_weight(c->values, random);
        --left;
      }
      break;
    case kPatternClustered:
      for (uint32_t i = 0; i < 24; ++i) {
        row[i] = random_weight(c->values, random);
      }
      for (uint32_t i = 0; i < r % 30; ++i) {
        row[c->cols - 1 - i] = random_weight(c->values, random);
      }
      break;
    case kPatternFirstAndLast:
      if (r % 3 != 1) row[0] = random_weight(c->values, random);
      if (r % 3 != 0) row[c->cols - 1] = random_weight(c->values, random);
      break;
  }
}

// Returns a shift that scales the sums of a row to the range of int8.
static int32_t fitting_shift(const int8_t* row, uint32_t cols) {
  uint64_t square_sum = 0;  // 2^13 times this is the expected square of the sum
  for (uint32_t i = 0; i < cols; ++i) square_sum += (uint64_t)(row[i] * row[i]);
  int32_t bits = 0;  // of square_sum
  while (bits < 40 && square_sum >> bits > 0) ++bits;
  return 6 - (bits + 13) / 2;
}

static int32_t listed_shift(const DcsrCase* c, uint32_t r) {
  const uint32_t shifts = (uint32_t)(c->shift_max - c->shift_min) + 1;
  return c->shift_min + (c->per_row ? (int32_t)(r % shifts) : 0);
}

static void fill_requantization(const DcsrCase* c, CaseData* data, Random* random) {
  const uint32_t count = c->per_row ? c->rows : 1;
  const bool fits = c->shift_min == 0 && c->shift_max == 0;
  for (uint32_t r = 0; r < count; ++r) {
    // Most multipliers can be derived, so that packings with compact rows derive them.
    const uint32_t factor = random_below(random, 2 * kTestFactors);
    data->multiplier[r] = derive_test_multiplier(factor / 2, factor % 2);
    if (r % 4 == 2) data->multiplier[r] = random_between(random, 1 << 30, INT32_MAX);
    if (c->bias == kBiasEnds) data->multiplier[r] = INT32_MAX;
    int32_t shift = listed_shift(c, r);
    if (fits) shift = fitting_shift(data->weights + (size_t)r * c->cols, c->cols);
    data->shift[r] = (int8_t)shift;
  }
}

static int32_t random_bias(const DcsrCase* c, uint32_t r, Random* random) {
  if (c->bias == kBiasWraps) {
    const int32_t distance = random_between(random, 0, 100000);
    return random_below(random, 2) ? INT32_MAX - distance : INT32_MIN + distance;
  }
  if (c->bias == kBiasEnds) {
    const int32_t shift = listed_shift(c, r);
    const int32_t distance = random_between(random, 0, 100 >> shift);
    return random_below(random, 2) ? (INT32_MAX >> shift) - distance
                                   : (INT32_MIN >> shift) + distance;
  }
  if (c->bias == kBias29) return random_below(random, 2) ? 1 << 29 : -(1 << 29);
  if (c->bias == kBias23 || c->bias == kBias30) {
    const int32_t bias = (c->bias == kBias23 ? 1 << 23 : 1 << 30) - random_between(random, 1, 1000);
    return random_below(random, 2) ? bias : -bias;
  }
  return c->values == kValuesTiny ? random_between(random, -20, 20)
                                  : random_between(random, -5000, 5000);
}

// Number of filter taps along one dimension. span_of(): the pixels that they span.
static int32_t taps_of(uint32_t filter) { return filter > 0 ? (int32_t)filter : 1; }

static int32_t span_of(uint32_t filter, uint32_t dilation) {
  return (taps_of(filter) - 1) * (int32_t)dilation + 1;
}

// Number of positions at which the filter starts. They are `stride` pixels apart. With SAME padding
// they cover the input, else the filter stays within the input.
static int32_t output_size(int32_t input, int32_t span, uint32_t stride, bool same) {
  int32_t size = 0;
  for (int32_t first = 0; first + (same ? 1 : span) <= input; first += (int32_t)stride) ++size;
  return size;
}

static int32_t padding_before(int32_t input, int32_t output, int32_t span, uint32_t stride) {
  const int32_t missing = (output - 1) * (int32_t)stride + span - input;
  return missing > 0 ? missing / 2 : 0;
}

static bool is_depthwise(const DenseLayer* layer) { return layer->depth_multiplier != 0; }

static uint32_t channels_of(const DenseLayer* layer) {
  if (is_depthwise(layer)) return layer->rows / layer->depth_multiplier;
  return layer->cols /
         (uint32_t)(taps_of(layer->window.filter_h) * taps_of(layer->window.filter_w));
}

CaseData make_case(const DcsrCase* c, uint64_t seed) {
  const Window window = {0, 0, 0, 0, false};
  return make_window_case(c, &window, seed);
}

CaseData make_window_case(const DcsrCase* c, const Window* window, uint64_t seed) {
  return make_depthwise_case(c, window, 0, seed);
}

CaseData make_depthwise_case(const DcsrCase* c, const Window* window, uint32_t depth_multiplier,
                             uint64_t seed) {
  Random random = {seed};
  CaseData data;
  memset(&data, 0, sizeof(data));
  data.layer.rows = c->rows;
  data.layer.cols = c->cols;
  data.layer.depth_multiplier = depth_multiplier;
  data.layer.window = *window;
  data.shape.batches = c->batches;
  data.shape.input_height = c->input_height;
  data.shape.input_width = c->input_width;
  data.shape.output_height =
      output_size(c->input_height, span_of(window->filter_h, window->dilation_h), c->stride_h,
                  window->same_padding);
  data.shape.output_width =
      output_size(c->input_width, span_of(window->filter_w, window->dilation_w), c->stride_w,
                  window->same_padding);
  data.input_size = (size_t)c->batches * (size_t)c->input_height * (size_t)c->input_width *
                    channels_of(&data.layer);
  data.output_size = (size_t)c->batches * (size_t)data.shape.output_height *
                     (size_t)data.shape.output_width * c->rows;

  const size_t count = (size_t)c->rows * c->cols;
  data.weights = (int8_t*)allocate(count);
  memset(data.weights, 0, count);
  data.bias = (int32_t*)allocate(c->rows * sizeof(int32_t));
  for (uint32_t r = 0; r < c->rows; ++r) {
    fill_row(c, r, data.weights + (size_t)r * c->cols, &random);
    data.bias[r] = random_bias(c, r, &random);
  }
  data.multiplier = (int32_t*)allocate(c->rows * sizeof(int32_t));
  data.shift = (int8_t*)allocate(c->rows);
  fill_requantization(c, &data, &random);
  data.input = (int8_t*)allocate(data.input_size);
  for (size_t i = 0; i < data.input_size; ++i) {
    data.input[i] = random_activation(c, &random);
  }

  data.layer.op = c->op;
  data.layer.input_zero_point = c->input_zero_point;
  data.layer.output_zero_point = c->output_zero_point;
  data.layer.activation_min = c->activation_min;
  data.layer.activation_max = c->activation_max;
  data.layer.stride_h = c->stride_h;
  data.layer.stride_w = c->stride_w;
  data.layer.per_row = c->per_row;
  data.layer.weights = data.weights;
  data.layer.bias = data.bias;
  data.layer.multiplier = data.multiplier;
  data.layer.shift = data.shift;
  return data;
}

void free_case(CaseData* data) {
  free(data->input);
  free(data->weights);
  free(data->bias);
  free(data->multiplier);
  free(data->shift);
  memset(data, 0, sizeof(*data));
}

int32_t requantize_oracle(int32_t acc, int32_t multiplier, int32_t shift) {
  // The left shift wraps: it is modulo 2^32, as a signed number.
  int64_t a = acc;
  for (int32_t i = 0; i < shift; ++i) {
    a *= 2;
    if (a > INT32_MAX) a -= INT64_C(1) << 32;
    if (a < INT32_MIN) a += INT64_C(1) << 32;
  }
  const int64_t product = a * multiplier;
  const int64_t nudge = product >= 0 ? INT64_C(1) << 30 : 1 - (INT64_C(1) << 30);
  const int64_t high = (product + nudge) / (INT64_C(1) << 31);

  const int64_t divisor = INT64_C(1) << (shift < 0 ? -shift : 0);
  const int64_t magnitude = high < 0 ? -high : high;
  const int64_t rounded = (2 * magnitude + divisor) / (2 * divisor);
  return (int32_t)(high < 0 ? -rounded : rounded);
}

static int8_t oracle_output(const DenseLayer* layer, uint32_t row, const int8_t* vector) {
  uint32_t acc = 0;
  for (uint32_t c = 0; c < layer->cols; ++c) {
    const int32_t weight = layer->weights[(size_t)row * layer->cols + c];
    acc += (uint32_t)(weight * (vector[c] - layer->input_zero_point));
  }
  acc += (uint32_t)layer->bias[row];

  const uint32_t i = layer->per_row ? row : 0;
  // The zero point is added modulo 2^32.
  const int32_t scaled = requantize_oracle((int32_t)acc, layer->multiplier[i], layer->shift[i]);
  const int32_t result = (int32_t)((uint32_t)scaled + (uint32_t)layer->output_zero_point);
  if (result < layer->activation_min) return (int8_t)layer->activation_min;
  if (result > layer->activation_max) return (int8_t)layer->activation_max;
  return (int8_t)result;
}

// Returns the index of the activation that is multiplied with column `column` of row `row` for
// output pixel (y, x); negative if it is outside of the image. Only a depthwise convolution reads
// another channel in each row.
static int64_t input_index(const CaseData* data, int32_t batch, int32_t y, int32_t x, uint32_t row,
                           uint32_t column) {
  const DenseLayer* layer = &data->layer;
  const Window* w = &layer->window;
  const DcsrConvShape* s = &data->shape;
  const uint32_t channels = channels_of(layer);
  const uint32_t channel = is_depthwise(layer) ? row / layer->depth_multiplier : column % channels;
  const int32_t tap = (int32_t)(is_depthwise(layer) ? column : column / channels);
  const int32_t fy = tap / taps_of(w->filter_w);
  const int32_t fx = tap % taps_of(w->filter_w);
  const int32_t top = padding_before(s->input_height, s->output_height,
                                     span_of(w->filter_h, w->dilation_h), layer->stride_h);
  const int32_t left = padding_before(s->input_width, s->output_width,
                                      span_of(w->filter_w, w->dilation_w), layer->stride_w);
  const int32_t in_y = y * (int32_t)layer->stride_h - top + fy * (int32_t)w->dilation_h;
  const int32_t in_x = x * (int32_t)layer->stride_w - left + fx * (int32_t)w->dilation_w;
  if (in_y < 0 || in_y >= s->input_height || in_x < 0 || in_x >= s->input_width) return -1;
  const int64_t pixel = ((int64_t)batch * s->input_height + in_y) * s->input_width + in_x;
  return pixel * channels + channel;
}

// Fills the activations that are multiplied with row `row`, int8 [cols]. Outside of the image the
// activation is the zero point, which counts as 0.
static void fill_vector(const CaseData* data, int32_t batch, int32_t y, int32_t x, uint32_t row,
                        int8_t* vector) {
  for (uint32_t c = 0; c < data->layer.cols; ++c) {
    const int64_t i = input_index(data, batch, y, x, row, c);
    vector[c] = i < 0 ? (int8_t)data->layer.input_zero_point : data->input[i];
  }
}

void dense_oracle(const CaseData* data, int8_t* output) {
  const DenseLayer* layer = &data->layer;
  const DcsrConvShape* s = &data->shape;
  int8_t* vector = (int8_t*)allocate(layer->cols);
  for (int32_t b = 0; b < s->batches; ++b) {
    for (int32_t y = 0; y < s->output_height; ++y) {
      for (int32_t x = 0; x < s->output_width; ++x) {
        for (uint32_t r = 0; r < layer->rows; ++r) {
          if (r == 0 || is_depthwise(layer)) fill_vector(data, b, y, x, r, vector);
          *output++ = oracle_output(layer, r, vector);
        }
      }
    }
  }
  free(vector);
}

static int16_t int16_oracle_output(const DenseLayer* layer, uint32_t row, const int16_t* vector) {
  uint64_t acc = (uint64_t)layer->int16_bias[row];
  for (uint32_t c = 0; c < layer->cols; ++c) {
    const int32_t weight = layer->weights[(size_t)row * layer->cols + c];
    acc += (uint64_t)(int64_t)(weight * vector[c]);
  }
  const uint32_t i = layer->per_row ? row : 0;
  int32_t out;
  if (layer->int32_sums) {
    out = requantize_oracle((int32_t)(uint32_t)acc, layer->multiplier[i], layer->shift[i]);
  } else {
    // Reduces the multiplier to 15 bits, rounded and saturated. Then rounds once, halves up. All
    // modulo 2^64.
    int64_t reduced = ((int64_t)layer->multiplier[i] + 32768) / 65536;
    if (reduced > 32767) reduced = 32767;
    int64_t result = (int64_t)(acc * (uint64_t)reduced + (UINT64_C(1) << (14 - layer->shift[i])));
    for (int32_t k = 0; k < 15 - layer->shift[i]; ++k) {
      result = (result - (result % 2 != 0 && result < 0 ? 1 : 0)) / 2;  // rounds down
    }
    out = (int32_t)(uint32_t)(uint64_t)result;
  }
  if (out < layer->activation_min) return (int16_t)layer->activation_min;
  if (out > layer->activation_max) return (int16_t)layer->activation_max;
  return (int16_t)out;
}

void int16_dense_oracle(const CaseData* data, const int16_t* input, int16_t* output) {
  const DenseLayer* layer = &data->layer;
  const DcsrConvShape* s = &data->shape;
  int16_t* vector = (int16_t*)allocate(layer->cols * sizeof(int16_t));
  for (int32_t b = 0; b < s->batches; ++b) {
    for (int32_t y = 0; y < s->output_height; ++y) {
      for (int32_t x = 0; x < s->output_width; ++x) {
        for (uint32_t c = 0; c < layer->cols; ++c) {
          const int64_t i = input_index(data, b, y, x, 0, c);
          vector[c] = i < 0 ? 0 : input[i];
        }
        for (uint32_t r = 0; r < layer->rows; ++r) {
          *output++ = int16_oracle_output(layer, r, vector);
        }
      }
    }
  }
  free(vector);
}

static int16_t random_int16_activation(CaseValues values, Random* random) {
  switch (values) {
    case kValuesExtreme:
      return random_below(random, 2) ? 32767 : -32768;
    case kValuesHighest:
    case kValuesBounds:
      return -32768;
    case kValuesLowest:
      return 32767;
    case kValuesRandom:
    case kValuesTiny:
      break;
  }
  return (int16_t)random_between(random, -32768, 32767);
}

Int16Case make_int16_case(const DcsrCase* c, const Window* window, uint64_t seed) {
  Random random = {seed + 77};
  Int16Case result;
  result.data = make_window_case(c, window, seed);
  DenseLayer* layer = &result.data.layer;
  layer->input_zero_point = layer->output_zero_point = 0;
  // The range of the int8 layer, scaled by 256.
  layer->activation_min = c->activation_min * 256;
  layer->activation_max = c->activation_max * 256 + 255;
  for (uint32_t r = 0; r < (c->per_row ? c->rows : 1); ++r) {
    if (result.data.shift[r] > 7) result.data.shift[r] = 7;
    // Some multipliers saturate when reduced to 15 bits.
    if (r % 5 == 4) result.data.multiplier[r] = INT32_MAX - (int32_t)random_below(&random, 70000);
  }
  result.bias = (int64_t*)allocate(c->rows * sizeof(int64_t));
  for (uint32_t r = 0; r < c->rows; ++r) {
    const int64_t bias = (int64_t)result.data.bias[r];
    result.bias[r] = c->bias == kBiasWraps ? bias * (INT64_C(1) << 14) : bias * 100;
  }
  layer->int16_bias = result.bias;
  result.input = (int16_t*)allocate(result.data.input_size * sizeof(int16_t));
  for (size_t i = 0; i < result.data.input_size; ++i) {
    result.input[i] = random_int16_activation(c->values, &random);
  }
  return result;
}

void free_int16_case(Int16Case* c) {
  free(c->input);
  free(c->bias);
  free_case(&c->data);
}
