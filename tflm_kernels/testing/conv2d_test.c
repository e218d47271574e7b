// Tests the kernels for convolutions with any filter against a plain loop over the dense matrix,
// and the geometry against that of the oracle.

#include <stdlib.h>
#include <string.h>

#include "tflm_kernels/baseline/dense_baseline.h"
#include "tflm_kernels/common/conv_geometry.h"
#include "tflm_kernels/dispatch/tables.h"
#include "tflm_kernels/kernels.h"
#include "tflm_kernels/reference/reference.h"
#include "tflm_kernels/testing/check.h"
#include "tflm_kernels/testing/conv2d_cases.h"
#include "tflm_kernels/testing/layers.h"
#include "tflm_kernels/testing/pack.h"
#include "tflm_kernels/testing/run_kernel.h"

// Scratch budgets in bytes: 0 is the build's default, 1 is too small for most kernels, the next two
// hold a few pixels, the last everything.
static const uint32_t kBudgets[] = {0, 1, 3000, 9000, UINT32_MAX};

enum { kBudgetCount = sizeof(kBudgets) / sizeof(kBudgets[0]) };

static size_t most_scratch = 0;  // largest scratch that a kernel was given in all cases

static void* allocate_counted_scratch(size_t bytes) {
  if (bytes > most_scratch) most_scratch = bytes;
  return allocate_scratch(bytes);
}

static void run_reference(const DcsrLayer* layer, const CaseData* data, int8_t* output) {
  dcsr_conv2d_ref(NULL, layer, &data->shape, data->input, output, NULL);
}

static void run_counted(const DcsrKernels* kernels, const DcsrLayer* layer, const CaseData* data,
                        int8_t* output) {
  const DcsrTables tables = {kernels, NULL, NULL};
  const size_t bytes = run_tables(tables, layer, &data->shape, data->input, output);
  if (bytes > most_scratch) most_scratch = bytes;
}

static void run_dispatched(const DcsrLayer* layer, const CaseData* data, int8_t* output) {
  run_counted(dcsr_conv2d_kernels(), layer, data, output);
}

static void run_armv6m(const DcsrLayer* layer, const CaseData* data, int8_t* output) {
  run_counted(&kDcsrConv2dArmv6m, layer, data, output);
}

static void run_armv7m(const DcsrLayer* layer, const CaseData* data, int8_t* output) {
  run_counted(&kDcsrConv2dArmv7m, layer, data, output);
}

static void run_armv7em(const DcsrLayer* layer, const CaseData* data, int8_t* output) {
  run_counted(&kDcsrConv2dArmv7em, layer, data, output);
}

// Runs the dense baseline on layers of the dense encoding with plain rows, the reference on others.
static void run_dense_baseline(const DcsrLayer* layer, const CaseData* data, int8_t* output) {
  if (layer->encoding != kDcsrEncodingDense || layer->compact_rows != NULL) {
    run_reference(layer, data, output);
    return;
  }
  void* scratch = allocate_counted_scratch(dcsr_dense_conv2d_scratch_bytes(layer, &data->shape));
  dcsr_dense_prepare(layer, scratch);
  dcsr_dense_conv2d(layer, &data->shape, data->input, output, scratch);
  free(scratch);
}

static void check_case(const DcsrConv2dCase* c, RunKernel run, uint32_t budget) {
  CaseData data = make_window_case(&c->layer, &c->window, 1);
  int8_t* expected = (int8_t*)malloc(data.output_size);
  if (expected == NULL) abort();
  dense_oracle(&data, expected);
  for (size_t i = 0; i < kFewPackingCount; ++i) {
    PackedBlob blob = pack_layer(&data.layer, &kPackings[i]);
    char context[256];
    snprintf(context, sizeof(context), "'%s', budget %lu, packing %u", c->layer.name,
             (unsigned long)budget, (unsigned)i);
    DcsrLayer layer;
    DcsrStatus status = dcsr_layer_parse(blob.data, blob.size, &layer);
    if (status == kDcsrOk) status = dcsr_layer_validate(&layer);
    CHECK(status == kDcsrOk, "%s: %s", context, dcsr_status_string(status));
    layer.scratch_budget = budget;
    if (status == kDcsrOk) check_kernel(context, run, &layer, &data, expected);
    free_packed_blob(&blob);
  }
  free(expected);
  free_case(&data);
}

static void check_all_cases(RunKernel run, uint32_t budget) {
  for (size_t i = 0; i < kDcsrConv2dCaseCount; ++i) check_case(&kDcsrConv2dCases[i], run, budget);
}

static void check_all_budgets(RunKernel run) {
  for (size_t i = 0; i < kBudgetCount; ++i) check_all_cases(run, kBudgets[i]);
}

static void test_reference_equals_dense_loop(void) { check_all_cases(run_reference, 0); }

static void test_dispatched_kernel_equals_dense_loop(void) { check_all_budgets(run_dispatched); }

static void test_dense_baseline_equals_dense_loop(void) {
  most_scratch = 0;
  check_all_cases(run_dense_baseline, 0);
  CHECK(most_scratch > 0, "only the reference was run");
}

static void check_with_scratch(RunKernel run) {
  most_scratch = 0;
  check_all_budgets(run);
  CHECK(most_scratch > 0, "only the reference was run");
}

static void test_armv6m_kernels_equal_dense_loop(void) { check_with_scratch(run_armv6m); }

static void test_armv7m_kernels_equal_dense_loop(void) { check_with_scratch(run_armv7m); }

static void test_armv7em_kernels_equal_dense_loop(void) { check_with_scratch(run_armv7em); }

static void test_shape_is_that_of_the_oracle(void) {
  for (size_t i = 0; i < kDcsrConv2dCaseCount; ++i) {
    const DcsrConv2dCase* c = &kDcsrConv2dCases[i];
    CaseData data = make_window_case(&c->layer, &c->window, 1);
    PackedBlob blob = pack_layer(&data.layer, &kPackings[0]);
    DcsrLayer layer;
    CHECK(dcsr_layer_parse(blob.data, blob.size, &layer) == kDcsrOk, "%s", c->layer.name);
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

static void test_image_below_a_valid_filter_has_no_output(void) {
  const DcsrConv2dCase* c = &kDcsrConv2dCases[1];
  CaseData data = make_window_case(&c->layer, &c->window, 1);
  PackedBlob blob = pack_layer(&data.layer, &kPackings[0]);
  DcsrLayer layer;
  CHECK(dcsr_layer_parse(blob.data, blob.size, &layer) == kDcsrOk, "%s", c->layer.name);
  DcsrConvShape shape;
  CHECK(dcsr_conv_shape(&layer, 1, 3, 3, &shape) && shape.output_height == 1, "3 x 3");
  CHECK(!dcsr_conv_shape(&layer, 1, 2, 3, &shape), "2 x 3");
  CHECK(!dcsr_conv_shape(&layer, 1, 3, 2, &shape), "3 x 2");
  free_packed_blob(&blob);
  free_case(&data);
}

int main(void) {
  RUN_TEST(test_reference_equals_dense_loop);
  RUN_TEST(test_dispatched_kernel_equals_dense_loop);
  RUN_TEST(test_dense_baseline_equals_dense_loop);
  RUN_TEST(test_armv6m_kernels_equal_dense_loop);
  RUN_TEST(test_armv7m_kernels_equal_dense_loop);
  RUN_TEST(test_armv7em_kernels_equal_dense_loop);
  RUN_TEST(test_shape_is_that_of_the_oracle);
  RUN_TEST(test_image_below_a_valid_filter_has_no_output);
  return check_exit_status();
}
