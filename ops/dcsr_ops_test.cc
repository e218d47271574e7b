// Tests the ops in the test runner: results for the kernels' tables of layers, and rejected models.

#include "ops/dcsr_ops.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ops/testing/test_runner.h"
#include "tflm_kernels/kernel_parts.h"
#include "tflm_kernels/testing/cases.h"
#include "tflm_kernels/testing/check.h"
#include "tflm_kernels/testing/conv2d_cases.h"
#include "tflm_kernels/testing/depthwise_conv2d_cases.h"
#include "tflm_kernels/testing/layers.h"
#include "tflm_kernels/testing/pack.h"

namespace dcsr {
namespace {

alignas(16) uint8_t arena[1 << 20];

// Which of the two registrations the tests use.
bool with_shared_rows = false;

// The functions of an op, in the order of DcsrOp.
constexpr struct {
  const char* name;
  bool (*prepare)(Port*);
  bool (*invoke)(Port*);
  bool (*prepare_shared)(Port*);
  bool (*invoke_shared)(Port*);
} kOps[] = {
    {kConv2dName, PrepareConv2d, InvokeConv2d, PrepareConv2dWithSharedRows,
     InvokeConv2dWithSharedRows},
    {kFullyConnectedName, PrepareFullyConnected, InvokeFullyConnected,
     PrepareFullyConnectedWithSharedRows, InvokeFullyConnectedWithSharedRows},
    {kDepthwiseConv2dName, PrepareDepthwiseConv2d, InvokeDepthwiseConv2d,
     PrepareDepthwiseConv2dWithSharedRows, InvokeDepthwiseConv2dWithSharedRows},
};

bool Prepare(DcsrOp op, Port* port) {
  const auto& functions = kOps[op - kDcsrOpConv2d];
  return with_shared_rows ? functions.prepare_shared(port) : functions.prepare(port);
}

bool Invoke(DcsrOp op, Port* port) {
  const auto& functions = kOps[op - kDcsrOpConv2d];
  return with_shared_rows ? functions.invoke_shared(port) : functions.invoke(port);
}

const char* WrongInputs() {
  return with_shared_rows ? "inputs: are not two or three: activations, packed layer, shared rows"
                          : "inputs: are not two: shared rows need AddDcsrOpsWithSharedRows";
}

// A valid node that tests then modify.
struct Fixture {
  CaseData data;
  PackedBlob blob;
  int8_t* expected;
  int8_t* output;
  TestTensor inputs[3];
  TestTensor outputs[2];
  int32_t input_count = 2;
  int32_t output_count = 1;
  size_t arena_bytes = sizeof(arena);

  explicit Fixture(const DcsrCase& layer_case, DcsrEncoding encoding, bool compact_rows = false)
      : Fixture(make_case(&layer_case, 1), encoding, compact_rows) {}

  Fixture(const DcsrConv2dCase& conv_case, DcsrEncoding encoding, bool compact_rows = false)
      : Fixture(make_window_case(&conv_case.layer, &conv_case.window, 1), encoding, compact_rows) {}

  Fixture(const DcsrDepthwiseConv2dCase& c, DcsrEncoding encoding, bool compact_rows = false)
      : Fixture(make_depthwise_case(&c.layer, &c.window, c.depth_multiplier, 1), encoding,
                compact_rows) {}

  Fixture(const CaseData& case_data, DcsrEncoding encoding, bool compact_rows) : data(case_data) {
    PackOptions options = {};
    options.encoding = encoding;
    options.compact_rows = compact_rows;
    blob = pack_layer(&data.layer, &options);
    expected = static_cast<int8_t*>(malloc(data.output_size));
    output = static_cast<int8_t*>(malloc(data.output_size));
    if (expected == nullptr || output == nullptr) abort();
    dense_oracle(&data, expected);

    const DenseLayer& layer = data.layer;
    const DcsrConvShape& shape = data.shape;
    const auto rows = static_cast<int32_t>(layer.rows);
    const auto cols = static_cast<int32_t>(layer.cols);
    if (layer.op != kDcsrOpFullyConnected) {
      const auto pixels =
          static_cast<size_t>(shape.batches) * shape.input_height * shape.input_width;
      const auto channels = static_cast<int32_t>(data.input_size / pixels);
      inputs[0] = Int8Tensor({shape.batches, shape.input_height, shape.input_width, channels},
                             layer.input_zero_point, data.input);
      outputs[0] = Int8Tensor({shape.batches, shape.output_height, shape.output_width, rows},
                              layer.output_zero_point, output);
    } else {
      inputs[0] = Int8Tensor({shape.batches, cols}, layer.input_zero_point, data.input);
      outputs[0] = Int8Tensor({shape.batches, rows}, layer.output_zero_point, output);
    }
    inputs[1] = ConstantTensor(blob.data, blob.size);
    inputs[2] = inputs[1];
    outputs[1] = outputs[0];
  }

  Fixture(const Fixture&) = delete;
  Fixture& operator=(const Fixture&) = delete;

  ~Fixture() {
    free(output);
    free(expected);
    free_packed_blob(&blob);
    free_case(&data);
  }

  TestRunner MakeRunner() const {
    return TestRunner(inputs, input_count, outputs, output_count, arena, arena_bytes);
  }

  // Overwrites a field of the packed layer's header.
  void SetByte(size_t offset, uint8_t value) { blob.data[offset] = value; }

  void SetFilter(uint8_t height, uint8_t width) {
    const uint8_t fields[] = {height, width, 1, 1};
    memcpy(blob.data + 60, fields, sizeof(fields));
  }
};

// A valid node with shared rows. The weight scale of row r is 2^-(5 + r % 4), input and output have
// the same scale.
struct SharedFixture : Fixture {
  SharedBlobs blobs;

