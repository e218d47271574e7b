// Runs the ops on layers of a trained model. In every encoding the outputs must equal those of the
// builtin op in the stock interpreter for the same activations, bit for bit.

#include "tests/real_layers.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ops/dcsr_ops.h"
#include "ops/testing/test_runner.h"
#include "tflm_kernels/testing/check.h"
#include "toolchains/firmware/placement.h"

namespace dcsr {
namespace {

alignas(16) DCSR_LARGE_BSS uint8_t arena[1 << 20];

// In the order of DcsrOp.
constexpr int kOps = 3;
constexpr bool (*kPrepare[kOps])(Port*) = {PrepareConv2d, PrepareFullyConnected,
                                           PrepareDepthwiseConv2d};
constexpr bool (*kInvoke[kOps])(Port*) = {InvokeConv2d, InvokeFullyConnected,
                                          InvokeDepthwiseConv2d};

bool Prepare(DcsrOp op, Port* port) { return kPrepare[op - kDcsrOpConv2d](port); }

bool Invoke(DcsrOp op, Port* port) { return kInvoke[op - kDcsrOpConv2d](port); }

TestTensor Activations(int32_t rank, const int32_t* dims, int32_t zero_point) {
  TestTensor tensor = Int8Tensor({}, zero_point, nullptr);
  tensor.info.rank = rank;
  for (int32_t i = 0; i < rank; ++i) {
    tensor.info.dims[i] = dims[i];
    tensor.info.bytes *= static_cast<size_t>(dims[i]);
  }
  return tensor;
}

void check_packing(const RealLayer& layer, const PackedCopy& packing) {
  char context[96];
  snprintf(context, sizeof(context), "%s, %s", layer.name, packing.encoding);
  // Inputs are not written.
  TestTensor inputs[] = {
      Activations(layer.input_rank, layer.input_dims, layer.input_zero_point),
      ConstantTensor(const_cast<uint8_t*>(packing.data), packing.bytes),
  };
  TestTensor output = Activations(layer.output_rank, layer.output_dims, layer.output_zero_point);
  const size_t input_bytes = inputs[0].info.bytes;
  const size_t output_bytes = output.info.bytes;
  output.data = malloc(output_bytes);
  if (output.data == nullptr) abort();

  TestRunner runner(inputs, 2, &output, 1, arena, sizeof(arena));
  const bool prepared = Prepare(layer.op, &runner);
  CHECK(prepared, "%s: %s", context, runner.log());
  for (size_t run = 0; prepared && run < layer.run_count; ++run) {
    inputs[0].data = const_cast<int8_t*>(layer.inputs + run * input_bytes);
    const int8_t* expected = layer.outputs + run * output_bytes;
    // Fill the output with wrong values, so that missing writes are detected.
    for (size_t i = 0; i < output_bytes; ++i) {
      static_cast<int8_t*>(output.data)[i] = static_cast<int8_t>(~expected[i]);
    }
    CHECK(Invoke(layer.op, &runner), "%s: %s", context, runner.log());
    check_equal(context, expected, static_cast<int8_t*>(output.data), output_bytes);
  }
  free(output.data);
}

void test_ops_give_what_the_builtin_ops_gave() {
  for (size_t i = 0; i < kRealLayerCount; ++i) {
    const RealLayer& layer = kRealLayers[i];
    for (size_t k = 0; k < layer.packing_count; ++k) check_packing(layer, layer.packings[k]);
  }
}

// An empty table would make the test pass without testing anything.
void test_table_has_layers_of_all_kinds() {
  size_t layers[kOps] = {};
  size_t packings = 0;
  size_t runs = 0;
  for (size_t i = 0; i < kRealLayerCount; ++i) {
    ++layers[kRealLayers[i].op - kDcsrOpConv2d];
    packings += kRealLayers[i].packing_count;
    runs += kRealLayers[i].run_count;
  }
  CHECK(layers[0] >= 4 && layers[1] >= 1 && layers[2] >= 4, "%u, %u, %u",
        static_cast<unsigned>(layers[0]), static_cast<unsigned>(layers[1]),
        static_cast<unsigned>(layers[2]));
  CHECK(packings >= 3 * kRealLayerCount, "%u packings", static_cast<unsigned>(packings));
  CHECK(runs >= 2 * kRealLayerCount, "%u runs", static_cast<unsigned>(runs));
}

}  // namespace
}  // namespace dcsr

int main() {
  using namespace dcsr;  // NOLINT: RUN_TEST prints the bare name.
  RUN_TEST(test_ops_give_what_the_builtin_ops_gave);
  RUN_TEST(test_table_has_layers_of_all_kinds);
  return check_exit_status();
}
