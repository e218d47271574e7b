// Tests the adapter for TFLM's headers: registration, results for the kernels' table of layers, and
// rejected models. It is compiled with each generation of the fake headers (fake/fake_tflm.h).

#include "ops/tflm/tflm_ops.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <type_traits>

#include "ops/tflm/testing/one_node_context.h"
#include "tflm_kernels/testing/cases.h"
#include "tflm_kernels/testing/check.h"
#include "tflm_kernels/testing/conv2d_cases.h"
#include "tflm_kernels/testing/depthwise_conv2d_cases.h"
#include "tflm_kernels/testing/layers.h"
#include "tflm_kernels/testing/pack.h"

namespace {

char last_message[160];
int message_count;

}  // namespace

void MicroPrintf(const char* format, ...) {
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(last_message, sizeof(last_message), format, arguments);
  va_end(arguments);
  ++message_count;
}

namespace dcsr::tflm {
namespace {

alignas(16) uint8_t arena[1 << 20];

const TFLMRegistration& OpOf(const MicroMutableOpResolver<3>& resolver, DcsrOp op) {
  static const char* const kNames[] = {kConv2dName, kFullyConnectedName, kDepthwiseConv2dName};
  const TFLMRegistration* found = resolver.FindOp(kNames[op - kDcsrOpConv2d]);
  if (found == nullptr) abort();
  return *found;
}

// A valid node in a context.
struct Fixture {
  CaseData data;
  PackedBlob blob;
  int8_t* output;
  MicroMutableOpResolver<3> resolver;
  OneNodeContext context;

  explicit Fixture(const CaseData& case_data) : data(case_data) {
    PackOptions options = {};
    options.encoding = kDcsrEncodingDcsr;
    blob = pack_layer(&data.layer, &options);
    output = static_cast<int8_t*>(malloc(data.output_size));
    if (output == nullptr || AddDcsrOps(resolver) != kTfLiteOk) abort();
    message_count = 0;

    const DenseLayer& layer = data.layer;
    const DcsrConvShape& shape = data.shape;
    const int rows = static_cast<int>(layer.rows);
    const int pixels = shape.batches * shape.input_height * shape.input_width;
    const int channels = static_cast<int>(data.input_size) / pixels;
    context.SetArena(arena, sizeof(arena));
    context.SetTensor(kPackedLayer, kTfLiteInt8, {static_cast<int>(blob.size)}, 0, blob.data);
    if (layer.op != kDcsrOpFullyConnected) {
      context.SetTensor(kInput, kTfLiteInt8,
                        {shape.batches, shape.input_height, shape.input_width, channels},
                        layer.input_zero_point, data.input);
      context.SetTensor(kOutput, kTfLiteInt8,
                        {shape.batches, shape.output_height, shape.output_width, rows},
                        layer.output_zero_point, output);
    } else {
      context.SetTensor(kInput, kTfLiteInt8, {shape.batches, channels}, layer.input_zero_point,
                        data.input);
      context.SetTensor(kOutput, kTfLiteInt8, {shape.batches, rows}, layer.output_zero_point,
                        output);
    }
  }

  Fixture(const Fixture&) = delete;
  Fixture& operator=(const Fixture&) = delete;

  ~Fixture() {
    free(output);
    free_packed_blob(&blob);
    free_case(&data);
  }

