// Dense MEAN, REDUCE_MAX (also of floats) and PAD.

#include <float.h>
#include <string.h>

#include "tflm_kernels/baseline/operators.h"
#include "tflm_kernels/common/requantize.h"

static void clear(int32_t* sums, int32_t count) {
  for (int32_t i = 0; i < count; ++i) sums[i] = 0;
}

// As TFLM's QuantizedMeanOrSum.
void dcsr_operator_mean(const DcsrReduceParameters* reduce, const int8_t* input, int8_t* output,
                        int32_t* sums) {
  const int32_t* dims = reduce->dims;
  const int32_t* strides = reduce->output_strides;
  clear(sums, reduce->outputs);
  for (int32_t i = 0; i < dims[0]; ++i) {
    for (int32_t j = 0; j < dims[1]; ++j) {
      for (int32_t k = 0; k < dims[2]; ++k) {
        int32_t* sum = sums + i * strides[0] + j * strides[1] + k * strides[2];
        for (int32_t l = 0; l < dims[3]; ++l) {
          *sum += *input++;
          sum += strides[3];
        }
      }
    }
  }
  for (int32_t i = 0; i < reduce->outputs; ++i) {
    const int32_t scaled = dcsr_multiply_by_quantized_multiplier(sums[i] + reduce->input_offset,
                                                                 reduce->multiplier, reduce->shift);
    const int32_t value = scaled + reduce->output_zero_point;
    output[i] = (int8_t)(value < INT8_MIN ? INT8_MIN : value > INT8_MAX ? INT8_MAX : value);
  }
}

void dcsr_operator_reduce_max(const DcsrReduceParameters* reduce, const int8_t* input,
                              int8_t* output) {
  const int32_t* dims = reduce->dims;
  const int32_t* strides = reduce->output_strides;
  memset(output, INT8_MIN, (size_t)reduce->outputs);
  for (int32_t i = 0; i < dims[0]; ++i) {
    for (int32_t j = 0; j < dims[1]; ++j) {
      for (int32_t k = 0; k < dims[2]; ++k) {
        int8_t* result = output + i * strides[0] + j * strides[1] + k * strides[2];
        for (int32_t l = 0; l < dims[3]; ++l) {
          if (*input > *result) *result = *input;
          ++input;
          result += strides[3];
        }
      }
    }
  }
}

void dcsr_operator_reduce_max_float(const DcsrReduceParameters* reduce, const float* input,
                                    float* output) {
  const int32_t* dims = reduce->dims;
  const int32_t* strides = reduce->output_strides;
  for (int32_t i = 0; i < reduce->outputs; ++i) output[i] = -FLT_MAX;
  for (int32_t i = 0; i < dims[0]; ++i) {
    for (int32_t j = 0; j < dims[1]; ++j) {
      for (int32_t k = 0; k < dims[2]; ++k) {
        float* result = output + i * strides[0] + j * strides[1] + k * strides[2];
        for (int32_t l = 0; l < dims[3]; ++l) {
          if (*input > *result) *result = *input;
          ++input;
          result += strides[3];
        }
      }
    }
  }
}

static int8_t* fill(const DcsrPadParameters* pad, int32_t count, int8_t* output) {
  memset(output, (int)pad->value, (size_t)count);
  return output + count;
}

void dcsr_operator_pad(const DcsrPadParameters* pad, const int8_t* input, int8_t* output) {
  const int32_t* dims = pad->dims;
  const int32_t* before = pad->before;
  const int32_t* after = pad->after;
  const int32_t pixel = dims[3] + before[3] + after[3];
  const int32_t line = pixel * (dims[2] + before[2] + after[2]);
  const int32_t image = line * (dims[1] + before[1] + after[1]);
  output = fill(pad, before[0] * image, output);
  for (int32_t i = 0; i < dims[0]; ++i) {
    output = fill(pad, before[1] * line, output);
    for (int32_t j = 0; j < dims[1]; ++j) {
      output = fill(pad, before[2] * pixel, output);
      for (int32_t k = 0; k < dims[2]; ++k) {
        output = fill(pad, before[3], output);
        memcpy(output, input, (size_t)dims[3]);
        input += dims[3];
        output = fill(pad, after[3], output + dims[3]);
      }
      output = fill(pad, after[2] * pixel, output);
    }
    output = fill(pad, after[1] * line, output);
  }
  fill(pad, after[0] * image, output);
}
