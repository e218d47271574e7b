// Tests layers with shared rows: bias, multipliers and shifts are derived as TFLM derives them, the
// kernels compute the outputs of the dense layer, and every kind of damage is refused.

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tflm_kernels/packed_layer.h"
#include "tflm_kernels/testing/cases.h"
#include "tflm_kernels/testing/check.h"
#include "tflm_kernels/testing/conv2d_cases.h"
#include "tflm_kernels/testing/layers.h"
#include "tflm_kernels/testing/pack.h"
#include "tflm_kernels/testing/random.h"
#include "tflm_kernels/testing/run_kernel.h"

enum { kMaxRows = 400 };

// Weight scales from 2^-10 to 2^-3, so that outputs are neither 0 nor all clamped.
static const int32_t kMinExponent = -10;

static uint32_t float_bits(float value) {
  uint32_t bits;
  memcpy(&bits, &value, sizeof(bits));
  return bits;
}

static float float_of(uint32_t bits) {
  float value;
  memcpy(&value, &bits, sizeof(value));
  return value;
}

// TFLM's QuantizeMultiplier (tensorflow/lite/kernels/internal/quantization_util.cc).
static void quantize_multiplier(double real, int32_t* multiplier, int8_t* shift) {
  int exponent;
  const double mantissa = frexp(real, &exponent);
  int64_t fixed = (int64_t)round(mantissa * 2147483648.0);
  if (fixed == INT64_C(1) << 31) {
    fixed /= 2;
    ++exponent;
  }
  if (exponent < -31) {
    exponent = 0;
    fixed = 0;
  }
  *multiplier = (int32_t)fixed;
  *shift = (int8_t)exponent;
}

// A ratio of at most 29 significant bits: its product with a float32 is exact in double.
static SharedScales random_scales(Random* random, uint32_t* weight_scale, uint32_t count) {
  for (uint32_t i = 0; i < count; ++i) {
    const uint32_t fraction = random_u32(random) & 0x7FFFFF;
    const uint32_t exponent = (uint32_t)(127 + kMinExponent) + random_below(random, 8);
    weight_scale[i] = random_below(random, 9) == 0 ? 0 : exponent << 23 | fraction;
  }
  SharedScales scales;
  scales.weight_scale = weight_scale;
  scales.ratio = (uint64_t)((random_u32(random) >> 3) | UINT32_C(1) << 28) << 19;
  scales.exponent = (int16_t)random_between(random, -3, 1);
  scales.has_bias = random_below(random, 4) != 0;
  return scales;
}

static double ratio_of(const SharedScales* scales) {
  return ldexp((double)scales->ratio, scales->exponent - 48);
}

// Parses and validates; `memory` is a malloc of exactly the derived bytes, which the caller frees.
static DcsrStatus open_layer(const SharedBlobs* blobs, DcsrLayer* layer, void** memory) {
  DcsrSharedRows rows;
  *memory = NULL;
  const DcsrStatus status = dcsr_shared_layer_parse(
      blobs->own.data, blobs->own.size, blobs->shared.data, blobs->shared.size, layer, &rows);
  if (status != kDcsrOk) return status;
  *memory = malloc(dcsr_derived_rows_bytes(layer));
  if (*memory == NULL) abort();
  return dcsr_shared_layer_validate(layer, &rows, *memory);
}

static void run(const DcsrLayer* layer, const CaseData* data, int8_t* output) {
  run_tables(tables_of_this_core(), layer, &data->shape, data->input, output);
}

static void check_outputs(const char* name, const CaseData* data, const DcsrLayer* layer) {
  int8_t* expected = (int8_t*)malloc(data->output_size);
  if (expected == NULL) abort();
  dense_oracle(data, expected);
  check_kernel(name, run, layer, data, expected);
  free(expected);
}

