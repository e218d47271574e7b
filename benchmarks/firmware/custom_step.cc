// The custom ops on bare metal: a port whose tensors come from the job.

#include <stdio.h>

#include "benchmarks/firmware/job.h"
#include "benchmarks/firmware/step.h"
#include "ops/dcsr_ops.h"
#include "ops/port.h"
#include "toolchains/firmware/cycle_counter.h"

namespace {

// The parameters of a tensor in the job. The inputs come first, then the output.
struct JobTensor {
  int32_t type;  // 1: int8, 2: int16, 0: another
  int32_t is_constant;
  int32_t zero_point;
  int32_t rank;
  int32_t dims[dcsr::kMaxRank];
};

constexpr uint32_t kTensorParameters = sizeof(JobTensor) / sizeof(int32_t);
constexpr int32_t kScratchHandle = 0;

class StepPort final : public dcsr::Port {
 public:
  explicit StepPort(const Step* step)
      : step_(step),
        tensors_(reinterpret_cast<const JobTensor*>(step->parameter)),
        input_count_(static_cast<int32_t>(step->sections)) {}

  size_t state_bytes() const { return state_bytes_; }
  size_t scratch_bytes() const { return scratch_bytes_; }

  void* State() const override { return state_; }

  void LogError(const char* op, const char* subject, const char* cause) override {
    printf("%s: %s %s\n", op, subject, cause);
  }

  int32_t InputCount() const override { return input_count_; }
  int32_t OutputCount() const override { return 1; }

  bool GetInput(int32_t index, dcsr::TensorInfo* info) override {
    if (index < 0 || index >= input_count_) return false;
    Describe(tensors_[index], step_->section[index], step_->section_bytes[index], info);
    return true;
  }

  bool GetOutput(int32_t index, dcsr::TensorInfo* info) override {
    if (index != 0) return false;
    Describe(tensors_[input_count_], nullptr, step_->output_bytes, info);
    return true;
  }

  void* AllocateState(size_t bytes) override {
    state_bytes_ += bytes;
    state_ = job_allocate(bytes);
    return state_;
  }

  bool RequestScratch(size_t bytes, int32_t* handle) override {
    scratch_bytes_ += bytes;
    scratch_ = job_allocate(bytes);
    *handle = kScratchHandle;
    return scratch_ != nullptr;
  }

  const void* InputData(int32_t index) override { return step_->section[index]; }
  void* OutputData(int32_t) override { return step_->output; }
  void* Scratch(int32_t handle) override { return handle == kScratchHandle ? scratch_ : nullptr; }

 private:
  static void Describe(const JobTensor& tensor, const void* data, size_t bytes,
                       dcsr::TensorInfo* info) {
    info->type = tensor.type == 1   ? dcsr::TensorType::kInt8
                 : tensor.type == 2 ? dcsr::TensorType::kInt16
                                    : dcsr::TensorType::kOther;
    info->constant_data = tensor.is_constant ? data : nullptr;
    info->bytes = bytes;
    info->zero_point = tensor.zero_point;
    info->rank = tensor.rank;
    for (int32_t i = 0; i < dcsr::kMaxRank; ++i) info->dims[i] = tensor.dims[i];
  }

  const Step* const step_;
  const JobTensor* const tensors_;
  const int32_t input_count_;
  void* state_ = nullptr;
  void* scratch_ = nullptr;
  size_t state_bytes_ = 0;
  size_t scratch_bytes_ = 0;
};

using Function = bool (*)(dcsr::Port*);

struct Op {
  Function prepare;
  Function invoke;
};

// Nodes with shared rows have three inputs, and functions of their own.
bool Find(const Step& step, Op* op) {
  const bool is_shared = step.sections > 2;
  switch (step.kind) {
    case kStepDcsrConv2d:
      *op = is_shared ? Op{dcsr::PrepareConv2dWithSharedRows, dcsr::InvokeConv2dWithSharedRows}
                      : Op{dcsr::PrepareConv2d, dcsr::InvokeConv2d};
      return true;
    case kStepDcsrFullyConnected:
      *op = is_shared ? Op{dcsr::PrepareFullyConnectedWithSharedRows,
                           dcsr::InvokeFullyConnectedWithSharedRows}
                      : Op{dcsr::PrepareFullyConnected, dcsr::InvokeFullyConnected};
      return true;
    case kStepDcsrDepthwiseConv2d:
      *op = Op{dcsr::PrepareDepthwiseConv2d, dcsr::InvokeDepthwiseConv2d};
      return true;
    default:
      return false;
  }
}

bool Measure(Function function, dcsr::Port* port, uint64_t* instructions) {
  const uint64_t uncounted = job_overhead();
  const uint64_t start = cycle_counter_read();
  cycle_counter_mark_begin();
  const bool is_done = function(port);
  cycle_counter_mark_end();
  *instructions = cycle_counter_instructions(cycle_counter_read() - start - uncounted);
  return is_done;
}

}  // namespace

extern "C" StepStatus run_custom_step(const Step* step, StepCost* cost) {
  Op op;
  if (!Find(*step, &op)) return kStepUnknown;
  if (step->parameters != (step->sections + 1) * kTensorParameters) {
    printf("the job describes another number of tensors\n");
    return kStepFailed;
  }
  StepPort port(step);
  if (!Measure(op.prepare, &port, &cost->start_up)) return kStepFailed;
  if (!Measure(op.invoke, &port, &cost->inference)) return kStepFailed;
  cost->scratch_bytes = port.scratch_bytes();
  cost->persistent_bytes = port.state_bytes();
  return kStepDone;
}
