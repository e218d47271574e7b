// Tests planning against kernels on random layers, for every class of cores that this build runs. A
// kernel stays within the scratch of its plan. Its outputs equal those of the reference. The tables
// without run functions, which the converter uses (costs/), give the same plans as those with them.

#include <stdlib.h>
#include <string.h>

#include "tflm_kernels/costs/costs.h"
#include "tflm_kernels/dispatch/tables.h"
#include "tflm_kernels/kernels.h"
#include "tflm_kernels/mve/mve.h"
#include "tflm_kernels/planning/plan_conv1x1_mve.h"
#include "tflm_kernels/planning/plan_conv2d_im2col.h"
#include "tflm_kernels/reference/reference.h"
#include "tflm_kernels/testing/check.h"
#include "tflm_kernels/testing/layers.h"
#include "tflm_kernels/testing/pack.h"
#include "tflm_kernels/testing/random.h"
#include "tflm_kernels/testing/run_kernel.h"

enum { kLayers = 400, kGuardAfterScratch = 64 };

static const uint32_t kBudgets[] = {0, 1, 700, 2500, 6000, 15000, 50000, 1000000};

typedef struct {
  DcsrCoreClass core_class;
  DcsrTables tables;
} ClassTables;

static size_t all_classes(ClassTables classes[5]) {
  size_t count = 0;
  classes[count++] = (ClassTables){
      kDcsrClassReference,
      {&kDcsrConv2dReference, &kDcsrFullyConnectedReference, &kDcsrDepthwiseConv2dReference}};
  classes[count++] =
      (ClassTables){kDcsrClassArmv6m,
                    {&kDcsrConv2dArmv6m, &kDcsrFullyConnectedArmv6m, &kDcsrDepthwiseConv2dArmv6m}};
  classes[count++] =
      (ClassTables){kDcsrClassArmv7m,
                    {&kDcsrConv2dArmv7m, &kDcsrFullyConnectedArmv7m, &kDcsrDepthwiseConv2dArmv7m}};
  classes[count++] = (ClassTables){
      kDcsrClassArmv7em,
      {&kDcsrConv2dArmv7em, &kDcsrFullyConnectedArmv7em, &kDcsrDepthwiseConv2dArmv7em}};
#if DCSR_HAS_MVE
  classes[count++] = (ClassTables){
      kDcsrClassMve, {&kDcsrConv2dMve, &kDcsrFullyConnectedMve, &kDcsrDepthwiseConv2dMve}};
#endif
  return count;
}

// A random layer. Its activations are int8 or int16.
typedef struct {
  CaseData data;
  Int16Case int16;
  bool is_int16;
  size_t element_bytes;
  const void* input;
} RandomLayer;

static uint32_t pick(Random* random, const uint32_t* values, uint32_t count) {
  return values[random_below(random, count)];
}

