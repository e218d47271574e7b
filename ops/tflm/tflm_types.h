// TFLM's types, independent of their namespace: until autumn 2026 the global one and tflite, since
// then tflite::micro. Code in dcsr::tflm uses their unqualified names.

#ifndef DCSR_OPS_TFLM_TFLM_TYPES_H_
#define DCSR_OPS_TFLM_TFLM_TYPES_H_

#include "tensorflow/lite/micro/micro_mutable_op_resolver.h"

namespace tflite::micro {}

namespace dcsr::tflm {

// If a name exists in several of the three namespaces, all are aliases of the same entity.
using namespace ::tflite;         // NOLINT
using namespace ::tflite::micro;  // NOLINT

// For declarations outside this namespace.
using Status = TfLiteStatus;
using Registration = TFLMRegistration;
inline constexpr Status kOk = kTfLiteOk;

}  // namespace dcsr::tflm

#endif  // DCSR_OPS_TFLM_TFLM_TYPES_H_
