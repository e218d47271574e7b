// The custom ops for TensorFlow Lite Micro built from source. All that a firmware needs:
//
//   #include "ops/tflm/tflm_ops.h"
//
//   tflite::MicroMutableOpResolver<5> resolver;  // 2 of them for the ops here
//   resolver.AddDepthwiseConv2D();
//   ...
//   dcsr::AddDcsrOps(resolver);
//
// Types are those of the headers that this is compiled with, whichever namespace those have them
// in.

#ifndef DCSR_OPS_TFLM_TFLM_OPS_H_
#define DCSR_OPS_TFLM_TFLM_OPS_H_

#include "ops/dcsr_ops.h"
#include "ops/tflm/tflm_types.h"

namespace dcsr {

// The ops as TFLM's kernels offer theirs, to be copied or passed to AddCustom() under kConv2dName
// and kFullyConnectedName. They hold no state: any number of interpreters, in any number of
// threads, can use one at once.
tflm::Registration Register_DCSR_CONV_2D();
tflm::Registration Register_DCSR_FULLY_CONNECTED();

// Adds both ops. kTfLiteError, after a message of the resolver, if there is no room for two more or
// one of them is there already.
template <unsigned int N>
tflm::Status AddDcsrOps(tflm::MicroMutableOpResolver<N>& resolver) {
  // Not const: TFLM's first versions of AddCustom() ask for that, though they only copy.
  tflm::Registration conv2d = Register_DCSR_CONV_2D();
  tflm::Registration fully_connected = Register_DCSR_FULLY_CONNECTED();
  const tflm::Status status = resolver.AddCustom(kConv2dName, &conv2d);
  if (status != tflm::kOk) return status;
  return resolver.AddCustom(kFullyConnectedName, &fully_connected);
}

}  // namespace dcsr

#endif  // DCSR_OPS_TFLM_TFLM_OPS_H_
