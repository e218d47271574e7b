// The interface between the custom ops and the interpreter. An adapter implements it for one kind
// of host: wheel/ for the tflite-micro wheel of PyPI, tflm/ for TFLM's sources, testing/ for the
// unit tests.
//
// An adapter object is created on the stack for one call of one node and holds only pointers.

#ifndef DCSR_OPS_PORT_H_
#define DCSR_OPS_PORT_H_

#include <stddef.h>
#include <stdint.h>

namespace dcsr {

inline constexpr int32_t kMaxRank = 8;

// The types that the ops distinguish.
enum class TensorType { kInt8, kInt16, kOther };

// A tensor during memory planning. All fields are copies, so nothing has to be returned to the
// host.
struct TensorInfo {
  TensorType type;
  // Null if the content is not known before inference.
  const void* constant_data;
  size_t bytes;
  // 0 if the tensor is not quantised.
  int32_t zero_point;
  // May exceed kMaxRank. `dims` holds at most the first kMaxRank dimensions.
  int32_t rank;
  int32_t dims[kMaxRank];
};

// Tensors are numbered from 0 in the order of the model.
class Port {
 public:
  // Callable at any time.

  // The memory that AllocateState returned, or null before that call.
  virtual void* State() const = 0;
  // Reports why the op fails. `subject` is the tensor or other object at fault. All arguments are
  // English text.
  virtual void LogError(const char* op, const char* subject, const char* cause) = 0;

  virtual int32_t InputCount() const = 0;

  // Callable during memory planning.

  virtual int32_t OutputCount() const = 0;
  // Returns false if the model has no such tensor, or memory to read it is exhausted.
  virtual bool GetInput(int32_t index, TensorInfo* info) = 0;
  virtual bool GetOutput(int32_t index, TensorInfo* info) = 0;
  // Returns memory with the lifetime of the interpreter, aligned to 4. Null if memory is exhausted.
  virtual void* AllocateState(size_t bytes) = 0;
  // Requests memory for the duration of each inference. Returns false if it is not available.
  virtual bool RequestScratch(size_t bytes, int32_t* handle) = 0;

  // Callable at inference.

  // Return null if the tensor has no data.
  virtual const void* InputData(int32_t index) = 0;
  virtual void* OutputData(int32_t index) = 0;
  // Returns the memory that RequestScratch requested: not initialised, aligned to 16. Null if it is
  // missing.
  virtual void* Scratch(int32_t handle) = 0;

 protected:
  ~Port() = default;
};

}  // namespace dcsr

#endif  // DCSR_OPS_PORT_H_