static void check_case(CaseData* data, const char* name, const PackOptions* options,
                       uint64_t seed) {
  DenseLayer* dense = &data->layer;
  Random random = {seed};
  uint32_t weight_scale[kMaxRows];
  const uint32_t count = dense->per_row ? dense->rows : 1;
  const SharedScales scales = random_scales(&random, weight_scale, count);
  for (uint32_t i = 0; i < count; ++i) {
    quantize_multiplier(ratio_of(&scales) * (double)float_of(weight_scale[i]), &data->multiplier[i],
                        &data->shift[i]);
  }
  if (!scales.has_bias) memset(data->bias, 0, dense->rows * sizeof(int32_t));

  SharedBlobs blobs = pack_shared_layer(dense, options, &scales);
  DcsrLayer layer;
  void* memory;
  const DcsrStatus status = open_layer(&blobs, &layer, &memory);
  CHECK(status == kDcsrOk, "%s: %s", name, dcsr_status_string(status));
  if (status == kDcsrOk) {
    PackedBlob own = pack_layer(dense, options);
    DcsrLayer with_own_rows;
    CHECK(dcsr_layer_parse(own.data, own.size, &with_own_rows) == kDcsrOk, "%s", name);
    for (uint32_t i = 0; i < count; ++i) {
      CHECK(layer.multiplier[i] == data->multiplier[i] && layer.shift[i] == data->shift[i],
            "%s: multiplier %u is %d, shift %d; TFLM has %d and %d", name, (unsigned)i,
            (int)layer.multiplier[i], layer.shift[i], (int)data->multiplier[i], data->shift[i]);
    }
    CHECK(memcmp(layer.bias, with_own_rows.bias, dense->rows * sizeof(int32_t)) == 0,
          "%s: another bias", name);
    check_outputs(name, data, &layer);
    free_packed_blob(&own);
  }
  free(memory);
  free_shared_blobs(&blobs);
}

static void test_every_layer_equals_dense_loop(void) {
  uint64_t seed = 1;
  for (size_t k = 0; k < kFewPackingCount; ++k) {
    if (kPackings[k].compact_rows) continue;
    for (size_t i = 0; i < kDcsrCaseCount; ++i) {
      const DcsrCase* c = &kDcsrCases[i];
      if (c->rows > kMaxRows || (uint64_t)c->rows * c->cols > 32768) continue;
      CaseData data = make_case(c, 1);
      check_case(&data, c->name, &kPackings[k], seed++);
      free_case(&data);
    }
    for (size_t i = 0; i < kDcsrConv2dCaseCount; ++i) {
      const DcsrConv2dCase* c = &kDcsrConv2dCases[i];
      if (c->layer.rows > kMaxRows || (uint64_t)c->layer.rows * c->layer.cols > 32768) continue;
      CaseData data = make_window_case(&c->layer, &c->window, 1);
      check_case(&data, c->layer.name, &kPackings[k], seed++);
      free_case(&data);
    }
  }
}

// A FULLY_CONNECTED [4, 20] with a multiplier for each row.
static const DcsrCase kSmall = {
    "small", kDcsrOpFullyConnected, 4,           20,  1, 1,    1,   1,    1, kPatternRandom,
    400,     kValuesRandom,         kBiasRandom, -20, 8, -128, 127, true, 0, 0};

static void test_int16_bias_is_not_folded(void) {
  const Window none = {0, 0, 0, 0, false};
  Int16Case c = make_int16_case(&kSmall, &none, 1);
  const uint32_t weight_scale[4] = {float_bits(0.001F), float_bits(0.002F), 0, float_bits(0.004F)};
  for (int has_bias = 0; has_bias < 2; ++has_bias) {
    const SharedScales scales = {weight_scale, UINT64_C(0xC00000000000), 0, has_bias != 0};
    SharedBlobs blobs = pack_shared_layer(&c.data.layer, &kPackings[kDcsrEncodingRice], &scales);
    DcsrLayer layer;
    void* memory;
    const DcsrStatus status = open_layer(&blobs, &layer, &memory);
    CHECK(status == kDcsrOk, "%s", dcsr_status_string(status));
    CHECK(dcsr_derived_rows_bytes(&layer) == 4 * 13, "13 bytes for each row");
    for (uint32_t r = 0; r < 4 && status == kDcsrOk; ++r) {
      const DcsrInt64 bias = layer.bias_int64[r];
      const int64_t value = (int64_t)((uint64_t)(uint32_t)bias.high << 32 | bias.low);
      CHECK(value == (has_bias ? c.bias[r] : 0), "row %u", (unsigned)r);
    }
    free(memory);
    free_shared_blobs(&blobs);
  }
  free_int16_case(&c);
}

// Returns the multiplier and the shift of one weight scale.
static DcsrStatus derive(uint32_t weight_scale, uint64_t ratio, int16_t exponent,
                         int32_t* multiplier, int8_t* shift) {
  DcsrCase c = kSmall;
  c.per_row = false;
  CaseData data = make_case(&c, 1);
  const SharedScales scales = {&weight_scale, ratio, exponent, true};
  SharedBlobs blobs = pack_shared_layer(&data.layer, &kPackings[kDcsrEncodingRle], &scales);
  DcsrLayer layer;
  void* memory;
  const DcsrStatus status = open_layer(&blobs, &layer, &memory);
  if (status == kDcsrOk) {
    CHECK(dcsr_derived_rows_bytes(&layer) == 4 * 4 + 5, "one multiplier for all rows");
    *multiplier = layer.multiplier[0];
    *shift = layer.shift[0];
  }
  free(memory);
  free_shared_blobs(&blobs);
  free_case(&data);
  return status;
}

