// Implements the port with TFLM's MicroContext.

#include "ops/tflm/tflm_port.h"

#include "tensorflow/lite/micro/micro_log.h"

namespace dcsr::tflm {
namespace {

int32_t Count(const TfLiteIntArray* tensors) { return tensors == nullptr ? 0 : tensors->size; }

// Index of a tensor in the model; negative for an omitted optional tensor.
int TensorIndex(const TfLiteIntArray* tensors, int32_t index) {
  return index < Count(tensors) ? tensors->data[index] : -1;
}

TensorType Type(TfLiteType type) {
  if (type == kTfLiteInt8) return TensorType::kInt8;
  if (type == kTfLiteInt16) return TensorType::kInt16;
  return TensorType::kOther;
}

void CopyInfo(const TfLiteTensor& tensor, TensorInfo* info) {
  info->type = Type(tensor.type);
  info->constant_data = tensor.allocation_type == kTfLiteMmapRo ? tensor.data.data : nullptr;
  info->bytes = tensor.bytes;
  info->zero_point = tensor.params.zero_point;
  info->rank = Count(tensor.dims);
  for (int32_t i = 0; i < info->rank && i < kMaxRank; ++i) info->dims[i] = tensor.dims->data[i];
}

}  // namespace

void* TflmPort::State() const { return node_->user_data; }

void TflmPort::LogError(const char* op, const char* subject, const char* cause) {
  MicroPrintf("%s: %s: %s", op, subject, cause);
  // Unused if TF_LITE_STRIP_ERROR_STRINGS removes the message.
  static_cast<void>(op);
  static_cast<void>(subject);
  static_cast<void>(cause);
}

int32_t TflmPort::InputCount() const { return Count(node_->inputs); }

int32_t TflmPort::OutputCount() const { return Count(node_->outputs); }

bool TflmPort::GetInput(int32_t index, TensorInfo* info) {
  return GetTensor(TensorIndex(node_->inputs, index), info);
}

bool TflmPort::GetOutput(int32_t index, TensorInfo* info) {
  return GetTensor(TensorIndex(node_->outputs, index), info);
}

bool TflmPort::GetTensor(int tensor, TensorInfo* info) {
  if (tensor < 0) return false;
  TfLiteTensor* temporary = context_->AllocateTempTfLiteTensor(tensor);
  if (temporary == nullptr) return false;
  CopyInfo(*temporary, info);
  // AllocateTensors() fails if an op does not release it.
  context_->DeallocateTempTfLiteTensor(temporary);
  return true;
}

void* TflmPort::AllocateState(size_t bytes) {
  node_->user_data = context_->AllocatePersistentBuffer(bytes);
  return node_->user_data;
}

bool TflmPort::RequestScratch(size_t bytes, int32_t* handle) {
  // int is not int32_t on every platform.
  int buffer;
  if (context_->RequestScratchBufferInArena(bytes, &buffer) != kTfLiteOk) return false;
  *handle = buffer;
  return true;
}

const void* TflmPort::InputData(int32_t index) { return Data(TensorIndex(node_->inputs, index)); }

void* TflmPort::OutputData(int32_t index) { return Data(TensorIndex(node_->outputs, index)); }

void* TflmPort::Data(int tensor) {
  if (tensor < 0) return nullptr;
  const TfLiteEvalTensor* eval_tensor = context_->GetEvalTensor(tensor);
  return eval_tensor == nullptr ? nullptr : eval_tensor->data.data;
}

void* TflmPort::Scratch(int32_t handle) { return context_->GetScratchBuffer(handle); }

}  // namespace dcsr::tflm
