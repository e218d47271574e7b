// Dense ADD, MUL, QUANTIZE and DEQUANTIZE.

#include <math.h>
#include <string.h>

#include "tflm_kernels/baseline/operators.h"
#include "tflm_kernels/common/requantize.h"

static int8_t limit(int32_t value, int32_t min, int32_t max) {
  if (value < min) return (int8_t)min;
  if (value > max) return (int8_t)max;
  return (int8_t)value;
}

static int8_t sum_of(const DcsrBinaryParameters* binary, int32_t value1, int32_t value2) {
  const int32_t shifted1 = (value1 - binary->zero_point1) * (1 << binary->left_shift);
  const int32_t shifted2 = (value2 - binary->zero_point2) * (1 << binary->left_shift);
  const int32_t sum =
      dcsr_multiply_by_quantized_multiplier(shifted1, binary->multiplier1, binary->shift1) +
      dcsr_multiply_by_quantized_multiplier(shifted2, binary->multiplier2, binary->shift2);
  const int32_t scaled =
      dcsr_multiply_by_quantized_multiplier(sum, binary->output_multiplier, binary->output_shift);
  return limit(scaled + binary->output_zero_point, binary->activation_min, binary->activation_max);
}

static int8_t product_of(const DcsrBinaryParameters* binary, int32_t value1, int32_t value2) {
  const int32_t product = (value1 - binary->zero_point1) * (value2 - binary->zero_point2);
  const int32_t scaled = dcsr_multiply_by_quantized_multiplier(product, binary->output_multiplier,
                                                               binary->output_shift);
  return limit(scaled + binary->output_zero_point, binary->activation_min, binary->activation_max);
}

typedef int8_t Operation(const DcsrBinaryParameters*, int32_t, int32_t);

// Inlined into its two callers, with the operation.
static inline void for_each_pair(const DcsrBinaryParameters* binary, Operation* operation,
                                 const int8_t* input1, const int8_t* input2, int8_t* output) {
  const int32_t* dims = binary->dims;
  const int32_t* s1 = binary->strides1;
  const int32_t* s2 = binary->strides2;
  for (int32_t i = 0; i < dims[0]; ++i) {
    for (int32_t j = 0; j < dims[1]; ++j) {
      for (int32_t k = 0; k < dims[2]; ++k) {
        const int8_t* value1 = input1 + i * s1[0] + j * s1[1] + k * s1[2];
        const int8_t* value2 = input2 + i * s2[0] + j * s2[1] + k * s2[2];
        for (int32_t l = 0; l < dims[3]; ++l) {
          *output++ = operation(binary, *value1, *value2);
          value1 += s1[3];
          value2 += s2[3];
        }
      }
    }
  }
}

void dcsr_operator_add(const DcsrBinaryParameters* binary, const int8_t* input1,
                       const int8_t* input2, int8_t* output) {
  for_each_pair(binary, sum_of, input1, input2, output);
}

void dcsr_operator_mul(const DcsrBinaryParameters* binary, const int8_t* input1,
                       const int8_t* input2, int8_t* output) {
  for_each_pair(binary, product_of, input1, input2, output);
}

static float scale_of(const DcsrQuantizeParameters* quantize) {
  float scale;
  memcpy(&scale, &quantize->scale_bits, sizeof(scale));
  return scale;
}

// As TFLM's AffineQuantize.
void dcsr_operator_quantize(const DcsrQuantizeParameters* quantize, const float* input,
                            int8_t* output) {
  const float scale = scale_of(quantize);
  for (int32_t i = 0; i < quantize->elements; ++i) {
    const int32_t rounded = (int32_t)roundf(input[i] / scale) + quantize->output_zero_point;
    output[i] = limit(rounded, INT8_MIN, INT8_MAX);
  }
}

void dcsr_operator_requantize(const DcsrQuantizeParameters* quantize, const int8_t* input,
                              int8_t* output) {
  for (int32_t i = 0; i < quantize->elements; ++i) {
    const int32_t scaled = dcsr_multiply_by_quantized_multiplier(
        input[i] - quantize->input_zero_point, quantize->multiplier, quantize->shift);
    output[i] = limit(scaled + quantize->output_zero_point, INT8_MIN, INT8_MAX);
  }
}

// As TFLM's Dequantize, which multiplies in double.
void dcsr_operator_dequantize(const DcsrQuantizeParameters* quantize, const int8_t* input,
                              float* output) {
  const double scale = (double)scale_of(quantize);
  for (int32_t i = 0; i < quantize->elements; ++i) {
    output[i] = (float)(scale * (double)(input[i] - quantize->input_zero_point));
  }
}