static void test_rounding_and_range_of_multipliers(void) {
  static const uint64_t kOne = UINT64_C(1) << 47;  // with exponent 1
  static const uint32_t kFloatOne = UINT32_C(127) << 23;
  const struct {
    uint32_t weight_scale;
    uint64_t ratio;
    int16_t exponent;
    DcsrStatus status;
    int32_t multiplier;
    int8_t shift;
  } cases[] = {
      {kFloatOne, kOne, 1, kDcsrOk, 1 << 30, 1},
      {kFloatOne, kOne + (1 << 15), 1, kDcsrOk, 1 << 30, 1},        // below a half
      {kFloatOne, kOne + (1 << 16), 1, kDcsrOk, (1 << 30) + 1, 1},  // a half is rounded up
      {kFloatOne, kOne + (1 << 16) - 1, 1, kDcsrOk, 1 << 30, 1},
      {kFloatOne, (UINT64_C(1) << 48) - 1, 1, kDcsrOk, 1 << 30, 2},  // 2^31 becomes 2^30
      {kFloatOne | 0x7FFFFF, (UINT64_C(1) << 48) - 1, 1, kDcsrOk, 0x7FFFFF80, 2},
      {kFloatOne, kOne, 30, kDcsrOk, 1 << 30, 30},
      {kFloatOne, kOne, 31, kDcsrErrorRequantize, 0, 0},
      {kFloatOne, kOne, -31, kDcsrOk, 1 << 30, -31},
      {kFloatOne, kOne, -32, kDcsrOk, 0, 0},
      {kFloatOne, kOne, -32768, kDcsrOk, 0, 0},
      {kFloatOne, kOne, 32767, kDcsrErrorRequantize, 0, 0},
      {0, kOne, 32767, kDcsrOk, 0, 0},
      {UINT32_C(1) << 23, kOne, 100, kDcsrOk, 1 << 30, -26},  // the smallest normal number
      {(UINT32_C(1) << 23) - 1, kOne, 100, kDcsrErrorRequantize, 0, 0},
      {0x7F7FFFFF, kOne, -100, kDcsrOk, 0x7FFFFF80, 27},     // the largest float32
      {0x7F800000, kOne, -100, kDcsrErrorRequantize, 0, 0},  // infinite
      {0x80000000 | kFloatOne, kOne, 1, kDcsrErrorRequantize, 0, 0},
      {0x80000000, kOne, 1, kDcsrErrorRequantize, 0, 0},
      {kFloatOne, kOne - 1, 1, kDcsrErrorHeader, 0, 0},
      {kFloatOne, 0, 1, kDcsrErrorHeader, 0, 0},
  };
  for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); ++i) {
    int32_t multiplier = 0;
    int8_t shift = 0;
    const DcsrStatus status =
        derive(cases[i].weight_scale, cases[i].ratio, cases[i].exponent, &multiplier, &shift);
    CHECK(status == cases[i].status, "%u: %s", (unsigned)i, dcsr_status_string(status));
    CHECK(multiplier == cases[i].multiplier && shift == cases[i].shift, "%u: %d, shift %d",
          (unsigned)i, (int)multiplier, shift);
  }
}

static void test_every_shorter_blob_is_truncated(void) {
  CaseData data = make_case(&kSmall, 1);
  const uint32_t weight_scale[4] = {float_bits(0.001F), 0, 0, float_bits(1)};
  const SharedScales scales = {weight_scale, UINT64_C(1) << 47, 0, true};
  for (size_t k = 0; k < kEncodingCount; ++k) {
    SharedBlobs blobs = pack_shared_layer(&data.layer, &kPackings[k], &scales);
    DcsrLayer layer;
    DcsrSharedRows rows;
    for (size_t size = 0; size <= blobs.own.size; ++size) {
      const DcsrStatus status = dcsr_shared_layer_parse(blobs.own.data, size, blobs.shared.data,
                                                        blobs.shared.size, &layer, &rows);
      CHECK(status == (size == blobs.own.size ? kDcsrOk : kDcsrErrorTruncated), "%u bytes: %s",
            (unsigned)size, dcsr_status_string(status));
    }
    for (size_t size = 0; size < blobs.shared.size; ++size) {
      const DcsrStatus status = dcsr_shared_layer_parse(blobs.own.data, blobs.own.size,
                                                        blobs.shared.data, size, &layer, &rows);
      CHECK(status == kDcsrErrorTruncated, "%u shared bytes: %s", (unsigned)size,
            dcsr_status_string(status));
    }
    free_shared_blobs(&blobs);
  }
  free_case(&data);
}

