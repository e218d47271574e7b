// Tests layers whose activations are in planes, in every combination with NHWC, against a plain
// loop over the dense matrix. Also tests which layouts are refused.

#include <stdlib.h>
#include <string.h>

#include "tflm_kernels/dispatch/tables.h"
#include "tflm_kernels/kernels.h"
#include "tflm_kernels/testing/cases.h"
#include "tflm_kernels/testing/check.h"
#include "tflm_kernels/testing/conv2d_cases.h"
#include "tflm_kernels/testing/depthwise_conv2d_cases.h"
#include "tflm_kernels/testing/layers.h"
#include "tflm_kernels/testing/make_layout.h"
#include "tflm_kernels/testing/pack.h"
#include "tflm_kernels/testing/run_kernel.h"

// Scratch budgets in bytes: 0 is the build's default, 1 is too small for most kernels, the next
// holds a part of the rows or pixels, the last everything.
static const uint32_t kBudgets[] = {0, 1, 3000, UINT32_MAX};

enum {
  kBudgetCount = sizeof(kBudgets) / sizeof(kBudgets[0]),
  kMostProducts = 150000,  // of a layer: larger ones take long without adding a path
};

static const LayoutVariant kVariants[] = {
    {true, true, false, 0, 0, 0},   {true, true, false, 3, 5, 40}, {true, false, false, 0, 0, 0},
    {false, true, false, 0, 0, 0},  {true, false, true, 0, 1, 0},  {false, true, true, 1, 0, 9},
    {true, true, false, 0, 64, 64},
};

enum { kVariantCount = sizeof(kVariants) / sizeof(kVariants[0]) };

// One tensor in a layout. Of NHWC, `pitch` is 0.
typedef struct {
  size_t height;
  size_t width;
  size_t channels;
  size_t first;
  size_t pitch;
  size_t plane_bytes;
  bool is_transposed;
} Tensor;

static size_t bytes_of_tensor(const Tensor* t) {
  return t->pitch != 0 ? t->channels * t->plane_bytes : t->channels * t->height * t->width;
}

static size_t index_of(const Tensor* t, size_t y, size_t x, size_t c) {
  if (t->pitch != 0) return c * t->plane_bytes + t->first + y * t->pitch + x;
  return (t->is_transposed ? x * t->height + y : y * t->width + x) * t->channels + c;
}

// Returns the tensor `nhwc`, [height, width, channels], in a layout. Bytes between pixels are
// `pad`. The result is a malloc of its exact size.
static int8_t* to_layout(const Tensor* t, const int8_t* nhwc, int8_t pad) {
  int8_t* out = (int8_t*)allocate_scratch(bytes_of_tensor(t));
  memset(out, pad, bytes_of_tensor(t));
  for (size_t y = 0; y < t->height; ++y) {
    for (size_t x = 0; x < t->width; ++x) {
      for (size_t c = 0; c < t->channels; ++c) out[index_of(t, y, x, c)] = *nhwc++;
    }
  }
  return out;
}

static DcsrStatus parse(const PackedBlob* blob, DcsrLayer* layer) {
  const DcsrStatus status = dcsr_layer_parse(blob->data, blob->size, layer);
  return status == kDcsrOk ? dcsr_layer_validate(layer) : status;
}

