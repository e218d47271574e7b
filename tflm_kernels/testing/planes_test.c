// Tests layers whose activations are in planes, in every combination with NHWC, against a plain
// loop over the dense matrix. Also tests which layouts are refused.

#include <stdlib.h>
#include <string.h>

#include "tflm_kernels/dispatch/tables.h"
#include "tflm_kernels/kernels.h"
#include "tflm_kernels/mve/mve.h"
#include "tflm_kernels/planning/planners.h"
#include "tflm_kernels/reference/reference.h"
#include "tflm_kernels/testing/cases.h"
#include "tflm_kernels/testing/check.h"
#include "tflm_kernels/testing/conv2d_cases.h"
#include "tflm_kernels/testing/depthwise_conv2d_cases.h"
#include "tflm_kernels/testing/fenced_memory.h"
#include "tflm_kernels/testing/layers.h"
#include "tflm_kernels/testing/pack.h"
#include "tflm_kernels/testing/run_kernel.h"

// Packings of each kind that kernels treat differently, the last two with compact rows.
static const uint32_t kTested[] = {kDcsrEncodingDense, kDcsrEncodingDcsr, kDcsrEncodingRice,
                                   kFewPackingCount - 2, kFewPackingCount - 1};

// Scratch budgets in bytes: 0 is the build's default, 1 is too small for most kernels, the next
// holds a part of the rows or pixels, the last everything.
static const uint32_t kBudgets[] = {0, 1, 3000, UINT32_MAX};

enum {
  kBudgetCount = sizeof(kBudgets) / sizeof(kBudgets[0]),
  kMostProducts = 150000,  // of a layer: larger ones take long without adding a path
};

// Which sides are in planes. The size is that of the layer.
static const DcsrLayout kVariants[] = {{0, 0, 1, 1, 0, 0},
                                       {0, 0, 1, 0, 0, 0},
                                       {0, 0, 0, 1, 0, 0},
                                       {0, 0, 1, 0, 1, 0},
                                       {0, 0, 0, 1, 1, 0}};

enum { kVariantCount = sizeof(kVariants) / sizeof(kVariants[0]) };

// One tensor in a layout.
typedef struct {
  bool has_planes;
  bool is_transposed;
  size_t height;
  size_t width;
  size_t channels;
} Tensor;

static size_t plane_bytes(const Tensor* t) { return (t->height * t->width + 3) / 4 * 4; }

static size_t bytes_of_tensor(const Tensor* t) {
  return t->channels * (t->has_planes ? plane_bytes(t) : t->height * t->width);
}

static size_t index_of(const Tensor* t, size_t y, size_t x, size_t c) {
  if (t->has_planes) return c * plane_bytes(t) + y * t->width + x;
  return (t->is_transposed ? x * t->height + y : y * t->width + x) * t->channels + c;
}

// Returns the tensor `nhwc`, [height, width, channels], in a layout. The result is a malloc of its
// exact size.
static int8_t* to_layout(const Tensor* t, const int8_t* nhwc) {
  int8_t* out = (int8_t*)allocate_scratch(bytes_of_tensor(t));
  for (size_t y = 0; y < t->height; ++y) {
    for (size_t x = 0; x < t->width; ++x) {
      for (size_t c = 0; c < t->channels; ++c) out[index_of(t, y, x, c)] = *nhwc++;
    }
  }
  return out;
}

// Copies the bytes behind the pixels of each plane.
static void copy_unspecified(const Tensor* t, const int8_t* from, int8_t* to) {
  if (!t->has_planes) return;
  for (size_t c = 0; c < t->channels; ++c) {
    const size_t pixels = c * plane_bytes(t) + t->height * t->width;
    const size_t end = (c + 1) * plane_bytes(t);
    memcpy(to + pixels, from + pixels, end - pixels);
  }
}

static DcsrStatus parse(const PackedBlob* blob, DcsrLayer* layer) {
  const DcsrStatus status = dcsr_layer_parse(blob->data, blob->size, layer);
  return status == kDcsrOk ? dcsr_layer_validate(layer) : status;
}