static RandomLayer make_layer(Random* random, uint64_t seed) {
  static const uint32_t kChannels[] = {1, 3, 8, 17, 40, 130, 300};
  static const uint32_t kRows[] = {1, 2, 5, 16, 33, 70};
  static const uint32_t kPermille[] = {0, 30, 100, 300, 1000};
  DcsrCase c;
  memset(&c, 0, sizeof(c));
  Window window = {0, 0, 0, 0, false};
  c.name = "random";
  static const DcsrOp kOps[] = {kDcsrOpFullyConnected, kDcsrOpDepthwiseConv2d, kDcsrOpConv2d,
                                kDcsrOpConv2d};
  c.op = kOps[random_below(random, 4)];
  uint32_t depth_multiplier = 0;
  c.rows = pick(random, kRows, 6);
  c.cols = pick(random, kChannels, 7);
  c.batches = random_between(random, 1, 3);
  c.input_height = c.input_width = 1;
  c.stride_h = c.stride_w = 1;
  if (c.op == kDcsrOpDepthwiseConv2d) {
    depth_multiplier = 1 + random_below(random, 2);
    c.rows *= depth_multiplier;
    c.cols = 1;
  }
  if (c.op != kDcsrOpFullyConnected) {
    c.input_height = random_between(random, 1, 12);
    c.input_width = random_between(random, 1, 12);
    c.stride_h = 1 + random_below(random, 2);
    c.stride_w = 1 + random_below(random, 2);
    if (random_below(random, 2) == 0 && c.cols <= 40) {
      window.filter_h = 1 + random_below(random, 3);
      window.filter_w = 2 + random_below(random, 2);
      window.dilation_h = 1 + random_below(random, 2);
      window.dilation_w = 1 + random_below(random, 2);
      window.same_padding = true;  // no image is too small
      c.cols *= window.filter_h * window.filter_w;
    }
  }
  if (c.op == kDcsrOpDepthwiseConv2d && random_below(random, 2) == 0) {
    // A filter for which cores have kernels.
    const uint32_t filter = random_below(random, 3) == 0 ? 5 : 3;
    window = (Window){filter, filter, 1, 1, random_below(random, 4) != 0};
    if (!window.same_padding) {
      c.input_height += (int32_t)filter;
      c.input_width += (int32_t)filter;
    }
    c.stride_w = c.stride_h;
    c.cols = filter * filter;
  }
  c.pattern = random_below(random, 3) == 0 ? kPatternEmptyAndFull : kPatternRandom;
  c.nonzero_permille = pick(random, kPermille, 5);
  c.values = random_below(random, 2) == 0 ? kValuesRandom : kValuesExtreme;
  c.bias = random_below(random, 4) == 0 ? kBiasWraps : kBiasRandom;
  c.input_zero_point = random_between(random, -128, 127);
  c.output_zero_point = random_below(random, 2) == 0 ? -128 : random_between(random, -128, 127);
  c.activation_min = -128;
  c.activation_max = random_below(random, 2) == 0 ? 127 : 50;
  c.per_row = random_below(random, 2) == 0;
  RandomLayer layer;
  memset(&layer, 0, sizeof(layer));
  layer.is_int16 = depth_multiplier == 0 && random_below(random, 4) == 0;
  layer.element_bytes = layer.is_int16 ? sizeof(int16_t) : sizeof(int8_t);
  if (layer.is_int16) {
    layer.int16 = make_int16_case(&c, &window, seed);
    layer.data = layer.int16.data;
    layer.input = layer.int16.input;
  } else {
    layer.data = make_depthwise_case(&c, &window, depth_multiplier, seed);
    layer.input = layer.data.input;
  }
  return layer;
}

static void free_layer(RandomLayer* layer) {
  if (layer->is_int16) {
    free_int16_case(&layer->int16);
  } else {
    free_case(&layer->data);
  }
}

static PackOptions make_packing(Random* random, DcsrOp op) {
  PackOptions packing;
  memset(&packing, 0, sizeof(packing));
  // The kernels of this operator are for dense weights.
  if (op == kDcsrOpDepthwiseConv2d && random_below(random, 2) == 0) return packing;
  packing.encoding = kPackings[random_below(random, kEncodingCount)].encoding;
  packing.byte_deltas = random_below(random, 2) == 0;
  packing.huffman = random_below(random, 4) == 0;
  packing.raw_bits = packing.huffman ? random_below(random, 5) : 0;
  return packing;
}

static void* allocate(size_t bytes) {
  void* memory = malloc(bytes > 0 ? bytes : 1);
  if (memory == NULL) abort();
  return memory;
}

static void run_reference(const DcsrLayer* layer, const RandomLayer* random_layer, void* output) {
  const DcsrTables tables = {&kDcsrConv2dReference, &kDcsrFullyConnectedReference,
                             &kDcsrDepthwiseConv2dReference};
  run_tables(tables, layer, &random_layer->data.shape, random_layer->input, output);
}

