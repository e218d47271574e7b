// Tests that interpreters in several threads can share one model, as tflm_ops.h promises.

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <thread>
#include <vector>

#include "ops/tflm/testing/one_node_context.h"
#include "ops/tflm/tflm_ops.h"
#include "tflm_kernels/testing/check.h"
#include "tflm_kernels/testing/layers.h"
#include "tflm_kernels/testing/pack.h"

void MicroPrintf(const char* format, ...) { puts(format); }

namespace dcsr::tflm {
namespace {

constexpr int kThreads = 4;
constexpr int kRuns = 200;

constexpr DcsrCase kLayers[] = {
    {"conv", kDcsrOpConv2d, 40,          64,  1, 9,    9,   1,    1, kPatternRandom,
     150,    kValuesRandom, kBiasRandom, -20, 8, -128, 127, true, 0, 0},
    {"fully connected", kDcsrOpFullyConnected, 40, 200, 2,    1,   1,    1, 1, kPatternRandom, 150,
     kValuesRandom,     kBiasRandom,           40, 5,   -128, 127, true, 0, 0},
};

// The interpreter of one thread. It has its own activations; the packed layer is shared.
struct Interpreter {
  CaseData data;
  std::vector<int8_t> expected;
  std::vector<int8_t> output;
  std::vector<uint8_t> arena;
  int wrong_runs = 0;

  // Rotates the activations by `index`, so that they differ between interpreters.
  Interpreter(const DcsrCase& layer_case, int index) : data(make_case(&layer_case, 1)) {
    const size_t rotation = static_cast<size_t>(index) % data.input_size;
    std::vector<int8_t> rotated(data.input, data.input + data.input_size);
    for (size_t i = 0; i < rotated.size(); ++i) {
      data.input[(i + rotation) % rotated.size()] = rotated[i];
    }
    expected.resize(data.output_size);
    dense_oracle(&data, expected.data());
    output.resize(data.output_size);
    arena.resize(1 << 18);
  }

  Interpreter(const Interpreter&) = delete;
  Interpreter& operator=(const Interpreter&) = delete;
  ~Interpreter() { free_case(&data); }

  void Run(const TFLMRegistration* op, PackedBlob* blob) {
    const DenseLayer& layer = data.layer;
    const DcsrConvShape& shape = data.shape;
    const int rows = static_cast<int>(layer.rows);
    const int cols = static_cast<int>(layer.cols);
    OneNodeContext context;
    context.SetArena(arena.data(), arena.size());
    context.SetTensor(kPackedLayer, kTfLiteInt8, {static_cast<int>(blob->size)}, 0, blob->data);
    if (layer.op == kDcsrOpConv2d) {
      context.SetTensor(kInput, kTfLiteInt8,
                        {shape.batches, shape.input_height, shape.input_width, cols},
                        layer.input_zero_point, data.input);
      context.SetTensor(kOutput, kTfLiteInt8,
                        {shape.batches, shape.output_height, shape.output_width, rows},
                        layer.output_zero_point, output.data());
    } else {
      context.SetTensor(kInput, kTfLiteInt8, {shape.batches, cols}, layer.input_zero_point,
                        data.input);
      context.SetTensor(kOutput, kTfLiteInt8, {shape.batches, rows}, layer.output_zero_point,
                        output.data());
    }
    if (context.Prepare(*op) != kTfLiteOk) {
      wrong_runs = kRuns;
      return;
    }
    for (int run = 0; run < kRuns; ++run) {
      output.assign(output.size(), 0x5A);
      if (context.Invoke(*op) != kTfLiteOk || output != expected) ++wrong_runs;
    }
  }
};

void test_interpreters_in_threads_share_ops_and_packed_layer() {
  MicroMutableOpResolver<3> resolver;
  CHECK(AddDcsrOps(resolver) == kTfLiteOk, "registration");
  for (const DcsrCase& layer_case : kLayers) {
    const TFLMRegistration* op =
        resolver.FindOp(layer_case.op == kDcsrOpConv2d ? kConv2dName : kFullyConnectedName);
    CaseData data = make_case(&layer_case, 1);
    PackOptions options = {};
    options.encoding = kDcsrEncodingDcsr;
    PackedBlob blob = pack_layer(&data.layer, &options);
    std::vector<Interpreter*> interpreters;
    std::vector<std::thread> threads;
    for (int i = 0; i < kThreads; ++i) interpreters.push_back(new Interpreter(layer_case, i));
    CHECK(interpreters[0]->expected != interpreters[1]->expected, "activations are the same");
    for (Interpreter* interpreter : interpreters) {
      threads.emplace_back([&, interpreter] { interpreter->Run(op, &blob); });
    }
    for (std::thread& thread : threads) thread.join();
    for (Interpreter* interpreter : interpreters) {
      CHECK(interpreter->wrong_runs == 0, "'%s': %d of %d runs are wrong", layer_case.name,
            interpreter->wrong_runs, kRuns);
      delete interpreter;
    }
    free_packed_blob(&blob);
    free_case(&data);
  }
}

}  // namespace
}  // namespace dcsr::tflm

int main() {
  using namespace dcsr::tflm;  // NOLINT
  RUN_TEST(test_interpreters_in_threads_share_ops_and_packed_layer);
  return check_exit_status();
}