  SharedFixture(const DcsrCase& layer_case, DcsrEncoding encoding) : Fixture(layer_case, encoding) {
    constexpr uint32_t kRows = 16;
    uint32_t weight_scale[kRows];
    if (data.layer.rows > kRows) abort();
    for (uint32_t r = 0; r < data.layer.rows; ++r) {
      const uint32_t exponent = 5 + r % 4;
      weight_scale[r] = (127 - exponent) << 23;
      data.multiplier[r] = 1 << 30;
      data.shift[r] = static_cast<int8_t>(1 - static_cast<int>(exponent));
    }
    dense_oracle(&data, expected);
    PackOptions options = {};
    options.encoding = encoding;
    const SharedScales scales = {weight_scale, uint64_t{1} << 47, 1, true};
    blobs = pack_shared_layer(&data.layer, &options, &scales);
    inputs[1] = ConstantTensor(blobs.own.data, blobs.own.size);
    inputs[2] = ConstantTensor(blobs.shared.data, blobs.shared.size);
    input_count = 3;
  }

  SharedFixture(const SharedFixture&) = delete;
  SharedFixture& operator=(const SharedFixture&) = delete;

  ~SharedFixture() { free_shared_blobs(&blobs); }
};

constexpr DcsrCase kConv = {
    "conv", kDcsrOpConv2d, 6,           15,  2, 7,    13,  1,    2, kPatternRandom,
    400,    kValuesRandom, kBiasRandom, -20, 8, -128, 127, true, 0, 0};
constexpr DcsrCase kFullyConnected = {
    "fully connected", kDcsrOpFullyConnected, 7,  65, 2,    1,   1,    1, 1, kPatternRandom, 200,
    kValuesRandom,     kBiasRandom,           40, 5,  -128, 127, true, 0, 0};

// `Case` is DcsrCase, DcsrConv2dCase or DcsrDepthwiseConv2dCase.
template <typename Case>
void check_case(const char* name, const Case& layer_case, DcsrEncoding encoding,
                bool compact_rows = false) {
  Fixture fixture(layer_case, encoding, compact_rows);
  TestRunner runner = fixture.MakeRunner();
  const DcsrOp op = fixture.data.layer.op;
  const bool prepared = Prepare(op, &runner);
  CHECK(prepared, "'%s', encoding %d: %s", name, encoding, runner.log());
  if (!prepared) return;
  // As in an interpreter: prepare once, invoke repeatedly.
  for (int run = 0; run < 2; ++run) {
    memset(fixture.output, 0x5A, fixture.data.output_size);
    CHECK(Invoke(op, &runner), "'%s', encoding %d: %s", name, encoding, runner.log());
    check_equal(name, fixture.expected, fixture.output, fixture.data.output_size);
  }
  CHECK(runner.error_count() == 0, "%s", runner.log());
}

// A layer with int16 activations.
void check_int16_case(const DcsrCase& layer_case, const Window& window, DcsrEncoding encoding) {
  Int16Case c = make_int16_case(&layer_case, &window, 1);
  const DenseLayer& layer = c.data.layer;
  const DcsrConvShape& shape = c.data.shape;
  PackOptions options = {};
  options.encoding = encoding;
  PackedBlob blob = pack_layer(&layer, &options);
  const size_t bytes = c.data.output_size * sizeof(int16_t);
  auto* expected = static_cast<int16_t*>(malloc(bytes));
  auto* output = static_cast<int16_t*>(malloc(bytes));
  if (expected == nullptr || output == nullptr) abort();
  int16_dense_oracle(&c.data, c.input, expected);
  memset(output, 0x5A, bytes);

  const auto rows = static_cast<int32_t>(layer.rows);
  const int32_t pixels = shape.batches * shape.input_height * shape.input_width;
  const auto channels = static_cast<int32_t>(c.data.input_size) / pixels;
  const bool is_conv = layer.op == kDcsrOpConv2d;
  const TestTensor inputs[] = {
      is_conv ? Int16Tensor({shape.batches, shape.input_height, shape.input_width, channels}, 0,
                            c.input)
              : Int16Tensor({shape.batches, channels}, 0, c.input),
      ConstantTensor(blob.data, blob.size)};
  const TestTensor outputs[] = {
      is_conv
          ? Int16Tensor({shape.batches, shape.output_height, shape.output_width, rows}, 0, output)
          : Int16Tensor({shape.batches, rows}, 0, output)};
  TestRunner runner(inputs, 2, outputs, 1, arena, sizeof(arena));
  CHECK(Prepare(layer.op, &runner) && Invoke(layer.op, &runner), "'%s', int16: %s", layer_case.name,
        runner.log());
  CHECK(memcmp(expected, output, bytes) == 0, "'%s', int16, encoding %d", layer_case.name,
        encoding);
  free(output);
  free(expected);
  free_packed_blob(&blob);
  free_int16_case(&c);
}

void test_every_layer_with_int16_activations_equals_dense_loop() {
  for (size_t i = 0; i < kDcsrCaseCount; ++i) {
    check_int16_case(kDcsrCases[i], Window{}, kDcsrEncodingDcsr);
  }
  for (size_t i = 0; i < kDcsrConv2dCaseCount; ++i) {
    check_int16_case(kDcsrConv2dCases[i].layer, kDcsrConv2dCases[i].window, kDcsrEncodingRle);
  }
}

void test_every_layer_equals_dense_loop() {
  for (size_t i = 0; i < kDcsrCaseCount; ++i) {
    const DcsrCase& layer_case = kDcsrCases[i];
    for (size_t k = 0; k < kEncodingCount; ++k) {
      check_case(layer_case.name, layer_case, kPackings[k].encoding);
    }
  }
  for (size_t i = 0; i < kDcsrConv2dCaseCount; ++i) {
    const DcsrConv2dCase& conv_case = kDcsrConv2dCases[i];
    for (size_t k = 0; k < kEncodingCount; ++k) {
      check_case(conv_case.layer.name, conv_case, kPackings[k].encoding);
    }
  }
  for (size_t i = 0; i < kDcsrDepthwiseConv2dCaseCount; ++i) {
    const DcsrDepthwiseConv2dCase& depthwise_case = kDcsrDepthwiseConv2dCases[i];
    for (size_t k = 0; k < kEncodingCount; ++k) {
      check_case(depthwise_case.layer.name, depthwise_case, kPackings[k].encoding);
    }
  }
}

void test_every_layer_with_compact_rows_equals_dense_loop() {
  for (size_t i = 0; i < kDcsrCaseCount; ++i) {
    check_case(kDcsrCases[i].name, kDcsrCases[i], kDcsrEncodingRice, true);
  }
  for (size_t i = 0; i < kDcsrConv2dCaseCount; ++i) {
    check_case(kDcsrConv2dCases[i].layer.name, kDcsrConv2dCases[i], kDcsrEncodingDcsr, true);
  }
}

void test_fully_connected_takes_inputs_and_outputs_of_any_rank() {
  for (const int32_t rank : {1, 3, 8}) {
    Fixture fixture(kFullyConnected, kDcsrEncodingDcsr);
    TensorInfo& input = fixture.inputs[0].info;
    TensorInfo& output = fixture.outputs[0].info;
    if (rank == 1) {
      input.rank = 1;
      input.dims[0] = 2 * 65;
    } else {
      input.rank = output.rank = rank;
      for (int32_t i = 0; i < rank; ++i) input.dims[i] = output.dims[i] = 1;
      input.dims[rank - 2] = output.dims[0] = 2;
      input.dims[rank - 1] = 65;
      output.dims[rank - 1] = 7;
    }
    TestRunner runner = fixture.MakeRunner();
    CHECK(Prepare(kDcsrOpFullyConnected, &runner) && Invoke(kDcsrOpFullyConnected, &runner),
          "rank %d: %s", rank, runner.log());
    check_equal("rank", fixture.expected, fixture.output, fixture.data.output_size);
  }
}

void test_memory_is_a_few_bytes_of_state_and_what_the_kernel_asks_for() {
  for (const DcsrCase* layer_case : {&kConv, &kFullyConnected}) {
    Fixture fixture(*layer_case, kDcsrEncodingDcsr);
    TestRunner runner = fixture.MakeRunner();
    CHECK(Prepare(layer_case->op, &runner), "%s", runner.log());
    CHECK(runner.state_bytes() == kStateBytes && kStateBytes <= 16, "%lu",
          static_cast<unsigned long>(runner.state_bytes()));
    DcsrLayer layer;
    CHECK(dcsr_layer_parse(fixture.blob.data, fixture.blob.size, &layer) == kDcsrOk, "parse");
    const bool is_conv = layer_case->op == kDcsrOpConv2d;
    const DcsrKernels* kernels = is_conv ? dcsr_conv2d_kernels() : dcsr_fully_connected_kernels();
    const DcsrConvShape shape = is_conv ? fixture.data.shape : dcsr_fully_connected_shape(2);
    DcsrPlan plan;
    dcsr_plan(kernels, &layer, &shape, dcsr_scratch_budget(kernels, &layer), &plan);
    CHECK(runner.scratch_bytes() == plan.scratch_bytes, "%lu",
          static_cast<unsigned long>(runner.scratch_bytes()));
  }
}

struct Refusal {
  const DcsrCase* layer_case;
  const char* message;  // after the name of the op
  void (*spoil)(Fixture*);
};

constexpr Refusal kRefusals[] = {
    {&kConv, "outputs: are not one", [](Fixture* f) { f->output_count = 0; }},
    {&kFullyConnected, "outputs: are not one", [](Fixture* f) { f->output_count = 2; }},
    {&kConv, "input: is missing or unreadable", [](Fixture* f) { f->inputs[0].is_missing = true; }},
    {&kConv, "packed layer: is missing or unreadable",
     [](Fixture* f) { f->inputs[1].is_missing = true; }},
    {&kConv, "output: is missing or unreadable",
     [](Fixture* f) { f->outputs[0].is_missing = true; }},
    {&kConv, "input: is neither int8 nor int16",
     [](Fixture* f) { f->inputs[0].info.type = TensorType::kOther; }},
    {&kConv, "packed layer: is not int8",
     [](Fixture* f) { f->inputs[1].info.type = TensorType::kOther; }},
    {&kConv, "packed layer: is not int8",
     [](Fixture* f) {
       f->inputs[1] = Int16Tensor({static_cast<int32_t>(f->blob.size / 2)}, 0, f->blob.data);
     }},
    {&kConv, "output: is neither int8 nor int16",
     [](Fixture* f) { f->outputs[0].info.type = TensorType::kOther; }},
    {&kFullyConnected, "input: its type is not that of the packed layer's activations",
     [](Fixture* f) { f->inputs[0] = Int16Tensor({2, 65}, 40, f->data.input); }},
    {&kFullyConnected, "output: its type is not that of the packed layer's activations",
     [](Fixture* f) { f->outputs[0] = Int16Tensor({2, 7}, 5, f->output); }},
    {&kConv, "output: is constant",
     [](Fixture* f) { f->outputs[0].info.constant_data = f->output; }},

    // Invalid shapes.
    {&kConv, "input: has an impossible shape", [](Fixture* f) { f->inputs[0].info.rank = 0; }},
    {&kConv, "input: has an impossible shape", [](Fixture* f) { f->inputs[0].info.rank = -1; }},
    {&kConv, "output: has an impossible shape", [](Fixture* f) { f->outputs[0].info.rank = 9; }},
    {&kConv, "input: has an impossible shape", [](Fixture* f) { f->inputs[0].info.dims[1] = 0; }},
    {&kConv, "output: has an impossible shape",
     [](Fixture* f) { f->outputs[0].info.dims[0] = -2; }},
    {&kConv, "input: has an impossible shape", [](Fixture* f) { ++f->inputs[0].info.bytes; }},
    {&kConv, "packed layer: has an impossible shape",
     [](Fixture* f) { f->inputs[1].info.dims[0] = -1; }},
    {&kConv, "packed layer: has an impossible shape",
     [](Fixture* f) { f->inputs[1].info.bytes = SIZE_MAX; }},
    {&kFullyConnected, "input: has an impossible shape",
     [](Fixture* f) {  // 2^64 elements
       TensorInfo& input = f->inputs[0].info;
       input.rank = 4;
       for (int32_t& dim : input.dims) dim = 1 << 16;
       input.bytes = 0;
     }},
    {&kFullyConnected, "input: has an impossible shape",
     [](Fixture* f) {  // 2^32 + 2^16 elements, of which a size_t of 32 bits keeps 2^16
       TensorInfo& input = f->inputs[0].info;
       input.dims[0] = 65537;
       input.dims[1] = 1 << 16;
       input.bytes = 1 << 16;
     }},
    {&kFullyConnected, "output: has an impossible shape",
     [](Fixture* f) {  // 2^31 elements
       TensorInfo& output = f->outputs[0].info;
       output.dims[0] = 1 << 16;
       output.dims[1] = 1 << 15;
       output.bytes = size_t{1} << 31;
     }},

    // Packed layers.
    {&kConv, "packed layer: is not constant",
     [](Fixture* f) { f->inputs[1].info.constant_data = nullptr; }},
    {&kConv, "packed layer: belongs to another op",
     [](Fixture* f) {
       f->SetByte(5, kDcsrOpFullyConnected);
       f->SetByte(33, 1);  // stride
     }},
    {&kFullyConnected, "packed layer: belongs to another op",
     [](Fixture* f) { f->SetByte(5, kDcsrOpConv2d); }},
    {&kConv, "input: its zero point is not that of the packed layer",
     [](Fixture* f) { ++f->inputs[0].info.zero_point; }},
    {&kFullyConnected, "output: its zero point is not that of the packed layer",
     [](Fixture* f) { --f->outputs[0].info.zero_point; }},

    // Shapes of CONV_2D: input 2 x 7 x 13 x 15, output 2 x 7 x 7 x 6.
    {&kConv, "input: does not have 4 dimensions",
     [](Fixture* f) { f->inputs[0] = Int8Tensor({2 * 7, 13, 15}, -20, f->data.input); }},
    {&kConv, "output: does not have 4 dimensions",
     [](Fixture* f) { f->outputs[0] = Int8Tensor({1, 2, 7, 7, 6}, 8, f->output); }},
    {&kConv, "input: its channels are not those of the packed layer",
     [](Fixture* f) { f->inputs[0] = Int8Tensor({2, 7, 15, 13}, -20, f->data.input); }},
    {&kConv, "output: its channels are not the packed layer's rows",
     [](Fixture* f) { f->outputs[0] = Int8Tensor({2, 7, 6, 7}, 8, f->output); }},
    {&kConv, "output: its batches are not those of the input",
     [](Fixture* f) { f->outputs[0] = Int8Tensor({1, 7, 7, 6}, 8, f->output); }},
    {&kConv, "output: its height and width do not follow from those of the input",
     [](Fixture* f) { f->outputs[0] = Int8Tensor({2, 6, 7, 6}, 8, f->output); }},
    {&kConv, "output: its height and width do not follow from those of the input",
     [](Fixture* f) { f->outputs[0] = Int8Tensor({2, 7, 13, 6}, 8, f->output); }},

    // The same weights as a 3x5 filter on one channel with VALID padding.
    {&kConv, "input: is smaller than the filter",
     [](Fixture* f) {
       f->SetFilter(3, 5);
       f->inputs[0] = Int8Tensor({2, 2, 13, 1}, -20, f->data.input);
     }},
    {&kConv, "input: is smaller than the filter",
     [](Fixture* f) {
       f->SetFilter(3, 5);
       f->inputs[0] = Int8Tensor({2, 7, 4, 1}, -20, f->data.input);
     }},
    {&kConv, "input: its channels are not those of the packed layer",
     [](Fixture* f) { f->SetFilter(3, 5); }},
    {&kConv, "output: its height and width do not follow from those of the input",
     [](Fixture* f) {
       f->SetFilter(3, 5);
       f->inputs[0] = Int8Tensor({2, 7, 13, 1}, -20, f->data.input);
     }},

    // Shapes of FULLY_CONNECTED: input 2 x 65, output 2 x 7.
    {&kFullyConnected, "input: its size is no multiple of the packed layer's columns",
     [](Fixture* f) { f->inputs[0] = Int8Tensor({2, 64}, 40, f->data.input); }},
    {&kFullyConnected, "output: its last dimension is not the packed layer's rows",
     [](Fixture* f) { f->outputs[0] = Int8Tensor({7, 2}, 5, f->output); }},
    {&kFullyConnected, "output: its batches are not those of the input",
     [](Fixture* f) { f->outputs[0] = Int8Tensor({1, 7}, 5, f->output); }},

    // FULLY_CONNECTED, because some kernels for convolutions request scratch first.
    {&kFullyConnected, "memory: there is none for the state",
     [](Fixture* f) { f->arena_bytes = 15; }},
    {&kFullyConnected, "memory: there is none for the state",
     [](Fixture* f) { f->arena_bytes = 0; }},
};

const char* OpName(const DcsrCase& layer_case) { return kOps[layer_case.op - kDcsrOpConv2d].name; }

// Checks that Prepare of a modified node fails with this message only.
void check_refused(const Fixture& fixture, const DcsrCase& layer_case, const char* message) {
  char expected[160];
  snprintf(expected, sizeof(expected), "%s: %s", OpName(layer_case), message);
  TestRunner runner = fixture.MakeRunner();
  CHECK(!Prepare(layer_case.op, &runner), "%s", expected);
  CHECK(strcmp(runner.log(), expected) == 0, "'%s' instead of '%s'", runner.log(), expected);
  CHECK(runner.error_count() == 1, "%d errors", runner.error_count());
}

void test_each_refusal_has_its_message() {
  for (const Refusal& refusal : kRefusals) {
    Fixture fixture(*refusal.layer_case, kDcsrEncodingDcsr);
    refusal.spoil(&fixture);
    check_refused(fixture, *refusal.layer_case, refusal.message);
  }
}

struct BadLayer {
  DcsrStatus status;
  void (*spoil)(Fixture*);
};

// Overwrites the first element of a section that the layer has.
template <Section section, uint8_t value>
void SpoilSection(Fixture* f) {
  f->SetByte(f->blob.offset[section], value);
}

constexpr BadLayer kBadLayers[] = {
    {kDcsrErrorAlignment,
     [](Fixture* f) { f->inputs[1] = ConstantTensor(f->blob.data + 1, f->blob.size - 1); }},
    {kDcsrErrorTruncated,
     [](Fixture* f) { f->inputs[1] = ConstantTensor(f->blob.data, f->blob.size - 4); }},
    {kDcsrErrorTruncated, [](Fixture* f) { f->inputs[1] = ConstantTensor(f->blob.data, 1); }},
    {kDcsrErrorMagic, [](Fixture* f) { f->SetByte(0, 'D'); }},
    {kDcsrErrorVersion, [](Fixture* f) { f->SetByte(4, 2); }},
    {kDcsrErrorHeader, [](Fixture* f) { f->SetByte(6, 3); }},
    {kDcsrErrorSections, [](Fixture* f) { f->SetByte(8, f->blob.data[8] + 4); }},
    {kDcsrErrorRequantize, SpoilSection<kSectionShift, 31>},
    {kDcsrErrorRowLength, SpoilSection<kSectionRowLength, 255>},
    {kDcsrErrorIndex, SpoilSection<kSectionIndex, 15>},
};

void test_wrong_numbers_of_inputs_are_refused() {
  for (const int32_t count : {0, 1, 3, 4}) {
    for (const DcsrCase* layer_case : {&kConv, &kFullyConnected}) {
      Fixture fixture(*layer_case, kDcsrEncodingDcsr);
      fixture.input_count = count;
      // The packed layer has its own rows.
      const bool is_version = with_shared_rows && count == 3;
      check_refused(fixture, *layer_case,
                    is_version ? "packed layer: is of an unknown version" : WrongInputs());
    }
  }
}

void test_invalid_packed_layer_is_refused_with_the_status() {
  for (const DcsrCase* layer_case : {&kConv, &kFullyConnected}) {
    for (const BadLayer& bad : kBadLayers) {
      Fixture fixture(*layer_case, kDcsrEncodingDcsr);
      bad.spoil(&fixture);
      char message[120];
      snprintf(message, sizeof(message), "packed layer: %s", dcsr_status_string(bad.status));
      check_refused(fixture, *layer_case, message);
    }
  }
}

// A tensor may be larger than its packed layer.
void test_bytes_behind_the_packed_layer_are_ignored() {
  Fixture fixture(kConv, kDcsrEncodingRle);
  alignas(16) static uint8_t larger[1 << 12];
  CHECK(fixture.blob.size < sizeof(larger), "too small");
  memcpy(larger, fixture.blob.data, fixture.blob.size);
  fixture.inputs[1] = ConstantTensor(larger, sizeof(larger));
  TestRunner runner = fixture.MakeRunner();
  CHECK(Prepare(kDcsrOpConv2d, &runner) && Invoke(kDcsrOpConv2d, &runner), "%s", runner.log());
  check_equal("larger", fixture.expected, fixture.output, fixture.data.output_size);
}

void test_invoke_without_prepare_or_data_fails() {
  Fixture fixture(kConv, kDcsrEncodingDcsr);
  {
    TestRunner runner = fixture.MakeRunner();
    CHECK(!Invoke(kDcsrOpConv2d, &runner), "not prepared");
    CHECK(strcmp(runner.log(), "DCSR_CONV_2D: node: was not prepared") == 0, "%s", runner.log());
    CHECK(!Invoke(kDcsrOpFullyConnected, &runner), "not prepared");
    CHECK(strcmp(runner.log(), "DCSR_FULLY_CONNECTED: node: was not prepared") == 0, "%s",
          runner.log());
  }
  TestTensor* const tensors[] = {&fixture.inputs[0], &fixture.inputs[1], &fixture.outputs[0]};
  const char* const messages[] = {
      "DCSR_CONV_2D: input: has no data",
      "DCSR_CONV_2D: packed layer: has no data",
      "DCSR_CONV_2D: output: has no data",
  };
  for (int i = 0; i < 3; ++i) {
    TestRunner runner = fixture.MakeRunner();
    CHECK(Prepare(kDcsrOpConv2d, &runner), "%s", runner.log());
    void* const data = tensors[i]->data;
    tensors[i]->data = nullptr;
    CHECK(!Invoke(kDcsrOpConv2d, &runner), "%s", messages[i]);
    CHECK(strcmp(runner.log(), messages[i]) == 0, "%s", runner.log());
    tensors[i]->data = data;
  }
}

// The model can be overwritten after Prepare. Invoke parses the packed layer again.
void test_invoke_with_a_damaged_packed_layer_fails() {
  for (const DcsrCase* layer_case : {&kConv, &kFullyConnected}) {
    Fixture fixture(*layer_case, kDcsrEncodingDcsr);
    const bool is_conv = layer_case == &kConv;
    TestRunner runner = fixture.MakeRunner();
    CHECK(Prepare(layer_case->op, &runner), "%s", runner.log());
    fixture.SetByte(0, 'D');
    CHECK(!Invoke(layer_case->op, &runner), "damaged");
    char message[120];
    snprintf(message, sizeof(message), "%s: packed layer: %s",
             is_conv ? kConv2dName : kFullyConnectedName, dcsr_status_string(kDcsrErrorMagic));
    CHECK(strcmp(runner.log(), message) == 0, "%s", runner.log());
  }
}

// A depthwise layer [12, 3 * 3] with depth multiplier 2: input 1 x 4 x 5 x 6, output 1 x 4 x 5
// x 12.
constexpr DcsrDepthwiseConv2dCase kDepthwise = {
    {"depthwise", kDcsrOpDepthwiseConv2d, 12,          9,   1, 4,    5,   1,    1, kPatternRandom,
     1000,        kValuesRandom,          kBiasRandom, -20, 8, -128, 127, true, 0, 0},
    {3, 3, 1, 1, true},
    2};

void test_each_refusal_of_a_depthwise_layer_has_its_message() {
  const struct {
    const char* message;
    void (*spoil)(Fixture*);
  } refusals[] = {
      {"input: its channels are not those of the packed layer",
       [](Fixture* f) { f->inputs[0] = Int8Tensor({1, 4, 5, 12}, -20, f->data.input); }},
      {"output: its channels are not the packed layer's rows",
       [](Fixture* f) { f->outputs[0] = Int8Tensor({1, 4, 5, 6}, 8, f->output); }},
      {"output: its height and width do not follow from those of the input",
       [](Fixture* f) { f->outputs[0] = Int8Tensor({1, 5, 4, 12}, 8, f->output); }},
      {"input: its zero point is not that of the packed layer",
       [](Fixture* f) { ++f->inputs[0].info.zero_point; }},
      {"packed layer: belongs to another op",
       [](Fixture* f) {
         f->SetByte(5, kDcsrOpConv2d);
         f->SetByte(39, 0);
       }},
      {"packed layer: a header field is out of range", [](Fixture* f) { f->SetByte(39, 5); }},
      {"packed layer: a header field is out of range",
       [](Fixture* f) { f->SetByte(34, 1 | 2 | 4); }},
  };
  for (const auto& refusal : refusals) {
    Fixture fixture(kDepthwise, kDcsrEncodingDense);
    refusal.spoil(&fixture);
    check_refused(fixture, kDepthwise.layer, refusal.message);
  }
}

// Neither registration takes them.
void test_depthwise_layers_have_no_shared_rows() {
  Fixture fixture(kDepthwise, kDcsrEncodingDense);
  fixture.SetByte(4, kDcsrFormatVersion2);
  check_refused(fixture, kDepthwise.layer, "packed layer: is of an unknown version");
  fixture.input_count = 3;
  check_refused(fixture, kDepthwise.layer,
                with_shared_rows ? "packed layer: a header field is out of range" : WrongInputs());
}

void test_layers_with_shared_rows_equal_dense_loop() {
  for (const DcsrCase* layer_case : {&kConv, &kFullyConnected}) {
    for (int encoding = 0; encoding < kEncodingCount; ++encoding) {
      SharedFixture fixture(*layer_case, static_cast<DcsrEncoding>(encoding));
      TestRunner runner = fixture.MakeRunner();
      const DcsrOp op = layer_case->op;
      memset(fixture.output, 0x55, fixture.data.output_size);
      CHECK(Prepare(op, &runner), "%s", runner.log());
      CHECK(runner.state_bytes() == kStateBytes + 9 * fixture.data.layer.rows, "%lu bytes",
            static_cast<unsigned long>(runner.state_bytes()));
      for (int i = 0; i < 2; ++i) {
        CHECK(Invoke(op, &runner), "%s", runner.log());
        check_equal(layer_case->name, fixture.expected, fixture.output, fixture.data.output_size);
      }
    }
  }
}

constexpr struct {
  const char* message;
  void (*spoil)(SharedFixture*);
} kSharedRefusals[] = {
    {"packed layer: is of an unknown version", [](SharedFixture* f) { f->input_count = 2; }},
    {"shared rows: is missing or unreadable",
     [](SharedFixture* f) { f->inputs[2].is_missing = true; }},
    {"shared rows: is not int8",
     [](SharedFixture* f) { f->inputs[2].info.type = TensorType::kInt16; }},
    {"shared rows: has an impossible shape", [](SharedFixture* f) { ++f->inputs[2].info.bytes; }},
    {"shared rows: is not constant",
     [](SharedFixture* f) { f->inputs[2].info.constant_data = nullptr; }},
    {"packed layer: is truncated",
     [](SharedFixture* f) {
       f->inputs[2] = ConstantTensor(f->blobs.shared.data, f->blobs.shared.size - 4);
     }},
    {"packed layer: is not aligned to 4 bytes",
     [](SharedFixture* f) {
       f->inputs[2] = ConstantTensor(f->blobs.shared.data + 1, f->blobs.shared.size - 1);
     }},
    {"packed layer: a multiplier or shift is out of range",
     [](SharedFixture* f) { f->blobs.shared.data[3] |= 0x80; }},
    {"packed layer: its row lengths do not add up",
     [](SharedFixture* f) {
       f->blobs.shared.data[f->blobs.shared.offset[kSectionRowLength]] = 99;
     }},
    {"input: its zero point is not that of the packed layer",
     [](SharedFixture* f) { ++f->inputs[0].info.zero_point; }},
    {"memory: there is none for the state", [](SharedFixture* f) { f->arena_bytes = 60; }},
};

void test_each_refusal_of_shared_rows_has_its_message() {
  for (const auto& refusal : kSharedRefusals) {
    SharedFixture fixture(kConv, kDcsrEncodingDcsr);
    refusal.spoil(&fixture);
    check_refused(fixture, kConv, refusal.message);
  }
}

void test_invoke_without_shared_rows_or_with_a_damaged_layer_fails() {
  SharedFixture fixture(kConv, kDcsrEncodingDcsr);
  {
    TestRunner runner = fixture.MakeRunner();
    CHECK(Prepare(kDcsrOpConv2d, &runner), "%s", runner.log());
    fixture.inputs[2].data = nullptr;
    CHECK(!Invoke(kDcsrOpConv2d, &runner), "no shared rows");
    CHECK(strcmp(runner.log(), "DCSR_CONV_2D: shared rows: has no data") == 0, "%s", runner.log());
    fixture.inputs[2].data = fixture.blobs.shared.data;
  }
  TestRunner runner = fixture.MakeRunner();
  CHECK(Prepare(kDcsrOpConv2d, &runner), "%s", runner.log());
  fixture.blobs.own.data[4] = kDcsrFormatVersion;
  CHECK(!Invoke(kDcsrOpConv2d, &runner), "version 1");
  CHECK(strcmp(runner.log(), "DCSR_CONV_2D: packed layer: is of an unknown version") == 0, "%s",
        runner.log());
}

void test_ops_without_shared_rows_name_those_with_them() {
  for (const DcsrCase* layer_case : {&kConv, &kFullyConnected}) {
    SharedFixture fixture(*layer_case, kDcsrEncodingRice);
    check_refused(fixture, *layer_case, WrongInputs());
  }
}

constexpr char kNoDecoder[] =
    "DCSR_CONV_2D: packed layer: its encoding is not registered: use the header of this model, or "
    "AddDcsrOps";
constexpr char kNoKernel[] =
    "DCSR_CONV_2D: packed layer: needs a kernel that is not registered: use the header of this "
    "model, or AddDcsrOps";

constexpr DcsrDecoders kRiceDecoders = {
    {nullptr, nullptr, nullptr, nullptr, &kDcsrRiceDecoder, nullptr}, nullptr, nullptr};
constexpr DcsrKernel kRice[] = {DCSR_PART(conv1x1_ref, rice), DCSR_END_OF_PARTS};
constexpr DcsrKernel kNone[] = {DCSR_END_OF_PARTS};
constexpr DcsrKernels kRiceKernels = {kRice, kNone, nullptr, nullptr, nullptr, 0, &kRiceDecoders};
constexpr DcsrKernels kAllDecoders = {kRice,   kNone, nullptr,          nullptr,
                                      nullptr, 0,     &kDcsrAllDecoders};
constexpr DcsrKernels kNoKernels = {kNone, kNone, nullptr, nullptr, nullptr, 0, &kRiceDecoders};

void check_parts(const DcsrKernels* kernels, const Fixture& fixture, const char* message) {
  const Op op = {kConv2dName, kDcsrOpConv2d, kernels};
  TestRunner runner = fixture.MakeRunner();
  const bool is_prepared =
      with_shared_rows ? PrepareWithSharedRows(&runner, op) : Prepare(&runner, op);
  CHECK(is_prepared == (message == nullptr), "%s", runner.log());
  CHECK(strcmp(runner.log(), message == nullptr ? "" : message) == 0, "%s", runner.log());
  if (!is_prepared) return;
  const bool is_done = with_shared_rows ? InvokeWithSharedRows(&runner, op) : Invoke(&runner, op);
  CHECK(is_done, "%s", runner.log());
  check_equal("parts", fixture.expected, fixture.output, fixture.data.output_size);
}

void test_only_registered_kernels_and_encodings_run() {
  Fixture rice(kConv, kDcsrEncodingRice);
  check_parts(&kRiceKernels, rice, nullptr);
  check_parts(&kNoKernels, rice, kNoKernel);
  Fixture rle(kConv, kDcsrEncodingRle);
  check_parts(&kRiceKernels, rle, kNoDecoder);
  check_parts(&kAllDecoders, rle, kNoKernel);
  // A filter larger than 1x1 has another list.
  Fixture larger(kDcsrConv2dCases[0], kDcsrEncodingRice);
  check_parts(&kRiceKernels, larger, kNoKernel);
}

// The functions of an op for a verified image, in the order of DcsrOp.
constexpr bool (*kPrepareOfVerifiedImage[])(Port*) = {PrepareConv2dOfVerifiedImage,
                                                      PrepareFullyConnectedOfVerifiedImage,
                                                      PrepareDepthwiseConv2dOfVerifiedImage};

void check_verified(Fixture* fixture, DcsrOp op, const char* message) {
  fixture->inputs[1] = ConstantTensor(fixture->blob.data, fixture->blob.size);
  TestRunner runner = fixture->MakeRunner();
  const bool is_prepared = kPrepareOfVerifiedImage[op - kDcsrOpConv2d](&runner);
  CHECK(is_prepared == (message == nullptr), "%s", runner.log());
  if (message != nullptr) {
    CHECK(strstr(runner.log(), message) != nullptr, "%s", runner.log());
    return;
  }
  memset(fixture->output, 0x55, fixture->data.output_size);
  CHECK(kOps[op - kDcsrOpConv2d].invoke(&runner), "%s", runner.log());
  check_equal("verified", fixture->expected, fixture->output, fixture->data.output_size);
}

constexpr char kWrongChecksum[] = ": packed layer: its checksum is wrong or missing";

void test_a_verified_image_needs_right_checksums() {
  for (size_t i = 0; i < 3; ++i) {
    const auto op = static_cast<DcsrOp>(kDcsrOpConv2d + i);
    Fixture fixture =
        op == kDcsrOpDepthwiseConv2d
            ? Fixture(kDcsrDepthwiseConv2dCases[0], kDcsrEncodingDense)
            : Fixture(op == kDcsrOpConv2d ? kConv : kFullyConnected, kDcsrEncodingRice);
    check_verified(&fixture, op, kWrongChecksum);
    add_checksum(&fixture.blob);
    check_verified(&fixture, op, nullptr);
    // Without the opt-in the streams are validated, and a checksum makes no difference.
    {
      TestRunner runner = fixture.MakeRunner();
      CHECK(Prepare(op, &runner), "%s", runner.log());
    }
    // Every byte counts, that of the checksum included.
    for (size_t at = kDcsrHeaderBytes; at < fixture.blob.size; ++at) {
      fixture.SetByte(at, fixture.blob.data[at] ^ 0x80);
      check_verified(&fixture, op, kWrongChecksum);
      fixture.SetByte(at, fixture.blob.data[at] ^ 0x80);
    }
    // The header is checked, whatever the checksum.
    fixture.SetByte(32, 0);
    correct_checksum(&fixture.blob);
    check_verified(&fixture, op, ": packed layer: a header field is out of range");
  }
}

void test_a_right_checksum_is_not_trusted_without_the_opt_in() {
  Fixture fixture(kConv, kDcsrEncodingRice);
  add_checksum(&fixture.blob);
  fixture.inputs[1] = ConstantTensor(fixture.blob.data, fixture.blob.size);
  memset(fixture.blob.data + fixture.blob.offset[kSectionIndex], 0, 4);
  correct_checksum(&fixture.blob);
  check_refused(fixture, kConv, "packed layer: an index leaves its row, or a stream its section");
}

constexpr DcsrDecoders kUncheckedDecoders = {
    {nullptr, nullptr, nullptr, nullptr, &kDcsrRiceUncheckedDecoder, nullptr}, nullptr, nullptr};
constexpr DcsrKernels kUncheckedKernels = {
    kRice, kNone, nullptr, nullptr, nullptr, 0, &kUncheckedDecoders};

void test_unchecked_decoders_need_a_verified_image() {
  Fixture fixture(kConv, kDcsrEncodingRice);
  add_checksum(&fixture.blob);
  fixture.inputs[1] = ConstantTensor(fixture.blob.data, fixture.blob.size);
  check_parts(&kUncheckedKernels, fixture,
              "DCSR_CONV_2D: packed layer: an index leaves its row, or a stream its section");
  const Op op = {kConv2dName, kDcsrOpConv2d, &kUncheckedKernels};
  TestRunner runner = fixture.MakeRunner();
  CHECK(PrepareOfVerifiedImage(&runner, op), "%s", runner.log());
  CHECK(Invoke(&runner, op), "%s", runner.log());
  check_equal("unchecked", fixture.expected, fixture.output, fixture.data.output_size);
}

}  // namespace
}  // namespace dcsr