  const TFLMRegistration& Op() const { return OpOf(resolver, data.layer.op); }
};

void check_case(const char* name, const CaseData& data) {
  Fixture fixture(data);
  CHECK(fixture.context.Prepare(fixture.Op()) == kTfLiteOk, "'%s': %s", name, last_message);
  CHECK(fixture.context.tensors_not_given_back() == 0, "'%s'", name);
  int8_t* expected = static_cast<int8_t*>(malloc(data.output_size));
  if (expected == nullptr) abort();
  dense_oracle(&data, expected);
  // As in an interpreter: prepare once, invoke repeatedly.
  for (int run = 0; run < 2; ++run) {
    memset(fixture.output, 0x5A, data.output_size);
    CHECK(fixture.context.Invoke(fixture.Op()) == kTfLiteOk, "'%s': %s", name, last_message);
    check_equal(name, expected, fixture.output, data.output_size);
  }
  CHECK(message_count == 0, "'%s': %s", name, last_message);
  free(expected);
}

void test_every_layer_equals_dense_loop() {
  for (size_t i = 0; i < kDcsrCaseCount; ++i) {
    check_case(kDcsrCases[i].name, make_case(&kDcsrCases[i], 1));
  }
  for (size_t i = 0; i < kDcsrConv2dCaseCount; ++i) {
    const DcsrConv2dCase& c = kDcsrConv2dCases[i];
    check_case(c.layer.name, make_window_case(&c.layer, &c.window, 1));
  }
  for (size_t i = 0; i < kDcsrDepthwiseConv2dCaseCount; ++i) {
    const DcsrDepthwiseConv2dCase& c = kDcsrDepthwiseConv2dCases[i];
    check_case(c.layer.name, make_depthwise_case(&c.layer, &c.window, c.depth_multiplier, 1));
  }
}

void test_resolver_of_any_size_gets_all_ops() {
  MicroMutableOpResolver<3> small;
  MicroMutableOpResolver<200> large;
  CHECK(AddDcsrOps(small) == kTfLiteOk, "3");
  CHECK(AddDcsrOps(large) == kTfLiteOk, "200");
  for (const char* name : {"DCSR_CONV_2D", "DCSR_FULLY_CONNECTED", "DCSR_DEPTHWISE_CONV_2D"}) {
    CHECK(small.FindOp(name) != nullptr, "%s", name);
    CHECK(large.FindOp(name) != nullptr, "%s", name);
  }
}

void test_ops_are_added_one_by_one() {
  MicroMutableOpResolver<1> conv2d;
  CHECK(AddDcsrConv2d(conv2d) == kTfLiteOk && conv2d.FindOp("DCSR_CONV_2D") != nullptr, "1");
  CHECK(AddDcsrFullyConnected(conv2d) == kTfLiteError, "no room");
  MicroMutableOpResolver<1> fully_connected;
  CHECK(AddDcsrFullyConnected(fully_connected) == kTfLiteOk &&
            fully_connected.FindOp("DCSR_FULLY_CONNECTED") != nullptr,
        "2");
  MicroMutableOpResolver<2> depthwise_conv2d;
  CHECK(AddDcsrDepthwiseConv2d(depthwise_conv2d) == kTfLiteOk &&
            depthwise_conv2d.FindOp("DCSR_DEPTHWISE_CONV_2D") != nullptr,
        "3");
  CHECK(AddDcsrDepthwiseConv2d(depthwise_conv2d) == kTfLiteError, "twice");
}

void test_resolver_without_room_and_second_registration_are_errors() {
  MicroMutableOpResolver<2> full;
  CHECK(AddDcsrOps(full) == kTfLiteError, "no room for three");
  MicroMutableOpResolver<6> resolver;
  CHECK(AddDcsrOps(resolver) == kTfLiteOk, "once");
  CHECK(AddDcsrOps(resolver) == kTfLiteError, "twice");
}

void test_registrations_are_of_the_headers_types() {
  static_assert(std::is_same_v<decltype(Register_DCSR_CONV_2D()), TFLMRegistration>);
  static_assert(std::is_same_v<decltype(Register_DCSR_FULLY_CONNECTED()), TFLMRegistration>);
  static_assert(std::is_same_v<decltype(Register_DCSR_DEPTHWISE_CONV_2D()), TFLMRegistration>);
  MicroMutableOpResolver<1> resolver;
  static_assert(std::is_same_v<decltype(AddDcsrOps(resolver)), TfLiteStatus>);
  const TFLMRegistration conv2d = Register_DCSR_CONV_2D();
  const TFLMRegistration fully_connected = Register_DCSR_FULLY_CONNECTED();
  CHECK(conv2d.prepare != nullptr && conv2d.invoke != nullptr, "CONV_2D");
  CHECK(conv2d.prepare != fully_connected.prepare, "the same op twice");
}

size_t scratch_bytes(const Fixture& fixture) {
  DcsrLayer layer;
  if (dcsr_layer_parse(fixture.blob.data, fixture.blob.size, &layer) != kDcsrOk) abort();
  if (layer.op != kDcsrOpConv2d) return 0;
  const DcsrKernels* kernels = dcsr_conv2d_kernels();
  const size_t budget = dcsr_scratch_budget(kernels, &layer);
  DcsrPlan plan;
  dcsr_plan(kernels, &layer, &fixture.data.shape, budget, &plan);
  return plan.scratch_bytes;
}

// Checks that Prepare fails with this message only, and releases every tensor.
void check_refused(Fixture* fixture, const char* message) {
  CHECK(fixture->context.Prepare(fixture->Op()) == kTfLiteError, "%s", message);
  CHECK(message_count == 1 && strcmp(last_message, message) == 0, "%d: '%s' instead of '%s'",
        message_count, last_message, message);
  CHECK(fixture->context.tensors_not_given_back() == 0, "%s", message);
}

constexpr DcsrCase kConv = {
    "conv", kDcsrOpConv2d, 6,           15,  2, 7,    13,  1,    2, kPatternRandom,
    400,    kValuesRandom, kBiasRandom, -20, 8, -128, 127, true, 0, 0};

void test_refusals_are_logged_and_keep_no_tensor() {
  struct {
    const char* message;
    void (*spoil)(Fixture*);
  } const refusals[] = {
      {"DCSR_CONV_2D: input: is missing or unreadable",
       [](Fixture* f) { f->context.OmitInput(kInput); }},
      {"DCSR_CONV_2D: packed layer: is missing or unreadable",
       [](Fixture* f) { f->context.OmitInput(kPackedLayer); }},
      {"DCSR_CONV_2D: input: is missing or unreadable",
       [](Fixture* f) { f->context.AllowTensors(false); }},
      {"DCSR_CONV_2D: input: is neither int8 nor int16",
       [](Fixture* f) {
         f->context.SetTensor(kInput, kTfLiteInt32, {2, 7, 13, 15}, -20, f->data.input);
       }},
      {"DCSR_CONV_2D: input: its type is not that of the packed layer's activations",
       [](Fixture* f) {
         f->context.SetTensor(kInput, kTfLiteInt16, {2, 7, 13, 15}, -20, f->data.input);
       }},
      {"DCSR_CONV_2D: packed layer: is not constant",
       [](Fixture* f) { f->context.MakeWritable(kPackedLayer); }},
      {"DCSR_CONV_2D: packed layer: is not constant",
       [](Fixture* f) {
         f->context.SetTensor(kPackedLayer, kTfLiteInt8, {static_cast<int>(f->blob.size)}, 0,
                              nullptr);
       }},
      {"DCSR_CONV_2D: output: its zero point is not that of the packed layer",
       [](Fixture* f) { f->context.SetTensor(kOutput, kTfLiteInt8, {2, 7, 7, 6}, 9, f->output); }},
      {"DCSR_CONV_2D: memory: there is none for the state",
       [](Fixture* f) {
         // The arena has room only for the kernel's scratch.
         f->context.SetArena(arena, scratch_bytes(*f));
       }},
  };
  for (const auto& refusal : refusals) {
    Fixture fixture(make_case(&kConv, 1));
    refusal.spoil(&fixture);
    check_refused(&fixture, refusal.message);
  }
}

// Prepare names the registration that a node with a third input needs, and that takes it.
void test_shared_rows_need_their_own_registration() {
  Fixture fixture(make_case(&kConv, 1));
  fixture.context.AddThirdInput(kPackedLayer);
  check_refused(&fixture,
                "DCSR_CONV_2D: inputs: are not two: shared rows need AddDcsrOpsWithSharedRows");

  MicroMutableOpResolver<3> resolver;
  CHECK(AddDcsrOpsWithSharedRows(resolver) == kTfLiteOk, "with shared rows");
  CHECK(AddDcsrOpsWithSharedRows(resolver) == kTfLiteError, "twice");
  const TFLMRegistration& op = OpOf(resolver, kDcsrOpConv2d);
  CHECK(op.prepare != fixture.Op().prepare && op.invoke != fixture.Op().invoke, "CONV_2D");
  const TFLMRegistration& other = OpOf(resolver, kDcsrOpFullyConnected);
  CHECK(other.prepare != OpOf(fixture.resolver, kDcsrOpFullyConnected).prepare, "FULLY_CONNECTED");
  const TFLMRegistration& depthwise = OpOf(resolver, kDcsrOpDepthwiseConv2d);
  CHECK(depthwise.prepare != OpOf(fixture.resolver, kDcsrOpDepthwiseConv2d).prepare, "DEPTHWISE");
  message_count = 0;
  // The node has a packed layer of version 1.
  CHECK(fixture.context.Prepare(op) == kTfLiteError, "version 1");
  CHECK(strcmp(last_message, "DCSR_CONV_2D: packed layer: is of an unknown version") == 0, "%s",
        last_message);
  CHECK(fixture.context.tensors_not_given_back() == 0, "tensors");
}

void test_refused_scratch_is_an_error() {
  int checked = 0;
  for (size_t i = 0; i < kDcsrCaseCount; ++i) {
    Fixture fixture(make_case(&kDcsrCases[i], 1));
    // The host's portable kernels need no scratch.
    if (scratch_bytes(fixture) == 0) continue;
    fixture.context.AllowScratch(false);
    check_refused(&fixture, "DCSR_CONV_2D: memory: there is none for the scratch buffer");
    ++checked;
  }
#if defined(__ARM_FEATURE_MVE)
  CHECK(checked > 0, "no layer of the table needs scratch");
#else
  printf("       (refused scratch: %d layers)\n", checked);
#endif
}

}  // namespace
}  // namespace dcsr::tflm

int main() {
  using namespace dcsr::tflm;  // NOLINT
  RUN_TEST(test_every_layer_equals_dense_loop);
  RUN_TEST(test_resolver_of_any_size_gets_all_ops);
  RUN_TEST(test_ops_are_added_one_by_one);
  RUN_TEST(test_resolver_without_room_and_second_registration_are_errors);
  RUN_TEST(test_registrations_are_of_the_headers_types);
  RUN_TEST(test_refusals_are_logged_and_keep_no_tensor);
  RUN_TEST(test_shared_rows_need_their_own_registration);
  RUN_TEST(test_refused_scratch_is_an_error);
  return check_exit_status();
}
