// Implements the port with the wheel's ABI.

#include "ops/wheel/wheel_port.h"

#include <stdio.h>

namespace dcsr::wheel {
namespace {

int32_t Count(const IntArray* tensors) { return tensors == nullptr ? 0 : tensors->size; }

// Index of a tensor in the model; negative for an omitted optional tensor.
int32_t TensorIndex(const IntArray* tensors, int32_t index) {
  return index < Count(tensors) ? tensors->data[index] : -1;
}

TensorType Type(int32_t type) {
  switch (type) {
    case kTypeInt8:
      return TensorType::kInt8;
    case kTypeInt16:
      return TensorType::kInt16;
    default:
      return TensorType::kOther;
  }
}

void CopyInfo(const Tensor& tensor, TensorInfo* info) {
  info->type = Type(tensor.type);
  info->constant_data = tensor.allocation_type == kAllocationReadOnly ? tensor.data : nullptr;
  info->bytes = tensor.bytes;
  info->zero_point = tensor.zero_point;
  info->rank = Count(tensor.dims);
  for (int32_t i = 0; i < info->rank && i < kMaxRank; ++i) info->dims[i] = tensor.dims->data[i];
}

}  // namespace

void* WheelPort::State() const { return node_->user_data; }

// Prints to stderr, as TFLM does.
void WheelPort::LogError(const char* op, const char* subject, const char* cause) {
  fprintf(stderr, "%s: %s: %s\n", op, subject, cause);
}

int32_t WheelPort::InputCount() const { return Count(node_->inputs); }

int32_t WheelPort::OutputCount() const { return Count(node_->outputs); }

bool WheelPort::GetInput(int32_t index, TensorInfo* info) {
  return GetTensor(TensorIndex(node_->inputs, index), info);
}

bool WheelPort::GetOutput(int32_t index, TensorInfo* info) {
  return GetTensor(TensorIndex(node_->outputs, index), info);
}

bool WheelPort::GetTensor(int32_t tensor, TensorInfo* info) {
  if (tensor < 0) return false;
  Tensor* temporary = context_->vtable->allocate_temp_tensor(context_, tensor);
  if (temporary == nullptr) return false;
  CopyInfo(*temporary, info);
  // The interpreter crashes if an op does not release it.
  context_->vtable->deallocate_temp_tensor(context_, temporary);
  return true;
}

void* WheelPort::AllocateState(size_t bytes) {
  node_->user_data = context_->vtable->allocate_persistent_buffer(context_, bytes);
  return node_->user_data;
}

bool WheelPort::RequestScratch(size_t bytes, int32_t* handle) {
  return context_->vtable->request_scratch_buffer_in_arena(context_, bytes, handle) == kStatusOk;
}

const void* WheelPort::InputData(int32_t index) { return Data(TensorIndex(node_->inputs, index)); }

void* WheelPort::OutputData(int32_t index) { return Data(TensorIndex(node_->outputs, index)); }

void* WheelPort::Data(int32_t tensor) {
  if (tensor < 0) return nullptr;
  const EvalTensor* eval_tensor = context_->vtable->get_eval_tensor(context_, tensor);
  return eval_tensor == nullptr ? nullptr : eval_tensor->data;
}

void* WheelPort::Scratch(int32_t handle) {
  return context_->vtable->get_scratch_buffer(context_, handle);
}

}  // namespace dcsr::wheel