int main() {
  using namespace dcsr;  // NOLINT: RUN_TEST prints the bare name.
  for (const bool shared : {false, true}) {
    with_shared_rows = shared;
    RUN_TEST(test_every_layer_equals_dense_loop);
    RUN_TEST(test_every_layer_with_compact_rows_equals_dense_loop);
    RUN_TEST(test_every_layer_with_int16_activations_equals_dense_loop);
    RUN_TEST(test_fully_connected_takes_inputs_and_outputs_of_any_rank);
    RUN_TEST(test_memory_is_a_few_bytes_of_state_and_what_the_kernel_asks_for);
    RUN_TEST(test_each_refusal_has_its_message);
    RUN_TEST(test_each_refusal_of_a_depthwise_layer_has_its_message);
    RUN_TEST(test_depthwise_layers_have_no_shared_rows);
    RUN_TEST(test_wrong_numbers_of_inputs_are_refused);
    RUN_TEST(test_invalid_packed_layer_is_refused_with_the_status);
    RUN_TEST(test_bytes_behind_the_packed_layer_are_ignored);
    RUN_TEST(test_invoke_without_prepare_or_data_fails);
    RUN_TEST(test_invoke_with_a_damaged_packed_layer_fails);
    RUN_TEST(test_only_registered_kernels_and_encodings_run);
    RUN_TEST(test_a_right_checksum_is_not_trusted_without_the_opt_in);
    RUN_TEST(test_unchecked_decoders_need_a_verified_image);
  }
  RUN_TEST(test_a_verified_image_needs_right_checksums);
  RUN_TEST(test_layers_with_shared_rows_equal_dense_loop);
  RUN_TEST(test_each_refusal_of_shared_rows_has_its_message);
  RUN_TEST(test_invoke_without_shared_rows_or_with_a_damaged_layer_fails);
  with_shared_rows = false;
  RUN_TEST(test_ops_without_shared_rows_name_those_with_them);
  return check_exit_status();
}
