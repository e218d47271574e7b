// Tests requantization against the formula of docs/format.md#arithmetic in exact
// 64-bit arithmetic.

#include "tflm_kernels/common/requantize.h"

#include <string.h>

#include "tflm_kernels/common/compiler.h"
#include "tflm_kernels/common/row_scale.h"
#include "tflm_kernels/mve/requantize_mve.h"
#include "tflm_kernels/testing/check.h"
#include "tflm_kernels/testing/layers.h"
#include "tflm_kernels/testing/random.h"

enum {
  kMinShift = -31,
  kMaxShift = 30,
  kRandomValues = 5000000,
};

static bool check_one(int32_t acc, int32_t multiplier, int32_t shift) {
  const int32_t expected = requantize_oracle(acc, multiplier, shift);
  const int32_t actual = dcsr_multiply_by_quantized_multiplier(acc, multiplier, shift);
  CHECK(actual == expected, "acc %ld, multiplier %ld, shift %ld: expected %ld, is %ld", (long)acc,
        (long)multiplier, (long)shift, (long)expected, (long)actual);
  return actual == expected;
}

// 2^k - 1, 2^k, 2^k + 1 for all k, and their negatives.
static size_t make_edges(int32_t* edges) {
  size_t count = 0;
  for (uint32_t k = 0; k < 32; ++k) {
    for (uint32_t offset = 0; offset < 3; ++offset) {
      const uint32_t value = (UINT32_C(1) << k) + offset - 1;
      edges[count++] = (int32_t)value;
      edges[count++] = (int32_t)(0 - value);
    }
  }
  return count;
}

static void test_equals_formula_at_edges(void) {
  int32_t edges[192];
  const size_t count = make_edges(edges);
  for (size_t a = 0; a < count; ++a) {
    for (size_t m = 0; m < count; ++m) {
      if (edges[m] < 0) continue;
      for (int32_t shift = kMinShift; shift <= kMaxShift; ++shift) {
        if (!check_one(edges[a], edges[m], shift)) return;
      }
    }
  }
}

static void test_equals_formula_at_random_values(void) {
  Random random = {1};
  for (int32_t i = 0; i < kRandomValues; ++i) {
    // Values of every magnitude.
    const int32_t acc = (int32_t)random_u32(&random) >> random_below(&random, 32);
    const int32_t multiplier =
        (int32_t)(random_u32(&random) >> 1) >> (i % 2 ? 0 : random_below(&random, 31));
    const int32_t shift = random_between(&random, kMinShift, kMaxShift);
    if (!check_one(acc, multiplier, shift)) return;
  }
}

static void test_known_values(void) {
  // Computed by hand, so that they do not depend on the formula above.
  static const struct {
    int32_t acc;
    int32_t multiplier;
    int32_t shift;
    int32_t expected;
  } kKnown[] = {
      {100, 1 << 30, 0, 50},
      {101, 1 << 30, 0, 51},    // the product rounds halves up
      {-101, 1 << 30, 0, -50},  // also for negative numbers
      {6, 1 << 30, -1, 2},
      {-6, 1 << 30, -1, -2},  // the division rounds halves away from zero
      {10, 1 << 30, -1, 3},
      {-10, 1 << 30, -1, -3},  //
      {5, 1 << 30, 3, 20},
      {-5, 1 << 30, 3, -20},                     //
      {1 << 30, 1 << 30, 1, -(1 << 30)},         // the left shift wraps
      {INT32_MAX, INT32_MAX, 0, INT32_MAX - 1},  //
      {INT32_MIN, INT32_MAX, 0, -INT32_MAX},     //
      {INT32_MIN, INT32_MAX, -31, -1},           //
      {123456, 0, 5, 0},                         //
  };
  for (size_t i = 0; i < sizeof(kKnown) / sizeof(kKnown[0]); ++i) {
    const int32_t actual =
        dcsr_multiply_by_quantized_multiplier(kKnown[i].acc, kKnown[i].multiplier, kKnown[i].shift);
    CHECK(actual == kKnown[i].expected, "line %u: expected %ld, is %ld", (unsigned)i,
          (long)kKnown[i].expected, (long)actual);
  }
}

