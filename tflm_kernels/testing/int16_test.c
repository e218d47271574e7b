// Tests the kernels for int16 activations against a plain loop over the dense matrix.

#include <stdlib.h>
#include <string.h>

#include "tflm_kernels/baseline/dense_baseline.h"
#include "tflm_kernels/common/requantize.h"
#include "tflm_kernels/dispatch/tables.h"
#include "tflm_kernels/kernels.h"
#include "tflm_kernels/reference/reference.h"
#include "tflm_kernels/testing/check.h"
#include "tflm_kernels/testing/conv2d_cases.h"
#include "tflm_kernels/testing/layers.h"
#include "tflm_kernels/testing/pack.h"
#include "tflm_kernels/testing/run_kernel.h"

// Scratch budgets in bytes: 0 is the build's default, 1 is too small for most kernels, 6000 hold a
// few pixels, the last everything.
static const uint32_t kBudgets[] = {0, 1, 6000, UINT32_MAX};

enum {
  kBudgetCount = sizeof(kBudgets) / sizeof(kBudgets[0]),
  kGuardElements = 8,
  kInt16Guard = 0x5A5A,
};

typedef void (*RunInt16Kernel)(const DcsrLayer* layer, const Int16Case* c, int16_t* output);

static void* allocate(size_t bytes) {
  void* memory = malloc(bytes);
  if (memory == NULL) abort();
  return memory;
}

static void run_reference(const DcsrLayer* layer, const Int16Case* c, int16_t* output) {
  dcsr_conv2d_int16_ref(NULL, layer, &c->data.shape, c->input, output, NULL);
}

static void run_dispatched(const DcsrLayer* layer, const Int16Case* c, int16_t* output) {
  run_tables(tables_of_this_core(), layer, &c->data.shape, c->input, output);
}

// The kernels in C for cores. On a core they are the dispatched ones.
#if !defined(__arm__)
static void run_c(const DcsrLayer* layer, const Int16Case* c, int16_t* output) {
  const DcsrTables tables = {&kDcsrConv2dArmv7m, &kDcsrFullyConnectedArmv7m, NULL};
  run_tables(tables, layer, &c->data.shape, c->input, output);
}
#endif

// Runs the dense baseline on layers of the dense encoding, the reference on others.
static void run_dense_baseline(const DcsrLayer* layer, const Int16Case* c, int16_t* output) {
  if (layer->encoding != kDcsrEncodingDense) {
    run_reference(layer, c, output);
  } else if (layer->op == kDcsrOpFullyConnected) {
    dcsr_dense_fully_connected_int16(layer, c->data.shape.batches, c->input, output);
  } else {
    void* scratch = allocate_scratch(dcsr_dense_conv2d_int16_scratch_bytes(layer, &c->data.shape));
    dcsr_dense_conv2d_int16(layer, &c->data.shape, c->input, output, scratch);
    free(scratch);
  }
}

static void check_int16_kernel(const char* context, RunInt16Kernel run, const DcsrLayer* layer,
                               const Int16Case* c, const int16_t* expected) {
  const size_t count = c->data.output_size;
  int16_t* output = (int16_t*)allocate((count + kGuardElements) * sizeof(int16_t));
  for (size_t i = 0; i < count + kGuardElements; ++i) output[i] = kInt16Guard;
  run(layer, c, output);
  for (size_t i = 0; i < count + kGuardElements; ++i) {
    const int16_t wanted = i < count ? expected[i] : (int16_t)kInt16Guard;
    if (output[i] == wanted) continue;
    CHECK(false, "%s: first difference at %lu of %lu: expected %d, is %d", context,
          (unsigned long)i, (unsigned long)count, wanted, output[i]);
    break;
  }
  free(output);
}

static void check_case(const DcsrCase* layer_case, const Window* window, RunInt16Kernel run,
                       uint32_t budget) {
  Int16Case c = make_int16_case(layer_case, window, 1);
  int16_t* expected = (int16_t*)allocate(c.data.output_size * sizeof(int16_t));
  int16_dense_oracle(&c.data, c.input, expected);
  for (size_t i = 0; i < kFewPackingCount; ++i) {
    PackedBlob blob = pack_layer(&c.data.layer, &kPackings[i]);
    char context[256];
    snprintf(context, sizeof(context), "'%s', packing %d, budget %lu", layer_case->name, (int)i,
             (unsigned long)budget);
    DcsrLayer layer;
    DcsrStatus status = dcsr_layer_parse(blob.data, blob.size, &layer);
    if (status == kDcsrOk) status = dcsr_layer_validate(&layer);
    CHECK(status == kDcsrOk, "%s: %s", context, dcsr_status_string(status));
    CHECK(layer.int16_activations, "%s", context);
    layer.scratch_budget = budget;
    if (status == kDcsrOk) check_int16_kernel(context, run, &layer, &c, expected);
    free_packed_blob(&blob);
  }
  free(expected);
  free_int16_case(&c);
}