#if !defined(__arm__)
// The kernels for cores with MVE that run on every target.
static const DcsrKernel kTwinList[] = {
    {dcsr_plan_conv1x1_planes_mve, dcsr_conv1x1_planes_mve, kDcsrKernel_conv1x1_planes_mve,
     kDcsrAnyCoding},
    {dcsr_plan_conv2d_ref, dcsr_conv2d_ref, kDcsrKernel_conv2d_ref, kDcsrAnyCoding},
    {NULL, NULL, 0, 0}};
static const DcsrKernels kTwins = {NULL, NULL, NULL, kTwinList, NULL, 32 * 1024, &kDcsrAllDecoders};
#endif

// Bits: the kernels that have run, by DcsrKernelId.
static uint32_t g_ran;

static void note_kernel(DcsrTables tables, const DcsrLayer* layer, const DcsrConvShape* shape) {
  const DcsrKernels* table = table_of(tables, layer->op);
  DcsrPlan plan;
  dcsr_plan(table, layer, shape, dcsr_scratch_budget(table, layer), &plan);
  if (plan.kernel != NULL) g_ran |= UINT32_C(1) << plan.kernel->id;
}

static void run_all_tables(const char* context, DcsrLayer* layer, const CaseData* data,
                           const int8_t* input, const Tensor* tensor, const int8_t* expected) {
  const size_t output_size = bytes_of_tensor(tensor);
  const struct {
    const char* name;
    DcsrTables tables;
    bool has_budget;  // planning depends on the budget
  } classes[] = {
      {"dispatched", tables_of_this_core(), true},
      {"reference", {&kDcsrConv2dReference, NULL, &kDcsrDepthwiseConv2dReference}, false},
// A core runs its own table, and no other.
#if !defined(__arm__)
      {"twin of MVE", {&kTwins, NULL, &kDcsrDepthwiseConv2dReference}, true},
      {"ARMv6-M", {&kDcsrConv2dArmv6m, NULL, &kDcsrDepthwiseConv2dArmv6m}, true},
      {"ARMv7-M", {&kDcsrConv2dArmv7m, NULL, &kDcsrDepthwiseConv2dArmv7m}, true},
      {"ARMv7E-M", {&kDcsrConv2dArmv7em, NULL, &kDcsrDepthwiseConv2dArmv7em}, true},
#endif
  };
  for (size_t k = 0; k < sizeof(classes) / sizeof(classes[0]); ++k) {
    for (size_t b = 0; b < (classes[k].has_budget ? kBudgetCount : 1); ++b) {
      char with_kernel[320];
      snprintf(with_kernel, sizeof(with_kernel), "%s, %s, budget %lu", context, classes[k].name,
               (unsigned long)kBudgets[b]);
      layer->scratch_budget = kBudgets[b];
      int8_t* output = (int8_t*)allocate_scratch(output_size + kGuardBytes);
      run_tables(classes[k].tables, layer, &data->shape, input, output);
      note_kernel(classes[k].tables, layer, &data->shape);
      copy_unspecified(tensor, expected, output);
      check_equal(with_kernel, expected, output, output_size);
      for (size_t i = 0; i < kGuardBytes; ++i) {
        CHECK(output[output_size + i] == kGuard, "%s: byte %d behind the output", with_kernel,
              (int)i);
      }
      free(output);
    }
  }
}

