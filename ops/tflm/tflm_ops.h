// The custom ops for TensorFlow Lite Micro built from source. The header that `compress --cc`
// writes beside a model includes this one and registers exactly what the model needs. A firmware
// for any model adds all ops itself:
//
//   #include "ops/tflm/tflm_ops.h"
//
//   tflite::MicroMutableOpResolver<6> resolver;  // 3 of them for these ops
//   resolver.AddSoftmax();
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
// kConv2dName, kFullyConnectedName and kDepthwiseConv2dName. They hold no state: any number of
// interpreters in any number of threads can share them.
tflm::Registration Register_DCSR_CONV_2D();
tflm::Registration Register_DCSR_FULLY_CONNECTED();
tflm::Registration Register_DCSR_DEPTHWISE_CONV_2D();

// The same for models with shared rows as well (docs/embedding.md#shared-rows).
tflm::Registration Register_DCSR_CONV_2D_WITH_SHARED_ROWS();
tflm::Registration Register_DCSR_FULLY_CONNECTED_WITH_SHARED_ROWS();
tflm::Registration Register_DCSR_DEPTHWISE_CONV_2D_WITH_SHARED_ROWS();

// The same for models in an image that was verified as a whole (AddDcsrOpsOfVerifiedImage).
tflm::Registration Register_DCSR_CONV_2D_OF_VERIFIED_IMAGE();
tflm::Registration Register_DCSR_FULLY_CONNECTED_OF_VERIFIED_IMAGE();
tflm::Registration Register_DCSR_DEPTHWISE_CONV_2D_OF_VERIFIED_IMAGE();

namespace tflm {

// Calls a function of the op with a node.
Status CallWith(TfLiteContext* context, TfLiteNode* node, bool (*function)(Port*, const Op&),
                const Op& op);

Registration MakeRegistration(Status (*prepare)(TfLiteContext*, TfLiteNode*),
                              Status (*invoke)(TfLiteContext*, TfLiteNode*));

template <bool (*function)(Port*, const Op&), const Op& op>
Status CallOp(TfLiteContext* context, TfLiteNode* node) {
  return CallWith(context, node, function, op);
}

// The registration of an op with a table of kernels of one's own.
template <const Op& op>
Registration RegistrationOf() {
  return MakeRegistration(CallOp<Prepare, op>, CallOp<Invoke, op>);
}

template <const Op& op>
Registration RegistrationOfVerifiedImage() {
  return MakeRegistration(CallOp<PrepareOfVerifiedImage, op>, CallOp<Invoke, op>);
}

template <const Op& op>
Registration RegistrationWithSharedRowsOf() {
  return MakeRegistration(CallOp<PrepareWithSharedRows, op>, CallOp<InvokeWithSharedRows, op>);
}

// Adds one op. The registration is copied: early versions of AddCustom() require that it is not
// const.
template <unsigned int N>
Status AddOp(MicroMutableOpResolver<N>& resolver, const char* name, Registration registration) {
  return resolver.AddCustom(name, &registration);
}

template <unsigned int N>
Status AddOps(MicroMutableOpResolver<N>& resolver, Registration conv2d,
              Registration fully_connected, Registration depthwise_conv2d) {
  Status status = AddOp(resolver, kConv2dName, conv2d);
  if (status == kOk) status = AddOp(resolver, kFullyConnectedName, fully_connected);
  if (status == kOk) status = AddOp(resolver, kDepthwiseConv2dName, depthwise_conv2d);
  return status;
}

}  // namespace tflm

// Each adds one op. The linker drops the kernels of an op that a firmware does not add. They return
// kTfLiteError, after a message of the resolver, if it has no room or already has the op.
template <unsigned int N>
tflm::Status AddDcsrConv2d(tflm::MicroMutableOpResolver<N>& resolver) {
  return tflm::AddOp(resolver, kConv2dName, Register_DCSR_CONV_2D());
}

template <unsigned int N>
tflm::Status AddDcsrFullyConnected(tflm::MicroMutableOpResolver<N>& resolver) {
  return tflm::AddOp(resolver, kFullyConnectedName, Register_DCSR_FULLY_CONNECTED());
}

template <unsigned int N>
tflm::Status AddDcsrDepthwiseConv2d(tflm::MicroMutableOpResolver<N>& resolver) {
  return tflm::AddOp(resolver, kDepthwiseConv2dName, Register_DCSR_DEPTHWISE_CONV_2D());
}

// Adds all three ops. Returns kTfLiteError, after a message of the resolver, if it has no room for
// three ops or already has one of them.
template <unsigned int N>
tflm::Status AddDcsrOps(tflm::MicroMutableOpResolver<N>& resolver) {
  return tflm::AddOps(resolver, Register_DCSR_CONV_2D(), Register_DCSR_FULLY_CONNECTED(),
                      Register_DCSR_DEPTHWISE_CONV_2D());
}

// AddDcsrOps() for firmware whose image, with the model in it, was verified as a whole before it
// runs (secure boot). AllocateTensors checks a checksum of each packed layer, which `compress
// --verified-image` writes, in place of its streams. A checksum protects against damage, not
// against an attacker: from a model that is not part of the verified image, inference may leave its
// buffers.
template <unsigned int N>
tflm::Status AddDcsrOpsOfVerifiedImage(tflm::MicroMutableOpResolver<N>& resolver) {
  return tflm::AddOps(resolver, Register_DCSR_CONV_2D_OF_VERIFIED_IMAGE(),
                      Register_DCSR_FULLY_CONNECTED_OF_VERIFIED_IMAGE(),
                      Register_DCSR_DEPTHWISE_CONV_2D_OF_VERIFIED_IMAGE());
}

// AddDcsrOps() for models with shared rows as well: `compress` says which models have them.
template <unsigned int N>
tflm::Status AddDcsrOpsWithSharedRows(tflm::MicroMutableOpResolver<N>& resolver) {
  return tflm::AddOps(resolver, Register_DCSR_CONV_2D_WITH_SHARED_ROWS(),
                      Register_DCSR_FULLY_CONNECTED_WITH_SHARED_ROWS(),
                      Register_DCSR_DEPTHWISE_CONV_2D_WITH_SHARED_ROWS());
}

}  // namespace dcsr

#endif  // DCSR_OPS_TFLM_TFLM_OPS_H_
