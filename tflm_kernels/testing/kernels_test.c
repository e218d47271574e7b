// Tests every kernel of this build against a plain loop over the dense matrix.

#include "tflm_kernels/kernels.h"

#include <stdlib.h>
#include <string.h>

#include "tflm_kernels/baseline/dense_baseline.h"
#include "tflm_kernels/dispatch/tables.h"
#include "tflm_kernels/mve/mve.h"
#include "tflm_kernels/planning/planners.h"
#include "tflm_kernels/reference/reference.h"
#include "tflm_kernels/scalar/scalar.h"
#include "tflm_kernels/testing/cases.h"
#include "tflm_kernels/testing/check.h"
#include "tflm_kernels/testing/layers.h"
#include "tflm_kernels/testing/pack.h"
#include "tflm_kernels/testing/run_kernel.h"

enum { kSeeds = 2 };

// Scratch budgets in bytes: 0 is the build's default, 1 is too small for most kernels, 6000 hold
// one or two tiles, the last everything.
enum { kBudgetCount = 4 };
static const uint32_t kBudgets[kBudgetCount] = {0, 1, 6000, UINT32_MAX};

static void run_reference(const DcsrLayer* layer, const CaseData* data, int8_t* output) {
  DcsrRun* run = layer->op == kDcsrOpConv2d ? dcsr_conv1x1_ref : dcsr_fully_connected_ref;
  run(NULL, layer, &data->shape, data->input, output, NULL);
}

static void run_dispatched(const DcsrLayer* layer, const CaseData* data, int8_t* output) {
  run_tables(tables_of_this_core(), layer, &data->shape, data->input, output);
}

#if !defined(__arm__)
static void run_armv6m(const DcsrLayer* layer, const CaseData* data, int8_t* output) {
  const DcsrTables tables = {&kDcsrConv2dArmv6m, &kDcsrFullyConnectedArmv6m, NULL};
  run_tables(tables, layer, &data->shape, data->input, output);
}

static void run_armv7m(const DcsrLayer* layer, const CaseData* data, int8_t* output) {
  const DcsrTables tables = {&kDcsrConv2dArmv7m, &kDcsrFullyConnectedArmv7m, NULL};
  run_tables(tables, layer, &data->shape, data->input, output);
}

static void run_armv7em(const DcsrLayer* layer, const CaseData* data, int8_t* output) {
  const DcsrTables tables = {&kDcsrConv2dArmv7em, &kDcsrFullyConnectedArmv7em, NULL};
  run_tables(tables, layer, &data->shape, data->input, output);
}

// Runs the twin of conv1x1_mve in C.
static void run_mve(const DcsrLayer* layer, const CaseData* data, int8_t* output) {
  static const DcsrKernel kConv1x1[] = {
      {dcsr_plan_conv1x1_mve, dcsr_conv1x1_mve, 0, kDcsrAnyCoding},
      {dcsr_plan_conv1x1_ref, dcsr_conv1x1_ref, 0, kDcsrAnyCoding},
      {NULL, NULL, 0, 0}};
  static const DcsrKernels kConv2d = {kConv1x1,         NULL, NULL, NULL, NULL, 48 * 1024,
                                      &kDcsrAllDecoders};
  const DcsrTables tables = {&kConv2d, &kDcsrFullyConnectedReference, NULL};
  run_tables(tables, layer, &data->shape, data->input, output);
}
#endif

#if !defined(__arm__)
// A firmware's own table with one kernel. No kernel runs the layers that it does not take.
static const DcsrKernel kOneKernel[] = {
    {dcsr_plan_conv1x1_smlal, dcsr_conv1x1_smlal, 0, kDcsrAnyCoding}, {NULL, NULL, 0, 0}};
static const DcsrKernel kNoKernel[] = {{NULL, NULL, 0, 0}};
static const DcsrKernels kPartialTable = {kOneKernel, kNoKernel,        NULL, NULL, NULL,
                                          32 * 1024,  &kDcsrAllDecoders};

static void run_partial(const DcsrLayer* layer, const CaseData* data, int8_t* output) {
  DcsrPlan plan;
  dcsr_plan(&kPartialTable, layer, &data->shape, UINT32_MAX, &plan);
  CHECK(plan.kernel == &kOneKernel[0], "the only kernel takes every layer");
  DcsrPlan other;
  dcsr_plan(&kPartialTable, layer, &data->shape, 0, &other);
  CHECK(other.kernel == NULL, "without scratch");
  DcsrLayer larger = *layer;
  larger.filter_h = 3;
  dcsr_plan(&kPartialTable, &larger, &data->shape, UINT32_MAX, &other);
  CHECK(other.kernel == NULL, "a 3x1 filter");
  void* scratch = allocate_scratch(plan.scratch_bytes);
  dcsr_run(&plan, layer, &data->shape, data->input, output, scratch);
  free(scratch);
}
#endif

