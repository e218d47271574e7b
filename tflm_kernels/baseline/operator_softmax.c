// Dense SOFTMAX, in the fixed point of gemmlowp (fixedpoint/fixedpoint.h), as TFLM's reference:
// tensorflow/lite/kernels/internal/reference/softmax.h.

#include "tflm_kernels/baseline/operators.h"

enum {
  kAccumulatorBits = 12,  // integer bits of the sum of exponentials
  kQuarterBits = 24,      // log2 of a quarter with 5 integer bits
  kOctaves = 7,
};

// gemmlowp's SaturatingRoundingDoublingHighMul, but for -2^31 times itself.
static int32_t multiply(int32_t a, int32_t b) {
  const int64_t product = (int64_t)a * b;
  const int64_t nudge = product >= 0 ? INT64_C(1) << 30 : 1 - (INT64_C(1) << 30);
  return (int32_t)((product + nudge) / (INT64_C(1) << 31));
}

// gemmlowp's RoundingDivideByPOT.
static int32_t divide_by_power(int32_t value, uint32_t exponent) {
  const uint32_t mask = (UINT32_C(1) << exponent) - 1;
  const uint32_t threshold = (mask >> 1) + (value < 0 ? 1 : 0);
  return (value >> exponent) + (((uint32_t)value & mask) > threshold ? 1 : 0);
}

static int32_t saturated_shift(int32_t value, uint32_t exponent) {
  const int32_t threshold = INT32_MAX >> exponent;
  if (value > threshold) return INT32_MAX;
  if (value < -threshold) return INT32_MIN;
  return (int32_t)((uint32_t)value << exponent);
}

// exp(value): 5 integer bits to 0.
static int32_t exponential(int32_t value) {
  static const int32_t kFactors[kOctaves] = {1672461947, 1302514674, 790015084, 290630308,
                                             39332535,   720401,     242};
  const int32_t quarter = 1 << kQuarterBits;
  if (value == 0) return INT32_MAX;
  const int32_t reduced = (value & (quarter - 1)) - quarter;
  const int32_t rest = reduced - value;
  const int32_t x = reduced * (1 << 5) + (1 << 28);
  const int32_t x2 = multiply(x, x);
  const int32_t x4 = divide_by_power(multiply(x2, x2), 2);
  const int32_t tail = divide_by_power(multiply(x4 + multiply(x2, x), 715827883) + x2, 1);
  int32_t result = 1895147668 + multiply(1895147668, x + tail);
  for (uint32_t i = 0; i < kOctaves; ++i) {
    if (rest & (quarter << i)) result = multiply(result, kFactors[i]);
  }
  return result;
}

// 1 / (1 + value), value in 0..1.
static int32_t reciprocal(int32_t value) {
  const int64_t sum = (int64_t)value + INT32_MAX;
  const int32_t half = (int32_t)((sum + (sum >= 0 ? 1 : -1)) / 2);
  int32_t x = 1515870810 + multiply(half, -1010580540);
  for (int i = 0; i < 3; ++i) {
    x += saturated_shift(multiply(x, (1 << 29) - multiply(half, x)), 2);
  }
  return saturated_shift(x, 1);
}

static uint32_t leading_zeros(uint32_t value) {
  return value == 0 ? 32 : (uint32_t)__builtin_clz(value);
}

void dcsr_operator_softmax(const DcsrSoftmaxParameters* softmax, const int8_t* input,
                           int8_t* output) {
  const int32_t size = softmax->row_size;
  const int32_t factor = 1 << softmax->shift;
  for (int32_t row = 0; row < softmax->rows; ++row) {
    int32_t max = input[0];
    for (int32_t i = 1; i < size; ++i) max = input[i] > max ? input[i] : max;
    int32_t sum = 0;
    for (int32_t i = 0; i < size; ++i) {
      const int32_t difference = input[i] - max;
      if (difference < softmax->smallest_difference) continue;
      sum += divide_by_power(exponential(multiply(difference * factor, softmax->multiplier)),
                             kAccumulatorBits);
    }
    const uint32_t headroom = leading_zeros((uint32_t)sum);
    const uint32_t shifted = ((uint32_t)sum << headroom) - (UINT32_C(1) << 31);
    const int32_t scale = reciprocal((int32_t)shifted);
    const uint32_t exponent = kAccumulatorBits - headroom + 23;
    for (int32_t i = 0; i < size; ++i) {
      const int32_t difference = input[i] - max;
      int32_t value = INT8_MIN;
      if (difference >= softmax->smallest_difference) {
        const int32_t power = exponential(multiply(difference * factor, softmax->multiplier));
        value = divide_by_power(multiply(scale, power), exponent) + INT8_MIN;
      }
      output[i] = (int8_t)(value > INT8_MAX ? INT8_MAX : value);
    }
    input += size;
    output += size;
  }
}
