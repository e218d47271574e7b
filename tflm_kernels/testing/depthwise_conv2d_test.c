// Tests the kernels for depthwise convolutions against a plain loop over the dense matrix.

#include <stdlib.h>
#include <string.h>

#include "tflm_kernels/baseline/dense_baseline.h"
#include "tflm_kernels/common/conv_geometry.h"
#include "tflm_kernels/dispatch/tables.h"
#include "tflm_kernels/kernels.h"
#include "tflm_kernels/reference/reference.h"
#include "tflm_kernels/testing/check.h"
#include "tflm_kernels/testing/depthwise_conv2d_cases.h"
#include "tflm_kernels/testing/layers.h"
#include "tflm_kernels/testing/pack.h"
#include "tflm_kernels/testing/run_kernel.h"

// Scratch budgets in bytes: 0 is the build's default, 1 is too small for most kernels, the next
// holds a few channels, the last everything.
static const uint32_t kBudgets[] = {0, 1, 3000, UINT32_MAX};

enum { kBudgetCount = sizeof(kBudgets) / sizeof(kBudgets[0]), kSeeds = 2 };

static CaseData make(const DcsrDepthwiseConv2dCase* c, uint64_t seed) {
  return make_depthwise_case(&c->layer, &c->window, c->depth_multiplier, seed);
}

static void run_reference(const DcsrLayer* layer, const CaseData* data, int8_t* output) {
  dcsr_depthwise_conv2d_ref(NULL, layer, &data->shape, data->input, output, NULL);
}

static void run_dispatched(const DcsrLayer* layer, const CaseData* data, int8_t* output) {
  run_tables(tables_of_this_core(), layer, &data->shape, data->input, output);
}

// Runs the dense baseline on layers of the dense encoding with plain values and rows, the reference
// on others.
static void run_dense_baseline(const DcsrLayer* layer, const CaseData* data, int8_t* output) {
  if (layer->encoding != kDcsrEncodingDense || layer->value_coding != kDcsrValuesPlain ||
      layer->compact_rows != NULL) {
    run_reference(layer, data, output);
    return;
  }
  const size_t bytes = dcsr_dense_depthwise_conv2d_scratch_bytes(layer, &data->shape);
  void* scratch = allocate_scratch(bytes);
  dcsr_dense_prepare(layer, scratch);
  dcsr_dense_depthwise_conv2d(layer, &data->shape, data->input, output, scratch);
  free(scratch);
}

// A core runs its own table, and no other.
#if !defined(__arm__)
static void run_armv6m(const DcsrLayer* layer, const CaseData* data, int8_t* output) {
  const DcsrTables tables = {NULL, NULL, &kDcsrDepthwiseConv2dArmv6m};
  run_tables(tables, layer, &data->shape, data->input, output);
}

static void run_armv7m(const DcsrLayer* layer, const CaseData* data, int8_t* output) {
  const DcsrTables tables = {NULL, NULL, &kDcsrDepthwiseConv2dArmv7m};
  run_tables(tables, layer, &data->shape, data->input, output);
}

static void run_armv7em(const DcsrLayer* layer, const CaseData* data, int8_t* output) {
  const DcsrTables tables = {NULL, NULL, &kDcsrDepthwiseConv2dArmv7em};
  run_tables(tables, layer, &data->shape, data->input, output);
}
#endif

static const struct {
  const char* name;
  RunKernel run;
  bool every_budget;  // planning depends on the budget
} kKernels[] = {
    {"reference", run_reference, false},
    {"dispatched", run_dispatched, true},
    {"dense baseline", run_dense_baseline, false},
#if !defined(__arm__)
    {"ARMv6-M", run_armv6m, true},
    {"ARMv7-M", run_armv7m, true},
    {"ARMv7E-M", run_armv7em, true},
#endif
};

static void check_blob(const char* context, const PackedBlob* blob, const CaseData* data,
                       bool every_budget, const int8_t* expected) {
  DcsrLayer layer;
  DcsrStatus status = dcsr_layer_parse(blob->data, blob->size, &layer);
  if (status == kDcsrOk) status = dcsr_layer_validate(&layer);
  CHECK(status == kDcsrOk, "%s: %s", context, dcsr_status_string(status));
  if (status != kDcsrOk) return;
  for (size_t k = 0; k < sizeof(kKernels) / sizeof(kKernels[0]); ++k) {
    const size_t budgets = every_budget && kKernels[k].every_budget ? kBudgetCount : 1;
    for (size_t b = 0; b < budgets; ++b) {
      char with_kernel[320];
      snprintf(with_kernel, sizeof(with_kernel), "%s, %s, budget %lu", context, kKernels[k].name,
               (unsigned long)kBudgets[b]);
      layer.scratch_budget = kBudgets[b];
      check_kernel(with_kernel, kKernels[k].run, &layer, data, expected);
    }
  }
}

