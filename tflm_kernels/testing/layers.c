// Generator and oracle of the kernel tests. Nothing of the library is used here.

#include "tflm_kernels/testing/layers.h"

#include <stdlib.h>
#include <string.h>

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

// A shift that brings the sums of a row to the range of int8.
static int32_t fitting_shift(const int8_t* row, uint32_t cols) {
  uint64_t square_sum = 0;  // the expected square of the sum is 2^13 times it
  for (uint32_t i = 0; i < cols; ++i) square_sum += (uint64_t)(row[i] * row[i]);
  int32_t bits = 0;  // of the square
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
    data->multiplier[r] = random_between(random, 1 << 30, INT32_MAX);
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
  return c->values == kValuesTiny ? random_between(random, -20, 20)
                                  : random_between(random, -5000, 5000);
}

static int32_t divide_up(int32_t a, uint32_t b) { return (int32_t)(((uint32_t)a + b - 1) / b); }

CaseData make_case(const DcsrCase* c, uint64_t seed) {
  Random random = {seed};
  CaseData data;
  memset(&data, 0, sizeof(data));
  data.shape.batches = c->batches;
  data.shape.input_height = c->input_height;
  data.shape.input_width = c->input_width;
  data.shape.output_height = divide_up(c->input_height, c->stride_h);
  data.shape.output_width = divide_up(c->input_width, c->stride_w);
  data.input_size = (size_t)c->batches * (size_t)c->input_height * (size_t)c->input_width * c->cols;
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
  data.layer.rows = c->rows;
  data.layer.cols = c->cols;
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
  // The left shift wraps: remainder of 2^32, taken as a signed number.
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

void dense_oracle(const CaseData* data, int8_t* output) {
  const DenseLayer* layer = &data->layer;
  const DcsrConvShape* s = &data->shape;
  for (int32_t b = 0; b < s->batches; ++b) {
    for (int32_t y = 0; y < s->output_height; ++y) {
      for (int32_t x = 0; x < s->output_width; ++x) {
        const int32_t in_y = y * (int32_t)layer->stride_h;
        const int32_t in_x = x * (int32_t)layer->stride_w;
        const int32_t pixel = (b * s->input_height + in_y) * s->input_width + in_x;
        const int8_t* vector = data->input + (size_t)pixel * layer->cols;
        for (uint32_t r = 0; r < layer->rows; ++r) {
          *output++ = oracle_output(layer, r, vector);
        }
      }
    }
  }
}
