// The ops as TFLM registrations.

#include "ops/tflm/tflm_ops.h"

#include "ops/tflm/tflm_port.h"
#include "tensorflow/lite/micro/kernels/kernel_util.h"

namespace dcsr {
namespace tflm {
namespace {

template <bool (*function)(Port*)>
TfLiteStatus Call(TfLiteContext* context, TfLiteNode* node) {
  TflmPort port(context, node);
  return function(&port) ? kTfLiteOk : kTfLiteError;
}

}  // namespace

Status CallWith(TfLiteContext* context, TfLiteNode* node, bool (*function)(Port*, const Op&),
                const Op& op) {
  TflmPort port(context, node);
  return function(&port, op) ? kTfLiteOk : kTfLiteError;
}

Registration MakeRegistration(Status (*prepare)(TfLiteContext*, TfLiteNode*),
                              Status (*invoke)(TfLiteContext*, TfLiteNode*)) {
  return ::tflite::micro::RegisterOp(nullptr, prepare, invoke);
}

}  // namespace tflm

tflm::Registration Register_DCSR_CONV_2D() {
  return tflite::micro::RegisterOp(nullptr, tflm::Call<PrepareConv2d>, tflm::Call<InvokeConv2d>);
}

tflm::Registration Register_DCSR_FULLY_CONNECTED() {
  return tflite::micro::RegisterOp(nullptr, tflm::Call<PrepareFullyConnected>,
                                   tflm::Call<InvokeFullyConnected>);
}

tflm::Registration Register_DCSR_DEPTHWISE_CONV_2D() {
  return tflite::micro::RegisterOp(nullptr, tflm::Call<PrepareDepthwiseConv2d>,
                                   tflm::Call<InvokeDepthwiseConv2d>);
}

tflm::Registration Register_DCSR_CONV_2D_OF_VERIFIED_IMAGE() {
  return tflite::micro::RegisterOp(nullptr, tflm::Call<PrepareConv2dOfVerifiedImage>,
                                   tflm::Call<InvokeConv2d>);
}

tflm::Registration Register_DCSR_FULLY_CONNECTED_OF_VERIFIED_IMAGE() {
  return tflite::micro::RegisterOp(nullptr, tflm::Call<PrepareFullyConnectedOfVerifiedImage>,
                                   tflm::Call<InvokeFullyConnected>);
}

tflm::Registration Register_DCSR_DEPTHWISE_CONV_2D_OF_VERIFIED_IMAGE() {
  return tflite::micro::RegisterOp(nullptr, tflm::Call<PrepareDepthwiseConv2dOfVerifiedImage>,
                                   tflm::Call<InvokeDepthwiseConv2d>);
}

tflm::Registration Register_DCSR_CONV_2D_WITH_SHARED_ROWS() {
  return tflite::micro::RegisterOp(nullptr, tflm::Call<PrepareConv2dWithSharedRows>,
                                   tflm::Call<InvokeConv2dWithSharedRows>);
}

tflm::Registration Register_DCSR_FULLY_CONNECTED_WITH_SHARED_ROWS() {
  return tflite::micro::RegisterOp(nullptr, tflm::Call<PrepareFullyConnectedWithSharedRows>,
                                   tflm::Call<InvokeFullyConnectedWithSharedRows>);
}

tflm::Registration Register_DCSR_DEPTHWISE_CONV_2D_WITH_SHARED_ROWS() {
  return tflite::micro::RegisterOp(nullptr, tflm::Call<PrepareDepthwiseConv2dWithSharedRows>,
                                   tflm::Call<InvokeDepthwiseConv2dWithSharedRows>);
}

}  // namespace dcsr