// Runs the kernel of a plan in scratch that ends with guard bytes. Compares the output with
// `expected`.
static void check_plan(const DcsrPlan* plan, const DcsrLayer* layer, const RandomLayer* of,
                       const void* expected, uint32_t number) {
  const size_t output_bytes = of->data.output_size * of->element_bytes;
  uint8_t* scratch = (uint8_t*)allocate(plan->scratch_bytes + kGuardAfterScratch);
  memset(scratch, kGuard, plan->scratch_bytes + kGuardAfterScratch);
  uint8_t* output = (uint8_t*)allocate(output_bytes);
  memset(output, kGuard, output_bytes);
  dcsr_run(plan, layer, &of->data.shape, of->input, output,
           plan->scratch_bytes > 0 ? scratch : NULL);
  char context[64];
  snprintf(context, sizeof(context), "layer %u, kernel %d", (unsigned)number,
           (int)plan->kernel->id);
  check_equal(context, (const int8_t*)expected, (const int8_t*)output, output_bytes);
  for (size_t i = 0; i < kGuardAfterScratch; ++i) {
    CHECK(scratch[plan->scratch_bytes + i] == kGuard, "%s: byte %d behind its scratch", context,
          (int)i);
  }
  free(output);
  free(scratch);
}

// Checks the plan of the MVE class if it is for conv1x1_mve, whose twin in C runs in every build.
static void check_mve_twin(const DcsrLayer* layer, const RandomLayer* of, const void* expected,
                           size_t budget, uint32_t number, uint32_t* seen) {
  const DcsrKernels* table = dcsr_planning_table(layer->op, kDcsrClassMve);
  DcsrPlan plan;
  dcsr_plan(table, layer, &of->data.shape, budget, &plan);
  if (plan.kernel->id != kDcsrKernel_conv1x1_mve) return;
  const DcsrKernel twin = {dcsr_plan_conv1x1_mve, dcsr_conv1x1_mve, kDcsrKernel_conv1x1_mve,
                           kDcsrAnyCoding};
  plan.kernel = &twin;
  check_plan(&plan, layer, of, expected, number);
  *seen |= UINT32_C(1) << kDcsrKernel_conv1x1_mve;
}

// The kernels that a plan runs, as bits: besides its own those of the tiles of conv2d_im2col.
static uint32_t kernels_of(const DcsrPlan* plan, const DcsrLayer* layer, size_t pixels) {
  uint32_t ids = UINT32_C(1) << plan->kernel->id;
  if (plan->kernel->id != kDcsrKernel_conv2d_im2col) return ids;
  const DcsrLayer tile = dcsr_tile_layer(layer);
  const size_t sizes[] = {plan->tile_pixels, pixels % plan->tile_pixels};
  for (size_t i = 0; i < 2; ++i) {
    if (sizes[i] == 0 || sizes[i] > pixels) continue;
    const DcsrPlan inner = dcsr_plan_tile(plan->kernels, &tile, sizes[i], plan->inner_bytes,
                                          (uint32_t)plan->longest_row);
    ids |= UINT32_C(1) << inner.kernel->id;
  }
  return ids;
}

enum { kMostKernels = 8 };

// Copies the kernels `ids` of a list. With `plans_with_all`, the others are there to plan with.
static void copy_list(const DcsrKernel* list, uint32_t ids, bool plans_with_all, uint32_t codings,
                      DcsrKernel copy[kMostKernels]) {
  size_t count = 0;
  for (; list != NULL && list->plan != NULL; ++list) {
    const bool is_linked = (ids >> list->id & 1) != 0;
    if (!is_linked && !plans_with_all) continue;
    if (count + 1 == kMostKernels) abort();
    copy[count] = *list;
    copy[count].codings = is_linked ? codings : (uint32_t)kDcsrAnyCoding;
    if (!is_linked) copy[count].run = dcsr_not_linked;
    ++count;
  }
  const DcsrKernel end = {NULL, NULL, 0, 0};
  copy[count] = end;
}