static void test_each_corruption_has_its_status(void) {
  CaseData data = make_case(&kSmall, 1);
  const uint32_t weight_scale[4] = {float_bits(0.001F), 0, 0, float_bits(1)};
  const SharedScales scales = {weight_scale, UINT64_C(1) << 47, 0, true};
  const struct {
    bool in_shared;
    size_t offset;
    uint8_t value;
    DcsrStatus status;
  } corruptions[] = {
      {false, 0, 'D', kDcsrErrorMagic},     {false, 4, 1, kDcsrErrorVersion},
      {false, 4, 3, kDcsrErrorVersion},     {false, 8, 92, kDcsrErrorSections},
      {false, 34, 0x29, kDcsrErrorHeader},  {false, 34, 1, kDcsrErrorSections},
      {false, 34, 0x19, kDcsrErrorVersion}, {false, 39, 1, kDcsrErrorHeader},
      {false, 69, 0x7F, kDcsrErrorHeader},  {true, 3, 0x80, kDcsrErrorRequantize},
      {true, 16, 255, kDcsrErrorRowLength},
  };
  for (size_t i = 0; i < sizeof(corruptions) / sizeof(corruptions[0]); ++i) {
    SharedBlobs blobs = pack_shared_layer(&data.layer, &kPackings[kDcsrEncodingDcsr], &scales);
    (corruptions[i].in_shared ? blobs.shared : blobs.own).data[corruptions[i].offset] =
        corruptions[i].value;
    DcsrLayer layer;
    void* memory;
    const DcsrStatus status = open_layer(&blobs, &layer, &memory);
    CHECK(status == corruptions[i].status, "%u: %s", (unsigned)i, dcsr_status_string(status));
    free(memory);
    free_shared_blobs(&blobs);
  }
  free_case(&data);
}

static void test_readers_of_one_version_refuse_the_other(void) {
  CaseData data = make_case(&kSmall, 1);
  const uint32_t weight_scale[4] = {0, 0, 0, 0};
  const SharedScales scales = {weight_scale, UINT64_C(1) << 47, 0, false};
  SharedBlobs blobs = pack_shared_layer(&data.layer, &kPackings[kDcsrEncodingDcsr], &scales);
  PackedBlob own = pack_layer(&data.layer, &kPackings[kDcsrEncodingDcsr]);
  DcsrLayer layer;
  DcsrSharedRows rows;
  CHECK(dcsr_layer_parse(blobs.own.data, blobs.own.size, &layer) == kDcsrErrorVersion, "version 2");
  CHECK(dcsr_shared_layer_parse(own.data, own.size, blobs.shared.data, blobs.shared.size, &layer,
                                &rows) == kDcsrErrorVersion,
        "version 1");
  free_packed_blob(&own);
  free_shared_blobs(&blobs);
  free_case(&data);
}

static void test_unaligned_blobs_are_refused(void) {
  CaseData data = make_case(&kSmall, 1);
  const uint32_t weight_scale[4] = {0, 0, 0, 0};
  const SharedScales scales = {weight_scale, UINT64_C(1) << 47, 0, false};
  SharedBlobs blobs = pack_shared_layer(&data.layer, &kPackings[kDcsrEncodingDcsr], &scales);
  DcsrLayer layer;
  DcsrSharedRows rows;
  CHECK(dcsr_shared_layer_parse(blobs.own.data + 1, blobs.own.size - 1, blobs.shared.data,
                                blobs.shared.size, &layer, &rows) == kDcsrErrorAlignment,
        "own");
  CHECK(dcsr_shared_layer_parse(blobs.own.data, blobs.own.size, blobs.shared.data + 2,
                                blobs.shared.size - 2, &layer, &rows) == kDcsrErrorAlignment,
        "shared");
  free_shared_blobs(&blobs);
  free_case(&data);
}

int main(void) {
  RUN_TEST(test_every_layer_equals_dense_loop);
  RUN_TEST(test_int16_bias_is_not_folded);
  RUN_TEST(test_rounding_and_range_of_multipliers);
  RUN_TEST(test_every_shorter_blob_is_truncated);
  RUN_TEST(test_each_corruption_has_its_status);
  RUN_TEST(test_readers_of_one_version_refuse_the_other);
  RUN_TEST(test_unaligned_blobs_are_refused);
  return check_exit_status();
}