static void run_all_tables(const char* context, DcsrLayer* layer, const CaseData* data,
                           const int8_t* input, const int8_t* expected, size_t output_size) {
  CaseData planes = *data;
  planes.input_size = 0;
  planes.output_size = output_size;
  const struct {
    const char* name;
    DcsrTables tables;
    bool has_budget;  // planning depends on the budget
  } classes[] = {
      {"dispatched", tables_of_this_core(), true},
      {"reference", {&kDcsrConv2dReference, NULL, &kDcsrDepthwiseConv2dReference}, false},
// A core runs its own table, and no other.
#if !defined(__arm__)
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
      run_tables(classes[k].tables, layer, &planes.shape, input, output);
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
  const LayoutVariant* v = &kVariants[variant];
  char context[256];
  snprintf(context, sizeof(context), "'%s', packing %u, variant %u", name, (unsigned)packing,
           (unsigned)variant);
  PackedBlob blob = pack_layer(&data->layer, &kPackings[packing]);
  DcsrLayer layer;
  DcsrStatus status = parse(&blob, &layer);
  const DcsrLayout layout = make_layout(&layer, &data->shape, v);
  if (status == kDcsrOk) {
    add_layout(&blob, &layout);
    status = parse(&blob, &layer);
  }
  CHECK(status == kDcsrOk, "%s: %s", context, dcsr_status_string(status));
  if (status != kDcsrOk) {
    free_packed_blob(&blob);
    return;
  }
  CHECK(layer.layout != NULL && memcmp(layer.layout, &layout, sizeof(layout)) == 0, "%s: layout",
        context);
  const DcsrConvShape* s = &data->shape;
  const Tensor input = {(size_t)s->input_height, (size_t)s->input_width, layer.channels,
                        layout.input_first,      layout.input_pitch,     layout.input_plane_bytes,
                        v->is_transposed};
  const Tensor output = {
      (size_t)s->output_height, (size_t)s->output_width,   layer.rows,      layout.output_first,
      layout.output_pitch,      layout.output_plane_bytes, v->is_transposed};
  int8_t* x = to_layout(&input, data->input, (int8_t)layer.input_zero_point);
  int8_t* expected = to_layout(&output, expected_nhwc, (int8_t)layer.output_zero_point);
  run_all_tables(context, &layer, data, x, expected, bytes_of_tensor(&output));
  free(expected);
  free(x);
  free_packed_blob(&blob);
}

static void check_case(const char* name, CaseData data) {
  if (data.shape.batches == 1 && (uint64_t)data.output_size * data.layer.cols <= kMostProducts) {
    int8_t* expected = (int8_t*)allocate_scratch(data.output_size);
    dense_oracle(&data, expected);
    for (size_t i = 0; i < kFewPackingCount; ++i) {
      if (!pack_row_length_fits(&data.layer, &kPackings[i])) continue;
      for (size_t v = 0; v < kVariantCount; ++v) check_variant(name, &data, i, v, expected);
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
static const DcsrLayout kLayout = {4, 5, 7, 6, 0, 5, 36 + 4, 20, 0, 0};

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
  CHECK_WITH(input_height, 5, "a row too many");
  CHECK_WITH(input_width, 6, "a column too many");
  CHECK_WITH(input_first, 6, "no padding before the map");
  CHECK_WITH(input_pitch, 5, "no padding between rows");
  CHECK_WITH(input_plane_bytes, 36, "no padding behind the map");
  CHECK_WITH(input_plane_bytes, 42, "no multiple of 4");
  CHECK_WITH(input_plane_bytes, UINT32_C(1) << 27, "2^31 bytes of planes");
  CHECK_WITH(output_pitch, 4, "output rows that overlap");
  CHECK_WITH(output_first, 1, "outputs behind their plane");
  CHECK_WITH(output_plane_bytes, 16, "planes that are too small");
  CHECK_WITH(output_plane_bytes, UINT32_C(1) << 27, "2^31 bytes of output planes");
  CHECK_WITH(is_transposed, 1, "two transposed planes");
  CHECK_WITH(reserved, 1, "a reserved field");
  CHECK_WITH(input_pitch, 0, "NHWC with planes");
  CHECK_WITH(output_pitch, 0, "NHWC output with planes");
#undef CHECK_WITH
  DcsrLayout nhwc = {4, 5, 0, 0, 0, 0, 0, 0, 0, 0};
  check_layout(&nhwc, kDcsrErrorLayout, "NHWC at both ends");
  DcsrLayout exit = kLayout;
  exit.output_pitch = 0;
  exit.output_plane_bytes = 0;
  check_layout(&exit, kDcsrOk, "NHWC output");
  exit.is_transposed = 2;
  check_layout(&exit, kDcsrErrorLayout, "transposed twice");
}

// Checks that a layer of `op` with a layout and other flags is refused.
static void check_flags(DcsrOp op, uint8_t flags, uint8_t version, DcsrStatus expected,
                        const char* reason) {
  const DcsrCase c = {
      "flags",       op,          16, 9, 1,    1,   1,    1, 1, kPatternRandom, 1000,
      kValuesRandom, kBiasRandom, 0,  0, -128, 127, true, 0, 0};
  CaseData data = make_case(&c, 1);
  PackedBlob blob = pack_layer(&data.layer, &kPackings[kDcsrEncodingDense]);
  const DcsrLayout layout = {1, 1, 0, 1, 0, 1, 4, 4, 0, 0};
  add_layout(&blob, &layout);
  blob.data[34] = (uint8_t)(blob.data[34] | flags);
  blob.data[4] = version;
  DcsrLayer layer;
  const DcsrStatus status = parse(&blob, &layer);
  CHECK(status == expected, "%s: %s", reason, dcsr_status_string(status));
  free_packed_blob(&blob);
  free_case(&data);
}

static void test_wrong_headers_are_refused(void) {
  check_flags(kDcsrOpConv2d, 0, 2, kDcsrOk, "untouched");
  check_flags(kDcsrOpConv2d, 128, 2, kDcsrOk, "slow gathers");
  check_flags(kDcsrOpFullyConnected, 0, 2, kDcsrErrorHeader, "FULLY_CONNECTED");
  check_flags(kDcsrOpConv2d, 2, 2, kDcsrErrorHeader, "int16 activations");
  check_flags(kDcsrOpConv2d, 8, 2, kDcsrErrorHeader, "a bias of shared rows");
  check_flags(kDcsrOpConv2d, 32, 2, kDcsrErrorHeader, "sums of 32 bits");
  check_flags(kDcsrOpConv2d, 0, 1, kDcsrErrorVersion, "version 1");
  check_flags(kDcsrOpConv2d, 0, 3, kDcsrErrorVersion, "version 3");
}

int main(void) {
  RUN_TEST(test_1x1_filters);
  RUN_TEST(test_larger_filters);
  RUN_TEST(test_depthwise);
  RUN_TEST(test_wrong_layouts_are_refused);
  RUN_TEST(test_wrong_headers_are_refused);
  return check_exit_status();
}
