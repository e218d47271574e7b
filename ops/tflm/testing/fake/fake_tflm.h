// A fake of TensorFlow Lite Micro, to compile and run the adapter without TFLM's sources. Declares
// only the part that the adapter uses. Names, types and meanings are those of TFLM; layouts and
// values are not. The headers with TFLM's names in this folder include this file.
//
// DCSR_FAKE_TFLM selects the namespaces:
//   1  until autumn 2026: C types in the global namespace, classes in tflite
//   2  since then: all in tflite::micro, with aliases at the old names
//   3  like 2, without aliases

#ifndef DCSR_OPS_TFLM_TESTING_FAKE_FAKE_TFLM_H_
#define DCSR_OPS_TFLM_TESTING_FAKE_FAKE_TFLM_H_

#include <stddef.h>
#include <stdint.h>
#include <string.h>

void MicroPrintf(const char* format, ...);

#if DCSR_FAKE_TFLM > 1
namespace tflite {
namespace micro {
#endif

typedef enum TfLiteStatus { kTfLiteOk = 0, kTfLiteError = 1 } TfLiteStatus;
typedef enum { kTfLiteInt32 = 2, kTfLiteInt16 = 7, kTfLiteInt8 = 9 } TfLiteType;
typedef enum { kTfLiteMmapRo = 1, kTfLiteArenaRw = 2 } TfLiteAllocationType;

typedef struct TfLiteIntArray {
  int size;
  int data[8];
} TfLiteIntArray;

typedef struct TfLiteQuantizationParams {
  float scale;
  int32_t zero_point;
} TfLiteQuantizationParams;

typedef union TfLitePtrUnion {
  int8_t* int8;
  void* data;
} TfLitePtrUnion;

typedef struct TfLiteTensor {
  TfLiteQuantizationParams params;
  TfLitePtrUnion data;
  TfLiteIntArray* dims;
  size_t bytes;
  TfLiteType type;
  TfLiteAllocationType allocation_type;
} TfLiteTensor;

typedef struct TfLiteEvalTensor {
  TfLitePtrUnion data;
  TfLiteIntArray* dims;
  TfLiteType type;
} TfLiteEvalTensor;

typedef struct TfLiteNode {
  TfLiteIntArray* inputs;
  TfLiteIntArray* outputs;
  void* user_data;
} TfLiteNode;

typedef struct TfLiteContext {
  void* impl_;
} TfLiteContext;

typedef struct TFLMRegistration {
  void* (*init)(TfLiteContext* context, const char* buffer, size_t length);
  TfLiteStatus (*prepare)(TfLiteContext* context, TfLiteNode* node);
  TfLiteStatus (*invoke)(TfLiteContext* context, TfLiteNode* node);
  const char* custom_name;
} TFLMRegistration;

#if DCSR_FAKE_TFLM == 1
namespace tflite {
#endif

class MicroContext {
 public:
  virtual void* AllocatePersistentBuffer(size_t bytes) = 0;
  virtual TfLiteStatus RequestScratchBufferInArena(size_t bytes, int* buffer_idx) = 0;
  virtual void* GetScratchBuffer(int buffer_idx) = 0;
  virtual TfLiteTensor* AllocateTempTfLiteTensor(int tensor_idx) = 0;
  virtual void DeallocateTempTfLiteTensor(TfLiteTensor* tensor) = 0;
  virtual TfLiteEvalTensor* GetEvalTensor(int tensor_idx) = 0;

 protected:
  ~MicroContext() = default;
};

inline MicroContext* GetMicroContext(const TfLiteContext* context) {
  return reinterpret_cast<MicroContext*>(context->impl_);
}

template <unsigned int tOpCount>
class MicroMutableOpResolver {
 public:
  // As in TFLM's first version with TFLMRegistration, which is stricter than later ones.
  TfLiteStatus AddCustom(const char* name, TFLMRegistration* registration) {
    if (count_ == tOpCount || FindOp(name) != nullptr) return kTfLiteError;
    registrations_[count_] = *registration;
    registrations_[count_++].custom_name = name;
    return kTfLiteOk;
  }

  // Some builtin operators, which the fake finds by their names.
  TfLiteStatus AddAveragePool2D() { return AddBuiltin("AVERAGE_POOL_2D"); }
  TfLiteStatus AddConv2D() { return AddBuiltin("CONV_2D"); }
  TfLiteStatus AddDepthwiseConv2D() { return AddBuiltin("DEPTHWISE_CONV_2D"); }
  TfLiteStatus AddFullyConnected() { return AddBuiltin("FULLY_CONNECTED"); }
  TfLiteStatus AddMean() { return AddBuiltin("MEAN"); }
  TfLiteStatus AddReshape() { return AddBuiltin("RESHAPE"); }
  TfLiteStatus AddSoftmax() { return AddBuiltin("SOFTMAX"); }

  unsigned int GetRegistrationLength() const { return count_; }

  const TFLMRegistration* FindOp(const char* name) const {
    for (unsigned int i = 0; i < count_; ++i) {
      if (strcmp(registrations_[i].custom_name, name) == 0) return &registrations_[i];
    }
    return nullptr;
  }

 private:
  TfLiteStatus AddBuiltin(const char* name) {
    TFLMRegistration registration = {};
    return AddCustom(name, &registration);
  }

  TFLMRegistration registrations_[tOpCount];
  unsigned int count_ = 0;
};

#if DCSR_FAKE_TFLM == 1
namespace micro {
#endif

inline TFLMRegistration RegisterOp(
    void* (*init)(TfLiteContext* context, const char* buffer, size_t length),
    TfLiteStatus (*prepare)(TfLiteContext* context, TfLiteNode* node),
    TfLiteStatus (*invoke)(TfLiteContext* context, TfLiteNode* node)) {
  return {init, prepare, invoke, nullptr};
}

}  // namespace micro

#if DCSR_FAKE_TFLM == 2
using micro::GetMicroContext;
using micro::kTfLiteArenaRw;
using micro::kTfLiteError;
using micro::kTfLiteInt16;
using micro::kTfLiteInt8;
using micro::kTfLiteMmapRo;
using micro::kTfLiteOk;
using micro::MicroContext;
using micro::MicroMutableOpResolver;
using micro::TfLiteContext;
using micro::TfLiteEvalTensor;
using micro::TfLiteIntArray;
using micro::TfLiteNode;
using micro::TfLiteStatus;
using micro::TfLiteTensor;
using micro::TfLiteType;
using micro::TFLMRegistration;
#endif

}  // namespace tflite

#if DCSR_FAKE_TFLM == 2
using ::tflite::micro::kTfLiteArenaRw;
using ::tflite::micro::kTfLiteError;
using ::tflite::micro::kTfLiteInt16;
using ::tflite::micro::kTfLiteInt8;
using ::tflite::micro::kTfLiteMmapRo;
using ::tflite::micro::kTfLiteOk;
using ::tflite::micro::TfLiteContext;
using ::tflite::micro::TfLiteEvalTensor;
using ::tflite::micro::TfLiteIntArray;
using ::tflite::micro::TfLiteNode;
using ::tflite::micro::TfLiteStatus;
using ::tflite::micro::TfLiteTensor;
using ::tflite::micro::TfLiteType;
using ::tflite::micro::TFLMRegistration;
#endif

#endif  // DCSR_OPS_TFLM_TESTING_FAKE_FAKE_TFLM_H_