// A table with only the kernels of a plan, and only for the layer's coding, gives the same plan.
// One without them, or for other codings, gives none.
static void check_parts(const DcsrKernels* table, const DcsrPlan* plan, const DcsrLayer* layer,
                        const DcsrConvShape* shape, size_t budget, uint32_t number) {
  const size_t pixels =
      (size_t)shape->batches * (size_t)shape->output_height * (size_t)shape->output_width;
  const uint32_t ids = kernels_of(plan, layer, pixels);
  const bool is_im2col = plan->kernel->id == kDcsrKernel_conv2d_im2col;
  const uint32_t coding = dcsr_coding(layer);
  DcsrKernel lists[4][kMostKernels];
  for (int variant = 0; variant < 3; ++variant) {
    const uint32_t linked = variant == 1 ? 0 : ids;
    const uint32_t codings = variant == 2 ? kDcsrAnyCoding & ~coding : coding;
    copy_list(table->pointwise, linked, is_im2col, codings, lists[0]);
    copy_list(table->larger, linked, false, codings, lists[1]);
    copy_list(table->int16, linked, false, codings, lists[2]);
    copy_list(table->planes, linked, false, codings, lists[3]);
    const DcsrKernels parts = {table->pointwise != NULL ? lists[0] : NULL,
                               table->larger != NULL ? lists[1] : NULL,
                               table->int16 != NULL ? lists[2] : NULL,
                               table->planes != NULL ? lists[3] : NULL,
                               table->longest_row,
                               table->scratch_budget,
                               table->decoders};
    DcsrPlan found;
    dcsr_plan(&parts, layer, shape, budget, &found);
    if (variant > 0) {
      CHECK(found.kernel == NULL, "layer %u: a kernel that is not linked", (unsigned)number);
      continue;
    }
    CHECK(found.kernel != NULL && found.kernel->id == plan->kernel->id &&
              found.scratch_bytes == plan->scratch_bytes,
          "layer %u: another plan with parts", (unsigned)number);
  }
}

static void check_layer(Random* random, uint32_t number, uint32_t* seen) {
  RandomLayer of = make_layer(random, number + 1);
  const PackOptions packing = make_packing(random, of.data.layer.op);
  PackedBlob blob = pack_layer(&of.data.layer, &packing);
  DcsrLayer layer;
  DcsrStatus status = dcsr_layer_parse(blob.data, blob.size, &layer);
  if (status == kDcsrOk) status = dcsr_layer_validate(&layer);
  CHECK(status == kDcsrOk, "layer %u: %s", (unsigned)number, dcsr_status_string(status));
  layer.scratch_budget = 0;
  void* expected = allocate(of.data.output_size * of.element_bytes);
  run_reference(&layer, &of, expected);
  const size_t budget = pick(random, kBudgets, sizeof(kBudgets) / sizeof(kBudgets[0]));
  ClassTables classes[5];
  const size_t count = all_classes(classes);
  for (size_t i = 0; i < count; ++i) {
    const DcsrKernels* table = table_of(classes[i].tables, layer.op);
    DcsrPlan plan;
    DcsrPlan planned;
    dcsr_plan(table, &layer, &of.data.shape, budget, &plan);
    dcsr_plan(dcsr_planning_table(layer.op, classes[i].core_class), &layer, &of.data.shape, budget,
              &planned);
    CHECK(plan.kernel != NULL && planned.kernel != NULL && plan.kernel->id == planned.kernel->id &&
              plan.scratch_bytes == planned.scratch_bytes,
          "layer %u, class %u: two plans", (unsigned)number, (unsigned)i);
    CHECK(plan.scratch_bytes <= budget, "layer %u, class %u: %lu of %lu bytes", (unsigned)number,
          (unsigned)i, (unsigned long)plan.scratch_bytes, (unsigned long)budget);
    if (plan.kernel == NULL) continue;
    *seen |= UINT32_C(1) << plan.kernel->id;
    check_plan(&plan, &layer, &of, expected, number);
    check_parts(table, &plan, &layer, &of.data.shape, budget, number);
  }
  check_mve_twin(&layer, &of, expected, budget, number, seen);
  free(expected);
  free_packed_blob(&blob);
  free_layer(&of);
}

