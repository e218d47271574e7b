// The part of TFLM's C++ ABI that an op uses, as in the tflite-micro wheels for 64-bit Linux.
//
// The wheels contain no headers, only exported symbols. These layouts were measured on wheels from
// September 2025 to October 2026. wheel_plugin.cc rejects wheels with another layout.

#ifndef DCSR_OPS_WHEEL_WHEEL_ABI_H_
#define DCSR_OPS_WHEEL_WHEEL_ABI_H_

#include <stddef.h>
#include <stdint.h>

namespace dcsr::wheel {

static_assert(sizeof(void*) == 8 && sizeof(size_t) == 8);

// TfLiteStatus.
inline constexpr int32_t kStatusOk = 0;
inline constexpr int32_t kStatusError = 1;

// TfLiteType, TfLiteAllocationType, BuiltinOperator.
inline constexpr int32_t kTypeInt16 = 7;
inline constexpr int32_t kTypeInt8 = 9;
inline constexpr int32_t kAllocationReadOnly = 1;
inline constexpr int32_t kBuiltinCustom = 32;

// TfLiteIntArray.
struct IntArray {
  int32_t size;
  int32_t data[1];  // `size` of them
};

// TfLiteTensor, used during memory planning.
struct Tensor {
  int32_t quantization_type;
  const void* quantization_params;
  float scale;
  int32_t zero_point;  // 0 if not quantised
  void* data;
  const IntArray* dims;
  size_t bytes;
  int32_t type;
  int32_t allocation_type;
  bool is_variable;
};
static_assert(offsetof(Tensor, zero_point) == 20);
static_assert(offsetof(Tensor, data) == 24);
static_assert(offsetof(Tensor, dims) == 32);
static_assert(offsetof(Tensor, bytes) == 40);
static_assert(offsetof(Tensor, type) == 48);
static_assert(offsetof(Tensor, allocation_type) == 52);
static_assert(sizeof(Tensor) == 64);

// TfLiteEvalTensor, the same tensor during inference.
struct EvalTensor {
  void* data;
  const IntArray* dims;
  int32_t type;
};
static_assert(sizeof(EvalTensor) == 24);

// TfLiteNode.
struct Node {
  const IntArray* inputs;
  const IntArray* outputs;
  const IntArray* intermediates;
  void* user_data;
  void* builtin_data;
  const void* custom_initial_data;
  int32_t custom_initial_data_size;
};
static_assert(offsetof(Node, user_data) == 24);
static_assert(sizeof(Node) == 56);

// TfLiteContext: only its pointer to the MicroContext is known.
struct Context;

// Virtual functions of tflite::MicroContext, in the order of the vtable. The first argument is the
// MicroContext.
struct MicroContextVtable {
  void* destructors[2];
  void* (*allocate_persistent_buffer)(void* self, size_t bytes);
  int32_t (*request_scratch_buffer_in_arena)(void* self, size_t bytes, int32_t* index);
  void* (*get_scratch_buffer)(void* self, int32_t index);
  Tensor* (*allocate_temp_tensor)(void* self, int32_t tensor);
  void (*deallocate_temp_tensor)(void* self, Tensor* tensor);
  void* allocate_temp_buffer;
  void* deallocate_temp_buffer;
  EvalTensor* (*get_eval_tensor)(void* self, int32_t tensor);
};
static_assert(sizeof(MicroContextVtable) == 10 * sizeof(void*));

struct MicroContext {
  const MicroContextVtable* vtable;
};

// TFLMRegistration.
struct Registration {
  void* (*init)(Context*, const char* options, size_t size);
  void (*free)(Context*, void* buffer);
  int32_t (*prepare)(Context*, Node*);
  int32_t (*invoke)(Context*, Node*);
  void (*reset)(Context*, void* buffer);
  int32_t builtin_code;
  const char* custom_name;
};
static_assert(offsetof(Registration, builtin_code) == 40);
static_assert(sizeof(Registration) == 56);

// tflite::PythonOpsResolver, a MicroMutableOpResolver<200>.
struct Resolver;

struct ResolverVtable {
  const Registration* (*find_builtin)(const Resolver* self, int32_t builtin_code);
  const Registration* (*find_custom)(const Resolver* self, const char* name);
};

inline constexpr uint32_t kResolverCapacity = 200;

struct Resolver {
  const ResolverVtable* vtable;
  Registration registrations[kResolverCapacity];
  uint32_t registrations_len;
  int32_t builtin_codes[kResolverCapacity];
  void* builtin_parsers[kResolverCapacity];
  uint32_t builtin_len;
};
static_assert(offsetof(Resolver, registrations_len) == 11208);
static_assert(offsetof(Resolver, builtin_parsers) == 12016);
static_assert(sizeof(Resolver) == 13624);

}  // namespace dcsr::wheel

#endif  // DCSR_OPS_WHEEL_WHEEL_ABI_H_
