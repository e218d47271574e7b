// TFLM's types, wherever its headers have them: until autumn 2026 in the global namespace and in
// tflite, since then in tflite::micro. Code in dcsr::tflm finds them by their plain names.

#ifndef DCSR_OPS_TFLM_TFLM_TYPES_H_
#define DCSR_OPS_TFLM_TFLM_TYPES_H_

#include "tensorflow/lite/micro/micro_mutable_op_resolver.h"

namespace tflite::micro {}

namespace dcsr::tflm {

// Where headers have a name in more than one of the three, all are aliases of one thing.
using namespace ::tflite;         // NOLINT
using namespace ::tflite::micro;  // NOLINT

// For declarations outside of this namespace.
using Status = TfLiteStatus;
using Registration = TFLMRegistration;
inline constexpr Status kOk = kTfLiteOk;

}  // namespace dcsr::tflm

#endif  // DCSR_OPS_TFLM_TFLM_TYPES_H_
