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

// The same for models with shared rows as well (docs/embedding.md#shared-rows).
tflm::Registration Register_DCSR_CONV_2D_WITH_SHARED_ROWS();
tflm::Registration Register_DCSR_FULLY_CONNECTED_WITH_SHARED_ROWS();

namespace tflm {

// The parameters are not const: early versions of AddCustom() require that, although they only
// copy.
template <unsigned int N>
Status AddOps(MicroMutableOpResolver<N>& resolver, Registration conv2d,
              Registration fully_connected) {
  const Status status = resolver.AddCustom(kConv2dName, &conv2d);
  if (status != kOk) return status;
  return resolver.AddCustom(kFullyConnectedName, &fully_connected);
}

}  // namespace tflm

// Adds both ops. Returns kTfLiteError, after a message of the resolver, if it has no room for two
// ops or already has one of them.
template <unsigned int N>
tflm::Status AddDcsrOps(tflm::MicroMutableOpResolver<N>& resolver) {
  return tflm::AddOps(resolver, Register_DCSR_CONV_2D(), Register_DCSR_FULLY_CONNECTED());
}

// AddDcsrOps() for models with shared rows as well: `compress` says which models have them.
template <unsigned int N>
tflm::Status AddDcsrOpsWithSharedRows(tflm::MicroMutableOpResolver<N>& resolver) {
  return tflm::AddOps(resolver, Register_DCSR_CONV_2D_WITH_SHARED_ROWS(),
                      Register_DCSR_FULLY_CONNECTED_WITH_SHARED_ROWS());
}

}  // namespace dcsr

#endif  // DCSR_OPS_TFLM_TFLM_OPS_H_