static void test_zero_point_is_added_modulo_2_to_the_32(void) {
  static const int32_t kZeroPoints[] = {-128, -1, 0, 1, 127};
  static const int32_t kSums[] = {INT32_MIN, INT32_MIN / 2, -200,          -1,       0,
                                  1,         200,           INT32_MAX / 2, INT32_MAX};
  static const int8_t kShifts[] = {0, 1};
  static const int32_t kClamps[][2] = {{-128, 127}, {-128, -128}, {127, 127}, {-5, 6}};
  const int32_t multiplier = INT32_MAX;  // almost 1
  DcsrLayer layer;
  memset(&layer, 0, sizeof(layer));
  layer.multiplier = &multiplier;
  for (size_t z = 0; z < sizeof(kZeroPoints) / sizeof(kZeroPoints[0]); ++z) {
    for (size_t i = 0; i < sizeof(kShifts) * sizeof(kSums) / sizeof(kSums[0]); ++i) {
      const size_t s = i / sizeof(kShifts);
      layer.shift = &kShifts[i % sizeof(kShifts)];
      for (size_t k = 0; k < sizeof(kClamps) / sizeof(kClamps[0]); ++k) {
        layer.output_zero_point = kZeroPoints[z];
        layer.activation_min = kClamps[k][0];
        layer.activation_max = kClamps[k][1];
        const int32_t scaled = requantize_oracle(kSums[s], multiplier, *layer.shift);
        int64_t expected = (int64_t)scaled + kZeroPoints[z];
        if (expected > INT32_MAX) expected -= INT64_C(1) << 32;
        if (expected < INT32_MIN) expected += INT64_C(1) << 32;
        if (expected < layer.activation_min) expected = layer.activation_min;
        if (expected > layer.activation_max) expected = layer.activation_max;
        // Row 7: all rows share the one multiplier.
        const int32_t actual = dcsr_requantize(&layer, 7, (uint32_t)kSums[s]);
        CHECK(actual == expected,
              "sum %ld, shift %ld, zero point %ld, clamp %ld: expected %ld, is %ld", (long)kSums[s],
              (long)*layer.shift, (long)kZeroPoints[z], (long)kClamps[k][0], (long)expected,
              (long)actual);
      }
    }
  }
}

// Compares all functions of row_scale.h that apply to a row with dcsr_requantize().
static bool check_row_scale(const DcsrLayer* layer, const DcsrRowScale* scale, int32_t sum) {
  const uint32_t acc = (uint32_t)sum;
  const int8_t expected = dcsr_requantize(layer, 0, acc);
  int8_t actual[3] = {dcsr_scale_any(layer, 0, scale, acc), expected, expected};
  if (scale->fast && scale->full) {
    actual[1] = dcsr_scale_doubled_full(scale, acc << 1, true);
    actual[2] = dcsr_scale_doubled_full(scale, acc << 1, scale->halves);
  }
  for (size_t i = 0; i < 3; ++i) {
    CHECK(actual[i] == expected,
          "function %u, sum %ld, multiplier %ld, shift %d, zero point %ld: expected %d, is %d",
          (unsigned)i, (long)sum, (long)layer->multiplier[0], layer->shift[0],
          (long)layer->output_zero_point, expected, actual[i]);
    if (actual[i] != expected) return false;
  }
  return true;
}

// The sums around those whose outputs are halves: 2^right * (k + 1/2) * 2^31 / multiplier.
static bool check_halves(const DcsrLayer* layer, const DcsrRowScale* scale) {
  for (int32_t k = -260; k <= 260; ++k) {
    const double unit = (double)(INT32_C(1) << scale->right) * 2147483648.0;
    const double half = unit * (k + 0.5) / (double)layer->multiplier[0];
    if (half <= -(double)(1 << 30) + 2 || half >= (double)(1 << 30) - 2) continue;
    for (int32_t offset = -1; offset <= 2; ++offset) {
      if (!check_row_scale(layer, scale, (int32_t)half + offset)) return false;
    }
  }
  return true;
}

static void test_scale_of_a_row_equals_the_function(void) {
  static const int32_t kMultipliers[] = {
      1 << 30, (1 << 30) + 1, (1 << 30) + 2, 1518500250, 3 << 29, INT32_MAX - 1, INT32_MAX, 1, 0};
  static const int32_t kZeroPoints[] = {-128, -127, -1, 0, 5, 127};
  const int32_t bias = 0;
  Random random = {3};
  DcsrLayer layer;
  memset(&layer, 0, sizeof(layer));
  layer.bias = &bias;
  layer.activation_max = INT8_MAX;
  for (int32_t shift = -22; shift <= -1; ++shift) {
    for (size_t m = 0; m < 16; ++m) {
      const size_t known = sizeof(kMultipliers) / sizeof(kMultipliers[0]);
      const int32_t any = (int32_t)((random_u32(&random) >> 2) | (UINT32_C(1) << 30));
      const int32_t multiplier = m < known ? kMultipliers[m] : any;
      const int8_t of_row = (int8_t)shift;
      layer.multiplier = &multiplier;
      layer.shift = &of_row;
      for (size_t z = 0; z < sizeof(kZeroPoints) / sizeof(kZeroPoints[0]); ++z) {
        layer.output_zero_point = kZeroPoints[z];
        for (uint32_t clamp = 0; clamp < 3; ++clamp) {
          // All of int8, a ReLU, and a ReLU that leaves the zero point outside.
          layer.activation_min = clamp == 0 ? INT8_MIN : kZeroPoints[z];
          if (clamp == 2 && kZeroPoints[z] < INT8_MAX) ++layer.activation_min;
          const DcsrRowScale scale = dcsr_row_scale(&layer, 0, 1000);
          CHECK(scale.fast, "shift %ld", (long)shift);
          if (multiplier > 1 && !check_halves(&layer, &scale)) return;
          for (int32_t i = 0; i < 100; ++i) {
            const int32_t sum = (int32_t)random_u32(&random) >> (2 + random_below(&random, 30));
            if (!check_row_scale(&layer, &scale, sum)) return;
          }
        }
      }
    }
  }
}

