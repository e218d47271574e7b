// The custom ops for TensorFlow Lite Micro built from source. Firmware needs only this header:
//
//   #include "ops/tflm/tflm_ops.h"
//
//   tflite::MicroMutableOpResolver<5> resolver;  // 2 of them for these ops
//   resolver.AddDepthwiseConv2D();
//   ...
//   dcsr::AddDcsrOps(resolver);
//
// Types are those of the TFLM headers at compile time, in any of their namespaces.

#ifndef DCSR_OPS_TFLM_TFLM_OPS_H_
#define DCSR_OPS_TFLM_TFLM_OPS_H_

#include "ops/dcsr_ops.h"
#include "ops/tflm/tflm_types.h"

namespace dcsr {

// Registrations like those of TFLM's kernels. Copy them, or pass them to AddCustom() with the names
// kConv2dName and kFullyConnectedName. They hold no state: any number of interpreters in any number
// of threads can share them.
tflm::Registration Register_DCSR_CONV_2D();
tflm::Registration Register_DCSR_FULLY_CONNECTED();

// Adds both ops. Returns kTfLiteError, after a message of the resolver, if it has no room for two
// ops or already has one of them.
template <unsigned int N>
tflm::Status AddDcsrOps(tflm::MicroMutableOpResolver<N>& resolver) {
  // Not const: early versions of AddCustom() require that, although they only copy.
  tflm::Registration conv2d = Register_DCSR_CONV_2D();
  tflm::Registration fully_connected = Register_DCSR_FULLY_CONNECTED();
  const tflm::Status status = resolver.AddCustom(kConv2dName, &conv2d);
  if (status != tflm::kOk) return status;
  return resolver.AddCustom(kFullyConnectedName, &fully_connected);
}

}  // namespace dcsr

#endif  // DCSR_OPS_TFLM_TFLM_OPS_H_
