// What the custom ops need of the interpreter that runs them. One adapter for each kind of host
// implements it: wheel/ for the tflite-micro wheel of PyPI, testing/ for the unit tests.
//
// An adapter is made on the stack for one call of one node, so it holds no more than pointers.

#ifndef DCSR_OPS_PORT_H_
#define DCSR_OPS_PORT_H_

#include <stddef.h>
#include <stdint.h>

namespace dcsr {

inline constexpr int32_t kMaxRank = 8;

// What the ops tell apart.
enum class TensorType { kInt8, kInt16, kOther };

// A tensor as it is known while memory is planned. Everything is copied, so there is nothing to
// give back to the host, whatever the op does next.
struct TensorInfo {
  TensorType type;
  // Null if the tensor gets its content at inference.
  const void* constant_data;
  size_t bytes;
  // 0 if the tensor is not quantised.
  int32_t zero_point;
  // May exceed kMaxRank; `dims` then holds the first kMaxRank only.
  int32_t rank;
  int32_t dims[kMaxRank];
};

// Tensors are counted from 0 in the order that the model lists them.
class Port {
 public:
  // At any time.

  // State of the node that AllocateState returned, null before.
  virtual void* State() const = 0;
  // Reports why the op fails. `subject` is the tensor, or what else is wrong; all three are in
  // English.
  virtual void LogError(const char* op, const char* subject, const char* cause) = 0;

  // While memory is planned.

  virtual int32_t InputCount() const = 0;
  virtual int32_t OutputCount() const = 0;
  // False if the model gives no tensor, or there is no memory to look at it.
  virtual bool GetInput(int32_t index, TensorInfo* info) = 0;
  virtual bool GetOutput(int32_t index, TensorInfo* info) = 0;
  // Memory that lives as long as the interpreter, aligned to 4; null if there is none left.
  virtual void* AllocateState(size_t bytes) = 0;
  // Asks for memory for the duration of each inference. False if that cannot be.
  virtual bool RequestScratch(size_t bytes, int32_t* handle) = 0;

  // At inference.

  // Null if there is no data.
  virtual const void* InputData(int32_t index) = 0;
  virtual void* OutputData(int32_t index) = 0;
  // Uninitialised, aligned to 16.
  virtual void* Scratch(int32_t handle) = 0;

 protected:
  ~Port() = default;
};

}  // namespace dcsr

#endif  // DCSR_OPS_PORT_H_
