// Implements the port with the wheel's ABI (wheel_abi.h).

#ifndef DCSR_OPS_WHEEL_WHEEL_PORT_H_
#define DCSR_OPS_WHEEL_WHEEL_PORT_H_

#include "ops/port.h"
#include "ops/wheel/wheel_abi.h"

namespace dcsr::wheel {

class WheelPort final : public Port {
 public:
  WheelPort(MicroContext* context, Node* node) : context_(context), node_(node) {}

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
  bool GetTensor(int32_t tensor, TensorInfo* info);
  void* Data(int32_t tensor);

  MicroContext* const context_;
  Node* const node_;
};

}  // namespace dcsr::wheel

#endif  // DCSR_OPS_WHEEL_WHEEL_PORT_H_