#if defined(__ARM_FEATURE_MVE)
// Runs the gather kernel, also on layers for which planning chooses another.
static void run_gather(const DcsrLayer* layer, const CaseData* data, int8_t* output) {
  dcsr_conv1x1_gather_mve(NULL, layer, &data->shape, data->input, output, NULL);
}
#endif

// Runs the dense baseline on layers of the dense encoding with plain values and rows, the reference
// on others.
static void run_dense_baseline(const DcsrLayer* layer, const CaseData* data, int8_t* output) {
  const bool is_conv = layer->op == kDcsrOpConv2d;
  if (layer->encoding != kDcsrEncodingDense || layer->value_coding != kDcsrValuesPlain ||
      layer->compact_rows != NULL) {
    run_reference(layer, data, output);
    return;
  }
  const size_t bytes = is_conv
                           ? dcsr_dense_conv1x1_scratch_bytes(layer, &data->shape)
                           : dcsr_dense_fully_connected_scratch_bytes(layer, data->shape.batches);
  void* scratch = allocate_scratch(bytes);
  if (is_conv) {
    dcsr_dense_conv1x1(layer, &data->shape, data->input, output, scratch);
  } else {
    dcsr_dense_fully_connected(layer, data->shape.batches, data->input, output, scratch);
  }
  free(scratch);
}

// A kernel, or the kernels that planning chooses from a table.
typedef struct {
  const char* name;
  RunKernel run;
  bool every_budget;  // planning depends on the budget
} KernelUnderTest;

static const KernelUnderTest kKernels[] = {
    {"reference", run_reference, false},
    {"dispatched", run_dispatched, true},
    {"dense baseline", run_dense_baseline, false},
#if defined(__ARM_FEATURE_MVE)
    {"gather", run_gather, false},
#endif
// A core runs its own table, and no other.
#if !defined(__arm__)
    {"ARMv6-M", run_armv6m, true},
    {"ARMv7-M", run_armv7m, true},
    {"ARMv7E-M", run_armv7em, true},
    {"partial table", run_partial, false},
    {"MVE", run_mve, true},
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
    const KernelUnderTest* kernel = &kKernels[k];
    const size_t budgets = every_budget && kernel->every_budget ? kBudgetCount : 1;
    for (size_t b = 0; b < budgets; ++b) {
      char with_kernel[320];
      snprintf(with_kernel, sizeof(with_kernel), "%s, %s, budget %lu", context, kernel->name,
               (unsigned long)kBudgets[b]);
      layer.scratch_budget = kBudgets[b];
      check_kernel(with_kernel, kernel->run, &layer, data, expected);
    }
  }
}

static void check_case(const DcsrCase* c, uint64_t seed) {
  CaseData data = make_case(c, seed);
  int8_t* expected = (int8_t*)malloc(data.output_size);
  if (expected == NULL) abort();
  dense_oracle(&data, expected);
  for (size_t i = 0; i < kPackingCount; ++i) {
    const PackOptions* packing = &kPackings[i];
    if (!pack_row_length_fits(&data.layer, packing)) continue;
    PackedBlob blob = pack_layer(&data.layer, packing);
    char context[256];
    snprintf(context, sizeof(context),
             "'%s' [%u x %u, %d x %d x %d], seed %u, encoding %d, packing %u", c->name,
             (unsigned)c->rows, (unsigned)c->cols, (int)c->batches, (int)c->input_height,
             (int)c->input_width, (unsigned)seed, (int)packing->encoding, (unsigned)i);
    // One seed with all budgets, because emulated cores are slow.
    check_blob(context, &blob, &data, seed == 1, expected);
    free_packed_blob(&blob);
  }
  free(expected);
  free_case(&data);
}

static void test_kernels_equal_dense_loop(void) {
  for (size_t i = 0; i < kDcsrCaseCount; ++i) {
    for (uint64_t seed = 1; seed <= kSeeds; ++seed) check_case(&kDcsrCases[i], seed);
  }
}

// Tests that most outputs of the cases are not clamped. Clamped outputs would hide errors.
static void test_cases_spread_over_int8(void) {
  size_t counted = 0;
  size_t spread = 0;
  for (size_t i = 0; i < kDcsrCaseCount; ++i) {
    const DcsrCase* c = &kDcsrCases[i];
    if (c->shift_min != 0 || c->shift_max != 0) continue;
    CaseData data = make_case(c, 1);
    int8_t* output = (int8_t*)malloc(data.output_size);
    if (output == NULL) abort();
    dense_oracle(&data, output);
    for (size_t k = 0; k < data.output_size; ++k) {
      ++counted;
      spread += output[k] > c->activation_min && output[k] < c->activation_max;
    }
    free(output);
    free_case(&data);
  }
  CHECK(2 * spread > counted, "%lu of %lu outputs lie within their clamps", (unsigned long)spread,
        (unsigned long)counted);
}

int main(void) {
  RUN_TEST(test_kernels_equal_dense_loop);
  RUN_TEST(test_cases_spread_over_int8);
  return check_exit_status();
}