#if DCSR_HAS_MVE
enum { kRows = 15, kPixels = 3 };

// Requantizes kRows rows with kPixels sums each. `stride`: 0 if all rows have the first multiplier
// and shift, else 1.
static bool check_rows(const int32_t* sums, const int32_t* multiplier, const int8_t* shift,
                       uint32_t stride) {
  static const int32_t kBias[kRows + 1] = {0,    1, -1, 5,  -77,     0,  INT32_MAX, 0,
                                           -300, 9, 0,  -2, 1 << 20, -6, INT32_MIN, 0};
  DcsrLayer layer;
  memset(&layer, 0, sizeof(layer));
  layer.rows = kRows;
  layer.bias = kBias;
  layer.multiplier = multiplier;
  layer.shift = shift;
  layer.requantize_stride = stride;
  layer.output_zero_point = -3;
  layer.activation_min = -100;
  layer.activation_max = 90;
  int8_t output[kPixels * kRows + 1];
  memset(output, 0x5A, sizeof(output));
  dcsr_requantize_rows_mve(&layer, 0, kRows, sums, kPixels, output);
  for (uint32_t r = 0; r < kRows; ++r) {
    for (uint32_t p = 0; p < kPixels; ++p) {
      const uint32_t sum = (uint32_t)sums[r * kPixels + p] + (uint32_t)kBias[r];
      const int8_t expected = dcsr_requantize(&layer, r, sum);
      const int8_t actual = output[p * kRows + r];
      CHECK(actual == expected, "sum %ld, multiplier %ld, shift %d: expected %d, is %d", (long)sum,
            (long)multiplier[r * stride], shift[r * stride], expected, actual);
      if (actual != expected) return false;
    }
  }
  CHECK(output[kPixels * kRows] == 0x5A, "the byte behind the output");
  return true;
}

static void test_vectors_equal_the_scalar_function(void) {
  int32_t edges[192];
  const size_t count = make_edges(edges);
  Random random = {2};
  for (int32_t i = 0; i < 100000; ++i) {
    int32_t sums[(kRows + 1) * kPixels];
    int32_t multiplier[kRows + 1];
    int8_t shift[kRows + 1];
    // In one of four, some neighbours are not shifted to the right: all rows, or only those of one
    // vector or two take the general way.
    const uint32_t first = i % 4 == 0 ? random_below(&random, kRows) : kRows;
    const uint32_t last = i % 8 == 0 ? kRows : first + 2;
    for (uint32_t r = 0; r <= kRows; ++r) {
      const int32_t most = r >= first && r < last ? 2 : -1;
      shift[r] = (int8_t)random_between(&random, random_below(&random, 2) ? -31 : -8, most);
      // A multiplier of 2^30 gives halves.
      multiplier[r] = random_below(&random, 2) ? 1 << 30 : (int32_t)(random_u32(&random) >> 1);
      for (uint32_t p = 0; p < kPixels; ++p) {
        const int32_t any = (int32_t)random_u32(&random) >> random_below(&random, 32);
        sums[r * kPixels + p] =
            random_below(&random, 2) ? any : edges[random_below(&random, (uint32_t)count)];
      }
    }
    if (!check_rows(sums, multiplier, shift, i % 16 < 3 ? 0 : 1)) return;
  }
}
#endif

int main(void) {
#if DCSR_HAS_MVE
  RUN_TEST(test_vectors_equal_the_scalar_function);
#endif
  RUN_TEST(test_known_values);
  RUN_TEST(test_scale_of_a_row_equals_the_function);
  RUN_TEST(test_equals_formula_at_edges);
  RUN_TEST(test_equals_formula_at_random_values);
  RUN_TEST(test_zero_point_is_added_modulo_2_to_the_32);
  return check_exit_status();
}