static void test_kernels_keep_to_their_plans(void) {
  Random random = {2026};
  uint32_t seen = 0;
  for (uint32_t i = 0; i < kLayers; ++i) check_layer(&random, i, &seen);
  // All others run in every build.
  static const uint32_t kOnlyMve = UINT32_C(1) << kDcsrKernel_conv1x1_gather_mve |
                                   UINT32_C(1) << kDcsrKernel_conv2d_dense_mve |
                                   UINT32_C(1) << kDcsrKernel_depthwise_conv2d_dense_mve |
                                   UINT32_C(1) << kDcsrKernel_fully_connected_dcsr_mve |
                                   UINT32_C(1) << kDcsrKernel_fully_connected_gather_mve |
                                   UINT32_C(1) << kDcsrKernel_fully_connected_offset8_mve;
  // Of layers with a layout: planes_test.c.
  static const uint32_t kOnlyPlanes = UINT32_C(1) << kDcsrKernel_conv1x1_planes_mve |
                                      UINT32_C(1) << kDcsrKernel_conv2d_dense_planes_mve |
                                      UINT32_C(1) << kDcsrKernel_depthwise_conv2d_planes_dsp |
                                      UINT32_C(1) << kDcsrKernel_depthwise_conv2d_planes_mve |
                                      UINT32_C(1) << kDcsrKernel_depthwise_conv2d_words_mve;
  for (uint32_t id = 0; id < kDcsrKernelCount; ++id) {
    CHECK(((seen | kOnlyMve | kOnlyPlanes) >> id & 1) != 0, "kernel %u never ran", (unsigned)id);
  }
}

typedef struct {
  DcsrOp op;
  PackOptions packing;
  int32_t pixels;  // of one row; batches of a FULLY_CONNECTED
  DcsrKernelId expected;
  bool slow_gathers;
} MveChoice;

