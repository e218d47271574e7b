// Tests scratch memory with fake kernels that request it. They replace those of the library.

#include <string.h>

#include "ops/dcsr_ops.h"
#include "ops/testing/test_runner.h"
#include "tflm_kernels/kernels.h"
#include "tflm_kernels/testing/check.h"
#include "tflm_kernels/testing/layers.h"
#include "tflm_kernels/testing/pack.h"

namespace {

constexpr size_t kScratchBytes = 1000;

struct Seen {
  int calls;
  void* scratch;
  DcsrConvShape shape;
  const int8_t* input;
  int8_t* output;
} seen;

// Not called: the fake dcsr_plan() plans.
bool Plan(DcsrPlanRequest*, DcsrPlan*) { return true; }

void Use(const DcsrPlan*, const DcsrLayer*, const DcsrConvShape* shape, const void* input,
         void* output, void* scratch) {
  ++seen.calls;
  seen.shape = *shape;
  seen.input = static_cast<const int8_t*>(input);
  seen.output = static_cast<int8_t*>(output);
  seen.scratch = scratch;
  if (scratch != nullptr) memset(scratch, 1, kScratchBytes);
}

const DcsrKernel kKernels[] = {{Plan, Use, 0, kDcsrAnyCoding}, {nullptr, nullptr, 0, 0}};
const DcsrKernels kTable = {kKernels, kKernels, kKernels, kKernels, nullptr, 0, &kDcsrAllDecoders};

}  // namespace

const DcsrKernels* dcsr_conv2d_kernels(void) { return &kTable; }

const DcsrKernels* dcsr_fully_connected_kernels(void) { return &kTable; }

const DcsrKernels* dcsr_depthwise_conv2d_kernels(void) { return &kTable; }

// Requests kScratchBytes for convolutions, and for more than one batch.
void dcsr_plan(const DcsrKernels* kernels, const DcsrLayer* layer, const DcsrConvShape* shape,
               size_t, DcsrPlan* plan) {
  const bool is_conv = layer->op == kDcsrOpConv2d;
  plan->kernel = &kernels->pointwise[0];
  plan->scratch_bytes = is_conv || shape->batches > 1 ? kScratchBytes : 0;
}

namespace dcsr {
namespace {

constexpr int8_t kWeights[] = {1, 0, 0, 2, 3, 0};
constexpr int32_t kBias[] = {0, 0};
constexpr int32_t kMultiplier[] = {1 << 30};
constexpr int8_t kShift[] = {0};

// Packs a layer with 2 rows and 3 columns.
PackedBlob Pack(DcsrOp op, uint32_t stride) {
  const DenseLayer layer = {op,          2,      3,      0,       0,        -128,
                            127,         stride, stride, false,   kWeights, kBias,
                            kMultiplier, kShift, {},     nullptr, 0,        false};
  PackOptions options = {};
  options.encoding = kDcsrEncodingDcsr;
  return pack_layer(&layer, &options);
}

alignas(16) uint8_t arena[kScratchBytes + 64];
int8_t input[5 * 7 * 3];
int8_t output[3 * 4 * 2];

bool IsAligned(const void* p) { return reinterpret_cast<uintptr_t>(p) % 16 == 0; }

void test_conv_2d_gets_its_scratch_and_shape() {
  PackedBlob blob = Pack(kDcsrOpConv2d, 2);
  const TestTensor inputs[] = {Int8Tensor({1, 5, 7, 3}, 0, input),
                               ConstantTensor(blob.data, blob.size)};
  const TestTensor outputs[] = {Int8Tensor({1, 3, 4, 2}, 0, output)};
  TestRunner runner(inputs, 2, outputs, 1, arena, sizeof(arena));
  seen = {};
  CHECK(PrepareConv2d(&runner), "%s", runner.log());
  CHECK(runner.scratch_bytes() == kScratchBytes && seen.calls == 0, "only asked for");
  CHECK(InvokeConv2d(&runner), "%s", runner.log());
  CHECK(seen.calls == 1 && seen.input == input && seen.output == output, "arguments");
  CHECK(seen.scratch >= arena && seen.scratch < arena + sizeof(arena), "in the arena");
  CHECK(IsAligned(seen.scratch), "%p", seen.scratch);
  const DcsrConvShape& shape = seen.shape;
  CHECK(shape.batches == 1 && shape.input_height == 5 && shape.input_width == 7 &&
            shape.output_height == 3 && shape.output_width == 4,
        "shape");
  free_packed_blob(&blob);
}

void test_fully_connected_gets_scratch_only_if_its_kernel_asks() {
  PackedBlob blob = Pack(kDcsrOpFullyConnected, 1);
  for (const int32_t batches : {1, 4}) {
    const TestTensor inputs[] = {Int8Tensor({batches, 3}, 0, input),
                                 ConstantTensor(blob.data, blob.size)};
    const TestTensor outputs[] = {Int8Tensor({batches, 2}, 0, output)};
    TestRunner runner(inputs, 2, outputs, 1, arena, sizeof(arena));
    seen = {};
    CHECK(PrepareFullyConnected(&runner) && InvokeFullyConnected(&runner), "%s", runner.log());
    CHECK(runner.scratch_bytes() == (batches == 1 ? 0 : kScratchBytes), "%d batches", batches);
    CHECK((seen.scratch == nullptr) == (batches == 1), "%d batches", batches);
    CHECK(IsAligned(seen.scratch) && seen.shape.batches == batches, "%d batches", batches);
  }
  free_packed_blob(&blob);
}

void test_too_small_an_arena_for_scratch_is_refused() {
  PackedBlob blob = Pack(kDcsrOpConv2d, 1);
  const TestTensor inputs[] = {Int8Tensor({1, 2, 2, 3}, 0, input),
                               ConstantTensor(blob.data, blob.size)};
  const TestTensor outputs[] = {Int8Tensor({1, 2, 2, 2}, 0, output)};
  TestRunner runner(inputs, 2, outputs, 1, arena, kScratchBytes - 1);
  CHECK(!PrepareConv2d(&runner), "too small");
  CHECK(strcmp(runner.log(), "DCSR_CONV_2D: memory: there is none for the scratch buffer") == 0,
        "%s", runner.log());
  free_packed_blob(&blob);
}

void test_missing_scratch_is_an_error_of_invoke() {
  PackedBlob blob = Pack(kDcsrOpConv2d, 1);
  const TestTensor inputs[] = {Int8Tensor({1, 2, 2, 3}, 0, input),
                               ConstantTensor(blob.data, blob.size)};
  const TestTensor outputs[] = {Int8Tensor({1, 2, 2, 2}, 0, output)};
  TestRunner runner(inputs, 2, outputs, 1, arena, sizeof(arena));
  CHECK(PrepareConv2d(&runner), "%s", runner.log());
  runner.LoseScratch();
  seen = {};
  CHECK(!InvokeConv2d(&runner) && seen.calls == 0, "the kernel ran without scratch");
  CHECK(strcmp(runner.log(), "DCSR_CONV_2D: memory: the scratch buffer is missing") == 0, "%s",
        runner.log());
  free_packed_blob(&blob);
}

}  // namespace
}  // namespace dcsr

int main() {
  using namespace dcsr;  // NOLINT: RUN_TEST prints the bare name.
  RUN_TEST(test_conv_2d_gets_its_scratch_and_shape);
  RUN_TEST(test_fully_connected_gets_scratch_only_if_its_kernel_asks);
  RUN_TEST(test_too_small_an_arena_for_scratch_is_refused);
  RUN_TEST(test_missing_scratch_is_an_error_of_invoke);
  return check_exit_status();
}