static void check_all_cases(RunInt16Kernel run, uint32_t budget) {
  const Window none = {0, 0, 0, 0, false};
  for (size_t i = 0; i < kDcsrCaseCount; ++i) check_case(&kDcsrCases[i], &none, run, budget);
  for (size_t i = 0; i < kDcsrConv2dCaseCount; ++i) {
    check_case(&kDcsrConv2dCases[i].layer, &kDcsrConv2dCases[i].window, run, budget);
  }
}

static void check_all_budgets(RunInt16Kernel run) {
  for (size_t i = 0; i < kBudgetCount; ++i) check_all_cases(run, kBudgets[i]);
}

static void test_reference_equals_dense_loop(void) { check_all_cases(run_reference, 0); }

static void test_dispatched_kernel_equals_dense_loop(void) { check_all_budgets(run_dispatched); }

static void test_dense_baseline_equals_dense_loop(void) { check_all_cases(run_dense_baseline, 0); }

#if !defined(__arm__)
static void test_c_kernels_equal_dense_loop(void) { check_all_budgets(run_c); }
#endif

typedef struct {
  int64_t acc;
  int32_t multiplier;
  int8_t shift;
  int16_t expected;
} Requantization;

// Computed by hand. The multiplier is rounded to multiples of 1/2^15, and halves are rounded up.
static const Requantization kRequantizations[] = {
    {1000, 1 << 30, 1, 1000},        // 16384 / 2^15 * 2
    {1001, 1 << 30, 0, 501},         // 500.5
    {-1001, 1 << 30, 0, -500},       // -500.5
    {32768, INT32_MAX, 0, 32767},    // 32767 / 2^15, not 2^15 / 2^15
    {65536, 0x7FFF0000, -1, 32767},  // the smallest that saturates
    {65536, 0x7FFEFFFF, -1, 32767},  // rounds to 32767
    {65536, 0x7FFE7FFF, -1, 32766},  // rounds to 32766
    {INT64_C(1) << 46, 1 << 30, -31, 16384},
    {-(INT64_C(1) << 46), 1 << 30, -31, -16384},
    {1, 1 << 30, 7, 64},
    {1 << 20, 1 << 30, 7, 32767},  // clamped
    {-(1 << 20), 1 << 30, 7, -32768},
    {12345, 0, -31, 0},
};

static void test_requantisation_rounds_once_with_15_bits(void) {
  for (size_t i = 0; i < sizeof(kRequantizations) / sizeof(kRequantizations[0]); ++i) {
    const Requantization* r = &kRequantizations[i];
    DcsrLayer layer;
    memset(&layer, 0, sizeof(layer));
    layer.multiplier = &r->multiplier;
    layer.shift = &r->shift;
    layer.activation_min = INT16_MIN;
    layer.activation_max = INT16_MAX;
    const int16_t out = dcsr_requantize_int16(&layer, 0, (uint64_t)r->acc);
    CHECK(out == r->expected, "%u: %d, not %d", (unsigned)i, out, r->expected);
  }
}

// Tests that most outputs of the cases are not clamped. Clamped outputs would hide errors.
static void test_cases_spread_over_int16(void) {
  size_t counted = 0;
  size_t spread = 0;
  const Window none = {0, 0, 0, 0, false};
  for (size_t i = 0; i < kDcsrCaseCount; ++i) {
    const DcsrCase* layer_case = &kDcsrCases[i];
    if (layer_case->shift_min != 0 || layer_case->shift_max != 0) continue;
    Int16Case c = make_int16_case(layer_case, &none, 1);
    int16_t* output = (int16_t*)allocate(c.data.output_size * sizeof(int16_t));
    int16_dense_oracle(&c.data, c.input, output);
    for (size_t k = 0; k < c.data.output_size; ++k) {
      ++counted;
      spread += output[k] > c.data.layer.activation_min && output[k] < c.data.layer.activation_max;
    }
    free(output);
    free_int16_case(&c);
  }
  CHECK(2 * spread > counted, "%lu of %lu outputs lie within their clamps", (unsigned long)spread,
        (unsigned long)counted);
}

int main(void) {
  RUN_TEST(test_reference_equals_dense_loop);
  RUN_TEST(test_dispatched_kernel_equals_dense_loop);
  RUN_TEST(test_dense_baseline_equals_dense_loop);
#if !defined(__arm__)
  RUN_TEST(test_c_kernels_equal_dense_loop);
#endif
  RUN_TEST(test_requantisation_rounds_once_with_15_bits);
  RUN_TEST(test_cases_spread_over_int16);
  return check_exit_status();
}