// Every build plans for MVE, but only a build for MVE runs these kernels.
static void test_mve_kernel_of_each_encoding_and_number_of_pixels(void) {
  static const PackOptions kOffset8 = {.encoding = kDcsrEncodingOffset8};
  static const PackOptions kOffset8Huffman = {.encoding = kDcsrEncodingOffset8, .huffman = true};
  static const PackOptions kBytes = {.encoding = kDcsrEncodingDcsr, .byte_deltas = true};
  static const PackOptions kEscapes = {
      .encoding = kDcsrEncodingDcsr, .byte_deltas = true, .escape_every_base = true};
  static const PackOptions kNibbles = {.encoding = kDcsrEncodingDcsr};
  static const PackOptions kRle = {.encoding = kDcsrEncodingRle};
  const MveChoice choices[] = {
      {kDcsrOpFullyConnected, kOffset8, 1, kDcsrKernel_fully_connected_offset8_mve, false},
      {kDcsrOpFullyConnected, kOffset8, 2, kDcsrKernel_fully_connected_gather_mve, false},
      {kDcsrOpFullyConnected, kOffset8Huffman, 1, kDcsrKernel_fully_connected_gather_mve, false},
      {kDcsrOpFullyConnected, kBytes, 1, kDcsrKernel_fully_connected_dcsr_mve, false},
      {kDcsrOpFullyConnected, kBytes, 2, kDcsrKernel_fully_connected_gather_mve, false},
      {kDcsrOpFullyConnected, kEscapes, 1, kDcsrKernel_fully_connected_gather_mve, false},
      {kDcsrOpFullyConnected, kNibbles, 1, kDcsrKernel_fully_connected_gather_mve, false},
      {kDcsrOpFullyConnected, kRle, 5, kDcsrKernel_fully_connected_gather_mve, false},
      {kDcsrOpConv2d, kNibbles, 12, kDcsrKernel_conv1x1_gather_mve, false},
      {kDcsrOpConv2d, kNibbles, 13, kDcsrKernel_conv1x1_mve, false},
      {kDcsrOpConv2d, kOffset8, 36, kDcsrKernel_conv1x1_gather_mve, false},
      {kDcsrOpConv2d, kOffset8, 37, kDcsrKernel_conv1x1_mve, false},
      {kDcsrOpConv2d, kRle, 36, kDcsrKernel_conv1x1_gather_mve, false},
      {kDcsrOpConv2d, kOffset8, 24, kDcsrKernel_conv1x1_gather_mve, true},
      {kDcsrOpConv2d, kOffset8, 25, kDcsrKernel_conv1x1_mve, true},
      {kDcsrOpConv2d, kOffset8Huffman, 36, kDcsrKernel_conv1x1_mve, false},
  };
  for (size_t i = 0; i < sizeof(choices) / sizeof(choices[0]); ++i) {
    const MveChoice* choice = &choices[i];
    const bool is_conv = choice->op == kDcsrOpConv2d;
    const DcsrCase c = {"choice",
                        choice->op,
                        20,
                        60,
                        is_conv ? 1 : choice->pixels,
                        1,
                        is_conv ? choice->pixels : 1,
                        1,
                        1,
                        kPatternRandom,
                        400,
                        kValuesRandom,
                        kBiasRandom,
                        0,
                        0,
                        -128,
                        127,
                        true,
                        0,
                        0};
    CaseData data = make_case(&c, 1);
    PackedBlob blob = pack_layer(&data.layer, &choice->packing);
    DcsrLayer layer;
    DcsrStatus status = dcsr_layer_parse(blob.data, blob.size, &layer);
    if (status == kDcsrOk) status = dcsr_layer_validate(&layer);
    CHECK(status == kDcsrOk, "choice %u: %s", (unsigned)i, dcsr_status_string(status));
    layer.slow_gathers = choice->slow_gathers;
    const DcsrKernels* table = dcsr_planning_table(choice->op, kDcsrClassMve);
    DcsrPlan plan;
    dcsr_plan(table, &layer, &data.shape, dcsr_scratch_budget(table, &layer), &plan);
    CHECK(plan.kernel != NULL && plan.kernel->id == (int32_t)choice->expected,
          "choice %u: kernel %d, expected %d", (unsigned)i,
          plan.kernel != NULL ? (int)plan.kernel->id : -1, (int)choice->expected);
    free_packed_blob(&blob);
    free_case(&data);
  }
}

