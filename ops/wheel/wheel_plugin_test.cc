// Tests the adapter for the wheel with fake hosts. python/dcsr/runtime_test.py tests it with the
// wheel itself.

#include "ops/wheel/wheel_plugin.h"

#include <string.h>

#include "ops/wheel/wheel_abi.h"
#include "ops/wheel/wheel_port.h"
#include "tflm_kernels/testing/check.h"

namespace dcsr::wheel {
namespace {

const Registration* FindBuiltin(const Resolver*, int32_t) { return nullptr; }
const Registration* FindCustom(const Resolver*, const char*) { return nullptr; }

void test_resolver_of_an_unknown_library_is_refused_and_left_alone() {
  static const ResolverVtable vtable = {FindBuiltin, FindCustom};
  static Resolver resolver = {};
  resolver.vtable = &vtable;
  static Resolver before;
  memcpy(&before, &resolver, sizeof(resolver));
  CHECK(!DcsrRegisterOps(&resolver), "unknown");
  CHECK(memcmp(&before, &resolver, sizeof(resolver)) == 0, "changed");
}

// A MicroContext with one tensor, number 0, that counts the borrowed resources.
struct FakeContext {
  MicroContext context;
  Tensor tensor;
  EvalTensor eval_tensor;
  int32_t borrowed;
  bool is_full;
  alignas(16) uint8_t memory[64];
};

FakeContext* Fake(void* self) { return static_cast<FakeContext*>(self); }

const MicroContextVtable kVtable = {
    {nullptr, nullptr},
    [](void* self, size_t bytes) -> void* {
      return bytes <= sizeof(FakeContext::memory) ? Fake(self)->memory : nullptr;
    },
    [](void* self, size_t, int32_t* index) -> int32_t {
      *index = 7;
      return Fake(self)->is_full ? kStatusError : kStatusOk;
    },
    [](void* self, int32_t index) -> void* { return index == 7 ? Fake(self)->memory : nullptr; },
    [](void* self, int32_t) -> Tensor* {
      if (Fake(self)->is_full) return nullptr;
      ++Fake(self)->borrowed;
      return &Fake(self)->tensor;
    },
    [](void* self, Tensor*) { --Fake(self)->borrowed; },
    nullptr,
    nullptr,
    [](void* self, int32_t) -> EvalTensor* { return &Fake(self)->eval_tensor; },
};

// An IntArray of up to 12 numbers.
struct Numbers {
  int32_t size;
  int32_t data[12];
  const IntArray* get() const { return reinterpret_cast<const IntArray*>(this); }
};

struct Fixture {
  FakeContext fake = {};
  Node node = {};
  const Numbers dims = {4, {1, 2, 3, 4}};
  const Numbers inputs = {2, {0, -1}};
  const Numbers outputs = {1, {0}};
  int8_t data[24] = {};

  Fixture() {
    fake.context.vtable = &kVtable;
    fake.tensor.dims = dims.get();
    fake.tensor.bytes = sizeof(data);
    fake.tensor.type = kTypeInt8;
    fake.tensor.zero_point = -5;
    fake.tensor.data = data;
    fake.eval_tensor.data = data;
    node.inputs = inputs.get();
    node.outputs = outputs.get();
  }

  WheelPort MakePort() { return WheelPort(&fake.context, &node); }
};

void test_tensor_is_copied_and_given_back() {
  Fixture f;
  WheelPort port = f.MakePort();
  TensorInfo info = {};
  CHECK(port.GetInput(0, &info), "input");
  CHECK(f.fake.borrowed == 0, "%d not given back", f.fake.borrowed);
  CHECK(info.type == TensorType::kInt8 && info.bytes == 24 && info.zero_point == -5, "tensor");
  CHECK(info.rank == 4 && info.dims[0] == 1 && info.dims[3] == 4, "dimensions");
  CHECK(info.constant_data == nullptr, "it is not constant");

  f.fake.tensor.allocation_type = kAllocationReadOnly;
  f.fake.tensor.type = 1;
  CHECK(port.GetOutput(0, &info) && info.constant_data == f.data && info.type == TensorType::kOther,
        "constant");
  CHECK(f.fake.borrowed == 0, "%d not given back", f.fake.borrowed);
}

void test_tensor_of_too_many_dimensions_is_cut() {
  Fixture f;
  const Numbers many = {12, {1, 1, 1, 1, 1, 1, 1, 24, 1, 1, 1, 1}};
  f.fake.tensor.dims = many.get();
  WheelPort port = f.MakePort();
  TensorInfo info = {};
  CHECK(port.GetInput(0, &info) && info.rank == 12 && info.dims[kMaxRank - 1] == 24, "rank");
  f.fake.tensor.dims = nullptr;
  CHECK(port.GetInput(0, &info) && info.rank == 0, "no dimensions");
}

void test_tensors_that_are_not_there_are_none() {
  Fixture f;
  WheelPort port = f.MakePort();
  TensorInfo info;
  CHECK(port.InputCount() == 2 && port.OutputCount() == 1, "counts");
  CHECK(!port.GetInput(1, &info) && port.InputData(1) == nullptr, "left out");
  CHECK(!port.GetInput(2, &info) && port.InputData(2) == nullptr, "behind the last");
  f.node.inputs = f.node.outputs = nullptr;
  CHECK(port.InputCount() == 0 && port.OutputCount() == 0, "no lists");
  CHECK(!port.GetOutput(0, &info) && port.OutputData(0) == nullptr, "no lists");
}

void test_memory_is_the_interpreters() {
  Fixture f;
  WheelPort port = f.MakePort();
  CHECK(port.State() == nullptr, "no state yet");
  CHECK(port.AllocateState(16) == f.fake.memory && f.node.user_data == f.fake.memory, "state");
  CHECK(f.MakePort().State() == f.fake.memory, "state in the next call");
  int32_t handle = 0;
  CHECK(port.RequestScratch(100, &handle) && port.Scratch(handle) == f.fake.memory, "scratch");
  CHECK(port.OutputData(0) == f.data, "data");
}

void test_full_arena_is_an_error() {
  Fixture f;
  f.fake.is_full = true;
  WheelPort port = f.MakePort();
  TensorInfo info;
  int32_t handle;
  CHECK(!port.GetInput(0, &info) && f.fake.borrowed == 0, "tensor");
  CHECK(!port.RequestScratch(100, &handle), "scratch");
  CHECK(port.AllocateState(1000) == nullptr, "state");
}

}  // namespace
}  // namespace dcsr::wheel

int main() {
  using namespace dcsr::wheel;  // NOLINT: RUN_TEST prints the bare name.
  RUN_TEST(test_resolver_of_an_unknown_library_is_refused_and_left_alone);
  RUN_TEST(test_tensor_is_copied_and_given_back);
  RUN_TEST(test_tensor_of_too_many_dimensions_is_cut);
  RUN_TEST(test_tensors_that_are_not_there_are_none);
  RUN_TEST(test_memory_is_the_interpreters);
  RUN_TEST(test_full_arena_is_an_error);
  return check_exit_status();
}