static void check_variant(const char* name, const CaseData* data, size_t packing, size_t variant,
                          const int8_t* expected_nhwc) {
  DcsrLayout layout = kVariants[variant];
  layout.input_height = (uint16_t)data->shape.input_height;
  layout.input_width = (uint16_t)data->shape.input_width;
  char context[256];
  snprintf(context, sizeof(context), "'%s', packing %u, variant %u", name, (unsigned)packing,
           (unsigned)variant);
  PackedBlob blob = pack_layer(&data->layer, &kPackings[packing]);
  DcsrLayer layer;
  add_layout(&blob, &layout);
  const DcsrStatus status = parse(&blob, &layer);
  CHECK(status == kDcsrOk, "%s: %s", context, dcsr_status_string(status));
  if (status != kDcsrOk) {
    free_packed_blob(&blob);
    return;
  }
  CHECK(layer.layout != NULL && memcmp(layer.layout, &layout, sizeof(layout)) == 0, "%s: layout",
        context);
  const DcsrConvShape* s = &data->shape;
  const Tensor input = {layout.input_planes != 0, layout.is_transposed != 0,
                        (size_t)s->input_height, (size_t)s->input_width, layer.channels};
  const Tensor output = {layout.output_planes != 0, layout.is_transposed != 0,
                         (size_t)s->output_height, (size_t)s->output_width, layer.rows};
  int8_t* nhwc_or_planes = to_layout(&input, data->input);
  int8_t* x = (int8_t*)fenced_input(bytes_of_tensor(&input));
  memcpy(x, nhwc_or_planes, bytes_of_tensor(&input));
  free(nhwc_or_planes);
  int8_t* expected = to_layout(&output, expected_nhwc);
  run_all_tables(context, &layer, data, x, &output, expected);
  free(expected);
  free_fenced(x);
  free_packed_blob(&blob);
}

static void check_case(const char* name, CaseData data) {
  if (data.shape.batches == 1 && (uint64_t)data.output_size * data.layer.cols <= kMostProducts) {
    int8_t* expected = (int8_t*)allocate_scratch(data.output_size);
    dense_oracle(&data, expected);
    for (size_t i = 0; i < sizeof(kTested) / sizeof(kTested[0]); ++i) {
      if (!pack_row_length_fits(&data.layer, &kPackings[kTested[i]])) continue;
      for (size_t v = 0; v < kVariantCount; ++v) {
        check_variant(name, &data, kTested[i], v, expected);
      }
    }
    free(expected);
  }
  free_case(&data);
}

static void test_1x1_filters(void) {
  for (size_t i = 0; i < kDcsrCaseCount; ++i) {
    if (kDcsrCases[i].op != kDcsrOpConv2d) continue;
    check_case(kDcsrCases[i].name, make_case(&kDcsrCases[i], 1));
  }
}

static void test_larger_filters(void) {
  for (size_t i = 0; i < kDcsrConv2dCaseCount; ++i) {
    const DcsrConv2dCase* c = &kDcsrConv2dCases[i];
    check_case(c->layer.name, make_window_case(&c->layer, &c->window, 1));
  }
}

static void test_depthwise(void) {
  for (size_t i = 0; i < kDcsrDepthwiseConv2dCaseCount; ++i) {
    const DcsrDepthwiseConv2dCase* c = &kDcsrDepthwiseConv2dCases[i];
    check_case(c->layer.name, make_depthwise_case(&c->layer, &c->window, c->depth_multiplier, 1));
  }
}

// A depthwise layer of 4x5 pixels and 3x3 taps, with planes at both ends.
static const DcsrLayout kLayout = {4, 5, 1, 1, 0, 0};

// Checks that a layer with `layout` is refused with `expected`.
static void check_layout(const DcsrLayout* layout, DcsrStatus expected, const char* reason) {
  const DcsrCase c = {
      "planes", kDcsrOpDepthwiseConv2d, 16,          9, 1, 4,    5,   1,    1, kPatternRandom,
      1000,     kValuesRandom,          kBiasRandom, 0, 0, -128, 127, true, 0, 0};
  const Window window = {3, 3, 1, 1, true};
  CaseData data = make_depthwise_case(&c, &window, 1, 1);
  PackedBlob blob = pack_layer(&data.layer, &kPackings[kDcsrEncodingDense]);
  add_layout(&blob, layout);
  DcsrLayer layer;
  const DcsrStatus status = parse(&blob, &layer);
  CHECK(status == expected, "%s: %s", reason, dcsr_status_string(status));
  free_packed_blob(&blob);
  free_case(&data);
}

