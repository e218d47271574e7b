// Implements the port with TFLM's MicroContext.

#ifndef DCSR_OPS_TFLM_TFLM_PORT_H_
#define DCSR_OPS_TFLM_TFLM_PORT_H_

#include "ops/port.h"
#include "ops/tflm/tflm_types.h"
#include "tensorflow/lite/micro/micro_context.h"

namespace dcsr::tflm {

class TflmPort final : public Port {
 public:
  TflmPort(TfLiteContext* context, TfLiteNode* node)
      : context_(GetMicroContext(context)), node_(node) {}

  void* State() const override;
  void LogError(const char* op, const char* subject, const char* cause) override;
  int32_t InputCount() const override;
  int32_t OutputCount() const override;
  bool GetInput(int32_t index, TensorInfo* info) override;
  bool GetOutput(int32_t index, TensorInfo* info) override;
  void* AllocateState(size_t bytes) override;
  bool RequestScratch(size_t bytes, int32_t* handle) override;
  const void* InputData(int32_t index) override;
  void* OutputData(int32_t index) override;
  void* Scratch(int32_t handle) override;

 private:
  bool GetTensor(int tensor, TensorInfo* info);
  void* Data(int tensor);

  MicroContext* const context_;
  TfLiteNode* const node_;
};

}  // namespace dcsr::tflm

#endif  // DCSR_OPS_TFLM_TFLM_PORT_H_