// Every build plans for MVE, as above.
static void test_mve_kernel_of_dense_weights(void) {
  static const struct {
    DcsrOp op;
    uint32_t channels;
    uint32_t multiplier;  // of a depthwise convolution
    uint32_t filter;
    PackOptions packing;
    DcsrKernelId expected;
  } kChoices[] = {
      {kDcsrOpConv2d, 3, 0, 3, {.encoding = kDcsrEncodingDense}, kDcsrKernel_conv2d_dense_mve},
      {kDcsrOpConv2d, 3, 0, 4, {.encoding = kDcsrEncodingDense}, kDcsrKernel_conv2d_dense_mve},
      {kDcsrOpConv2d, 6, 0, 3, {.encoding = kDcsrEncodingDense}, kDcsrKernel_conv2d_im2col},
      {kDcsrOpConv2d, 3, 0, 3, {.encoding = kDcsrEncodingBitmap}, kDcsrKernel_conv2d_im2col},
      {kDcsrOpConv2d,
       3,
       0,
       3,
       {.encoding = kDcsrEncodingDense, .huffman = true},
       kDcsrKernel_conv2d_im2col},
      {kDcsrOpDepthwiseConv2d,
       20,
       1,
       3,
       {.encoding = kDcsrEncodingDense},
       kDcsrKernel_depthwise_conv2d_dense_mve},
      {kDcsrOpDepthwiseConv2d,
       20,
       2,
       3,
       {.encoding = kDcsrEncodingDense},
       kDcsrKernel_depthwise_conv2d_ref},
      {kDcsrOpDepthwiseConv2d,
       1,
       8,
       5,
       {.encoding = kDcsrEncodingDense},
       kDcsrKernel_conv2d_dense_mve},
      {kDcsrOpDepthwiseConv2d,
       20,
       1,
       3,
       {.encoding = kDcsrEncodingOffset8},
       kDcsrKernel_depthwise_conv2d_ref},
      {kDcsrOpDepthwiseConv2d,
       20,
       1,
       17,
       {.encoding = kDcsrEncodingDense},
       kDcsrKernel_depthwise_conv2d_ref},
  };
  for (size_t i = 0; i < sizeof(kChoices) / sizeof(kChoices[0]); ++i) {
    const bool is_depthwise = kChoices[i].op == kDcsrOpDepthwiseConv2d;
    const uint32_t filter = kChoices[i].filter;
    const Window window = {filter, filter, 1, 1, true};
    DcsrCase c;
    memset(&c, 0, sizeof(c));
    c.op = kChoices[i].op;
    c.rows = is_depthwise ? kChoices[i].channels * kChoices[i].multiplier : 10;
    c.cols = filter * filter * (is_depthwise ? 1 : kChoices[i].channels);
    c.batches = 1;
    c.input_height = c.input_width = 9;
    c.stride_h = c.stride_w = 1;
    c.nonzero_permille = 500;
    c.activation_max = 127;
    c.per_row = true;
    CaseData data = is_depthwise ? make_depthwise_case(&c, &window, kChoices[i].multiplier, 1)
                                 : make_window_case(&c, &window, 1);
    PackedBlob blob = pack_layer(&data.layer, &kChoices[i].packing);
    DcsrLayer layer;
    DcsrStatus status = dcsr_layer_parse(blob.data, blob.size, &layer);
    if (status == kDcsrOk) status = dcsr_layer_validate(&layer);
    CHECK(status == kDcsrOk, "choice %u: %s", (unsigned)i, dcsr_status_string(status));
    const DcsrKernels* table = dcsr_planning_table(c.op, kDcsrClassMve);
    DcsrPlan plan;
    dcsr_plan(table, &layer, &data.shape, dcsr_scratch_budget(table, &layer), &plan);
    CHECK(plan.kernel != NULL && plan.kernel->id == (int32_t)kChoices[i].expected,
          "choice %u: kernel %d, expected %d", (unsigned)i,
          plan.kernel != NULL ? (int)plan.kernel->id : -1, (int)kChoices[i].expected);
    free_packed_blob(&blob);
    free_case(&data);
  }
}

static void test_mve_blocks_have_no_surplus_vector(void) {
  static const struct {
    size_t first;
    size_t pixels;
    uint32_t width;
  } kBlocks[] = {
      {0, 7, 8},   {0, 8, 8},   {0, 9, 8},    {0, 16, 16},  {0, 24, 16}, {0, 31, 16}, {0, 32, 32},
      {7, 32, 32}, {8, 32, 16}, {24, 40, 16}, {31, 40, 16}, {32, 40, 8}, {33, 40, 8}, {16, 32, 16},
  };
  for (size_t i = 0; i < sizeof(kBlocks) / sizeof(kBlocks[0]); ++i) {
    const uint32_t width =
        dcsr_conv1x1_mve_block_width(kBlocks[i].first, kBlocks[i].pixels, kDcsrMveBlockPixels);
    CHECK(width == kBlocks[i].width, "pixel %u of %u: a block of %u pixels, expected %u",
          (unsigned)kBlocks[i].first, (unsigned)kBlocks[i].pixels, (unsigned)width,
          (unsigned)kBlocks[i].width);
  }
}

int main(void) {
  RUN_TEST(test_kernels_keep_to_their_plans);
  RUN_TEST(test_mve_kernel_of_each_encoding_and_number_of_pixels);
  RUN_TEST(test_mve_kernel_of_dense_weights);
  RUN_TEST(test_mve_blocks_have_no_surplus_vector);
  return check_exit_status();
}