static void test_wrong_layouts_are_refused(void) {
  check_layout(&kLayout, kDcsrOk, "untouched");
#define CHECK_WITH(field, value, reason)             \
  do {                                               \
    DcsrLayout layout = kLayout;                     \
    layout.field = value;                            \
    check_layout(&layout, kDcsrErrorLayout, reason); \
  } while (0)
  CHECK_WITH(input_height, 0, "no rows");
  CHECK_WITH(input_width, 0, "no columns");
  CHECK_WITH(input_planes, 2, "two kinds of input planes");
  CHECK_WITH(output_planes, 2, "two kinds of output planes");
  CHECK_WITH(is_transposed, 2, "transposed twice");
  CHECK_WITH(reserved, 1, "a reserved field");
#undef CHECK_WITH
  const DcsrLayout huge = {65535, 65535, 1, 1, 0, 0};
  check_layout(&huge, kDcsrErrorLayout, "2^36 bytes of planes");
  const DcsrLayout nhwc = {4, 5, 0, 0, 0, 0};
  check_layout(&nhwc, kDcsrErrorLayout, "NHWC at both ends");
  const DcsrLayout exit = {4, 5, 1, 0, 1, 0};
  check_layout(&exit, kDcsrOk, "a transposed NHWC output");
  const DcsrLayout transposed = {4, 5, 1, 1, 1, 0};
  check_layout(&transposed, kDcsrOk, "transposed planes");
}

// Checks that a layer with a layout and other header fields is refused.
static void check_header(size_t offset, uint8_t value, uint8_t version, DcsrStatus expected,
                         const char* reason) {
  const DcsrCase c = {
      "header", kDcsrOpConv2d, 16,          9, 1, 1,    1,   1,    1, kPatternRandom,
      1000,     kValuesRandom, kBiasRandom, 0, 0, -128, 127, true, 0, 0};
  CaseData data = make_case(&c, 1);
  PackedBlob blob = pack_layer(&data.layer, &kPackings[kDcsrEncodingDense]);
  const DcsrLayout layout = {1, 1, 1, 1, 0, 0};
  add_layout(&blob, &layout);
  blob.data[offset] = value;
  blob.data[4] = version;
  DcsrLayer layer;
  const DcsrStatus status = parse(&blob, &layer);
  CHECK(status == expected, "%s: %s", reason, dcsr_status_string(status));
  free_packed_blob(&blob);
  free_case(&data);
}

static void test_wrong_headers_are_refused(void) {
  check_header(34, 1, 1, kDcsrOk, "untouched");
  check_header(34, 129, 1, kDcsrOk, "slow gathers");
  check_header(5, 6, 1, kDcsrErrorHeader, "an unknown op");
  check_header(5, kDcsrOpConv2d, 1, kDcsrErrorSections, "a layout of an op without");
  check_header(5, kDcsrOpFullyConnected, 1, kDcsrErrorSections, "FULLY_CONNECTED");
  check_header(34, 3, 1, kDcsrErrorHeader, "int16 activations");
  check_header(34, 9, 1, kDcsrErrorHeader, "a bias of shared rows");
  check_header(34, 33, 1, kDcsrErrorHeader, "sums of 32 bits");
  check_header(34, 1, 2, kDcsrErrorVersion, "version 2 with plain rows");
}

// The cases cover every kernel of this core.
static void test_every_kernel_ran(void) {
  const DcsrKernel* const lists[] = {tables_of_this_core().conv2d->planes,
                                     tables_of_this_core().depthwise_conv2d->planes};
  for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); ++i) {
    for (const DcsrKernel* kernel = lists[i]; kernel->plan != NULL; ++kernel) {
      CHECK((g_ran >> kernel->id & 1) != 0, "kernel %d never ran", (int)kernel->id);
    }
  }
}

int main(void) {
  RUN_TEST(test_1x1_filters);
  RUN_TEST(test_larger_filters);
  RUN_TEST(test_depthwise);
  RUN_TEST(test_every_kernel_ran);
  RUN_TEST(test_wrong_layouts_are_refused);
  RUN_TEST(test_wrong_headers_are_refused);
  return check_exit_status();
}
