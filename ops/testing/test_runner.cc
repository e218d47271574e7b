// The host of the unit tests (test_runner.h).

#include "ops/testing/test_runner.h"

#include <string.h>

namespace dcsr {
namespace {

constexpr size_t kAlignment = 16;
// Fills the arena, so that an op or a kernel that expects zeros fails.
constexpr int kUninitialized = 0xA5;
// Not 0, so that an op fails if it does not use the handle that it got.
constexpr int32_t kScratchHandle = 3;

uint8_t* AlignUp(uint8_t* p) {
  return p + (kAlignment - reinterpret_cast<uintptr_t>(p) % kAlignment) % kAlignment;
}

// Appends as much of `text` as fits before `end`, and a terminating zero.
char* Append(const char* text, char* position, const char* end) {
  while (*text != '\0' && position + 1 < end) *position++ = *text++;
  *position = '\0';
  return position;
}

}  // namespace

TestTensor Int16Tensor(std::initializer_list<int32_t> dims, int32_t zero_point, void* data) {
  TestTensor tensor = Int8Tensor(dims, zero_point, data);
  tensor.info.type = TensorType::kInt16;
  tensor.info.bytes *= 2;
  return tensor;
}

TestTensor Int8Tensor(std::initializer_list<int32_t> dims, int32_t zero_point, void* data) {
  TestTensor tensor = {};
  tensor.data = data;
  tensor.info.type = TensorType::kInt8;
  tensor.info.zero_point = zero_point;
  tensor.info.bytes = 1;
  for (const int32_t dim : dims) {
    if (tensor.info.rank < kMaxRank) tensor.info.dims[tensor.info.rank] = dim;
    ++tensor.info.rank;
    tensor.info.bytes *= static_cast<size_t>(dim);
  }
  return tensor;
}

TestTensor ConstantTensor(void* data, size_t bytes) {
  TestTensor tensor = Int8Tensor({static_cast<int32_t>(bytes)}, 0, data);
  tensor.info.constant_data = data;
  return tensor;
}

TestRunner::TestRunner(const TestTensor* inputs, int32_t input_count, const TestTensor* outputs,
                       int32_t output_count, void* arena, size_t arena_bytes)
    : inputs_(inputs),
      input_count_(input_count),
      outputs_(outputs),
      output_count_(output_count),
      free_(static_cast<uint8_t*>(arena)),
      arena_end_(free_ + arena_bytes) {
  memset(arena, kUninitialized, arena_bytes);
}

void TestRunner::LogError(const char* op, const char* subject, const char* cause) {
  const char* end = log_ + sizeof(log_);
  char* position = log_;
  for (const char* text : {op, ": ", subject, ": ", cause}) position = Append(text, position, end);
  ++error_count_;
}

bool TestRunner::GetInput(int32_t index, TensorInfo* info) {
  *info = inputs_[index].info;
  return !inputs_[index].is_missing;
}

bool TestRunner::GetOutput(int32_t index, TensorInfo* info) {
  *info = outputs_[index].info;
  return !outputs_[index].is_missing;
}

void* TestRunner::AllocateState(size_t bytes) {
  state_ = Allocate(bytes);
  state_bytes_ += bytes;
  return state_;
}

bool TestRunner::RequestScratch(size_t bytes, int32_t* handle) {
  scratch_ = Allocate(bytes);
  scratch_bytes_ += bytes;
  *handle = kScratchHandle;
  return scratch_ != nullptr;
}

void* TestRunner::Scratch(int32_t handle) { return handle == kScratchHandle ? scratch_ : nullptr; }

void* TestRunner::Allocate(size_t bytes) {
  uint8_t* start = AlignUp(free_);
  if (start > arena_end_ || bytes > static_cast<size_t>(arena_end_ - start)) return nullptr;
  free_ = start + bytes;
  return start;
}

}  // namespace dcsr
