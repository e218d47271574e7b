// Runs one node of one op without an interpreter, for the unit tests. They also run on
// microcontrollers, so this code uses no heap and prints nothing.
//
//   TestTensor inputs[] = {Int8Tensor({1, 40}, zero_point, data), ConstantTensor(blob, size)};
//   TestTensor outputs[] = {Int8Tensor({1, 10}, zero_point, result)};
//   TestRunner runner(inputs, 2, outputs, 1, arena, sizeof(arena));
//   if (!PrepareFullyConnected(&runner) || !InvokeFullyConnected(&runner)) puts(runner.log());

#ifndef DCSR_OPS_TESTING_TEST_RUNNER_H_
#define DCSR_OPS_TESTING_TEST_RUNNER_H_

#include <stddef.h>
#include <stdint.h>

#include <initializer_list>

#include "ops/port.h"

namespace dcsr {

struct TestTensor {
  TensorInfo info;
  void* data;
  bool is_missing;  // an omitted optional tensor
};

// An activation tensor, which the caller fills before inference or reads after it. `data` has the
// product of `dims` elements.
TestTensor Int8Tensor(std::initializer_list<int32_t> dims, int32_t zero_point, void* data);

TestTensor Int16Tensor(std::initializer_list<int32_t> dims, int32_t zero_point, void* data);

// A constant int8 tensor of one dimension.
TestTensor ConstantTensor(void* data, size_t bytes);

class TestRunner final : public Port {
 public:
  // Does not take ownership of the tensors and the arena.
  TestRunner(const TestTensor* inputs, int32_t input_count, const TestTensor* outputs,
             int32_t output_count, void* arena, size_t arena_bytes);

  // The last error, or "".
  const char* log() const { return log_; }
  int32_t error_count() const { return error_count_; }
  // Sizes that the op requested.
  size_t state_bytes() const { return state_bytes_; }
  size_t scratch_bytes() const { return scratch_bytes_; }

  void* State() const override { return state_; }
  void LogError(const char* op, const char* subject, const char* cause) override;
  int32_t InputCount() const override { return input_count_; }
  int32_t OutputCount() const override { return output_count_; }
  bool GetInput(int32_t index, TensorInfo* info) override;
  bool GetOutput(int32_t index, TensorInfo* info) override;
  void* AllocateState(size_t bytes) override;
  bool RequestScratch(size_t bytes, int32_t* handle) override;
  const void* InputData(int32_t index) override { return inputs_[index].data; }
  void* OutputData(int32_t index) override { return outputs_[index].data; }
  void* Scratch(int32_t handle) override;

 private:
  void* Allocate(size_t bytes);

  const TestTensor* const inputs_;
  const int32_t input_count_;
  const TestTensor* const outputs_;
  const int32_t output_count_;
  uint8_t* free_;
  uint8_t* const arena_end_;
  void* state_ = nullptr;
  void* scratch_ = nullptr;
  size_t state_bytes_ = 0;
  size_t scratch_bytes_ = 0;
  int32_t error_count_ = 0;
  char log_[160] = "";
};

}  // namespace dcsr

#endif  // DCSR_OPS_TESTING_TEST_RUNNER_H_