// Kernels of this operator are for the dense encoding, so only that runs with every budget.
static void check_case(const DcsrDepthwiseConv2dCase* c, uint64_t seed) {
  CaseData data = make(c, seed);
  int8_t* expected = (int8_t*)malloc(data.output_size);
  if (expected == NULL) abort();
  dense_oracle(&data, expected);
  const size_t packings = seed == 1 ? kPackingCount : kFewPackingCount;
  for (size_t i = 0; i < packings; ++i) {
    if (!pack_row_length_fits(&data.layer, &kPackings[i])) continue;
    PackedBlob blob = pack_layer(&data.layer, &kPackings[i]);
    char context[256];
    snprintf(context, sizeof(context), "'%s', seed %u, packing %u", c->layer.name, (unsigned)seed,
             (unsigned)i);
    check_blob(context, &blob, &data, kPackings[i].encoding == kDcsrEncodingDense, expected);
    free_packed_blob(&blob);
  }
  free(expected);
  free_case(&data);
}

static void test_kernels_equal_dense_loop(void) {
  for (size_t i = 0; i < kDcsrDepthwiseConv2dCaseCount; ++i) {
    for (uint64_t seed = 1; seed <= kSeeds; ++seed) {
      check_case(&kDcsrDepthwiseConv2dCases[i], seed);
    }
  }
}

static void test_parser_reads_the_geometry(void) {
  for (size_t i = 0; i < kDcsrDepthwiseConv2dCaseCount; ++i) {
    const DcsrDepthwiseConv2dCase* c = &kDcsrDepthwiseConv2dCases[i];
    CaseData data = make(c, 1);
    PackedBlob blob = pack_layer(&data.layer, &kPackings[kDcsrEncodingDense]);
    DcsrLayer layer;
    CHECK(dcsr_layer_parse(blob.data, blob.size, &layer) == kDcsrOk, "%s", c->layer.name);
    CHECK(layer.op == kDcsrOpDepthwiseConv2d && layer.depth_multiplier == c->depth_multiplier &&
              layer.channels * c->depth_multiplier == c->layer.rows,
          "'%s': %u channels, multiplier %u", c->layer.name, (unsigned)layer.channels,
          (unsigned)layer.depth_multiplier);
    DcsrConvShape shape;
    CHECK(dcsr_conv_shape(&layer, c->layer.batches, c->layer.input_height, c->layer.input_width,
                          &shape),
          "%s", c->layer.name);
    CHECK(memcmp(&shape, &data.shape, sizeof(shape)) == 0, "'%s': %d x %d, not %d x %d",
          c->layer.name, (int)shape.output_height, (int)shape.output_width,
          (int)data.shape.output_height, (int)data.shape.output_width);
    free_packed_blob(&blob);
    free_case(&data);
  }
}

// A change of the header of "multiplier 2", a layer [16, 3 * 3], after which it is refused.
static void check_refused(size_t offset, uint8_t value, const char* reason) {
  const DcsrCase c = {
      "multiplier 2", kDcsrOpDepthwiseConv2d, 16,          9, 1, 4,    4,   1,    1, kPatternRandom,
      1000,           kValuesRandom,          kBiasRandom, 0, 0, -128, 127, true, 0, 0};
  const Window window = {3, 3, 1, 1, true};
  CaseData data = make_depthwise_case(&c, &window, 2, 1);
  PackedBlob blob = pack_layer(&data.layer, &kPackings[kDcsrEncodingDense]);
  DcsrLayer layer;
  CHECK(dcsr_layer_parse(blob.data, blob.size, &layer) == kDcsrOk, "untouched");
  blob.data[offset] = value;
  const DcsrStatus status = dcsr_layer_parse(blob.data, blob.size, &layer);
  CHECK(status == kDcsrErrorHeader, "%s: %s", reason, dcsr_status_string(status));
  free_packed_blob(&blob);
  free_case(&data);
}

static void test_wrong_headers_are_refused(void) {
  check_refused(39, 0, "multiplier 0");
  check_refused(39, 3, "multiplier 3 of 16 rows");
  check_refused(39, 32, "multiplier 32 of 16 rows");
  check_refused(5, kDcsrOpConv2d, "a multiplier of CONV_2D");
  check_refused(5, kDcsrOpFullyConnected, "a multiplier of FULLY_CONNECTED");
  check_refused(5, 4, "op 4");
  check_refused(34, 1 | 2 | 4, "int16 activations");
  check_refused(60, 9, "a filter of 27 taps for 9 columns");
  check_refused(60, 1, "a filter of 3 taps for 9 columns");
  check_refused(61, 0, "a filter without width");
  check_refused(62, 0, "dilation 0");
  check_refused(32, 0, "stride 0");
}

int main(void) {
  RUN_TEST(test_kernels_equal_dense_loop);
  RUN_TEST(test_parser_reads_the_geometry);
  RUN_TEST(test_wrong_headers_are_refused);
  return check_exit_status();
}
