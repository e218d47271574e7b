// An interpreter for one node, using the fake TFLM. It has a given amount of memory and counts the
// resources that the op acquires and releases.

#ifndef DCSR_OPS_TFLM_TESTING_ONE_NODE_CONTEXT_H_
#define DCSR_OPS_TFLM_TESTING_ONE_NODE_CONTEXT_H_

#include <stddef.h>
#include <stdint.h>

#include <initializer_list>

#include "ops/tflm/tflm_ops.h"
#include "tensorflow/lite/micro/micro_context.h"

namespace dcsr::tflm {

enum { kInput, kPackedLayer, kOutput, kTensors };

class OneNodeContext final : public MicroContext {
 public:
  OneNodeContext() {
    node_.inputs = &inputs_;
    node_.outputs = &outputs_;
    inputs_ = {2, {kInput, kPackedLayer}};
    outputs_ = {1, {kOutput}};
  }

  // During memory planning the op sees `data` only for the packed layer.
  void SetTensor(int index, TfLiteType type, std::initializer_list<int> dims, int zero_point,
                 void* data) {
    TfLiteTensor& tensor = tensors_[index];
    TfLiteIntArray& shape = dims_[index];
    shape.size = 0;
    tensor.bytes = type == kTfLiteInt16 ? 2 : 1;
    for (const int dim : dims) {
      shape.data[shape.size++] = dim;
      tensor.bytes *= static_cast<size_t>(dim);
    }
    tensor.dims = &shape;
    tensor.type = type;
    tensor.params.zero_point = zero_point;
    tensor.allocation_type = index == kPackedLayer ? kTfLiteMmapRo : kTfLiteArenaRw;
    tensor.data.data = index == kPackedLayer ? data : nullptr;
    eval_tensors_[index] = {{}, &shape, type};
    eval_tensors_[index].data.data = data;
  }

  // Makes a tensor one of the arena, although its data can be read.
  void MakeWritable(int index) { tensors_[index].allocation_type = kTfLiteArenaRw; }

  void SetArena(void* arena, size_t bytes) {
    free_ = static_cast<uint8_t*>(arena);
    end_ = free_ + bytes;
  }

  // Marks an optional input as omitted by the model.
  void OmitInput(int index) { inputs_.data[index] = -1; }
  // Gives the node a tensor as its third input.
  void AddThirdInput(int index) { inputs_ = {3, {inputs_.data[0], inputs_.data[1], index}}; }
  void AllowScratch(bool allowed) { scratch_allowed_ = allowed; }
  void AllowTensors(bool allowed) { tensors_allowed_ = allowed; }

  TfLiteStatus Prepare(const TFLMRegistration& op) {
    TfLiteContext context = {this};
    return op.prepare(&context, &node_);
  }

  TfLiteStatus Invoke(const TFLMRegistration& op) {
    TfLiteContext context = {this};
    return op.invoke(&context, &node_);
  }

  int tensors_not_given_back() const { return taken_; }

  void* AllocatePersistentBuffer(size_t bytes) override { return Allocate(bytes); }

  TfLiteStatus RequestScratchBufferInArena(size_t bytes, int* buffer_idx) override {
    scratch_ = scratch_allowed_ ? Allocate(bytes) : nullptr;
    *buffer_idx = kScratchHandle;
    return scratch_ == nullptr ? kTfLiteError : kTfLiteOk;
  }

  void* GetScratchBuffer(int buffer_idx) override {
    return buffer_idx == kScratchHandle ? scratch_ : nullptr;
  }

  TfLiteTensor* AllocateTempTfLiteTensor(int tensor_idx) override {
    if (!tensors_allowed_) return nullptr;
    ++taken_;
    return &tensors_[tensor_idx];
  }

  void DeallocateTempTfLiteTensor(TfLiteTensor*) override { --taken_; }

  TfLiteEvalTensor* GetEvalTensor(int tensor_idx) override { return &eval_tensors_[tensor_idx]; }

 private:
  static constexpr int kScratchHandle = 7;
  static constexpr size_t kAlignment = 16;

  void* Allocate(size_t bytes) {
    uint8_t* start =
        free_ + (kAlignment - reinterpret_cast<uintptr_t>(free_) % kAlignment) % kAlignment;
    if (start > end_ || bytes > static_cast<size_t>(end_ - start)) return nullptr;
    free_ = start + bytes;
    return start;
  }

  TfLiteNode node_ = {};
  TfLiteIntArray inputs_;
  TfLiteIntArray outputs_;
  TfLiteTensor tensors_[kTensors] = {};
  TfLiteEvalTensor eval_tensors_[kTensors] = {};
  TfLiteIntArray dims_[kTensors] = {};
  uint8_t* free_ = nullptr;
  uint8_t* end_ = nullptr;
  void* scratch_ = nullptr;
  bool scratch_allowed_ = true;
  bool tensors_allowed_ = true;
  int taken_ = 0;
};

}  // namespace dcsr::tflm

#endif  // DCSR_OPS_TFLM_TESTING_ONE_NODE_CONTEXT_H_
