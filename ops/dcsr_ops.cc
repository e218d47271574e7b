// The custom ops (dcsr_ops.h) for layers with their own rows.

#include "ops/dcsr_ops.h"

#include "ops/dcsr_ops_logic.h"

namespace dcsr {
namespace {

// The reader of packed layers in an image that was verified as a whole: checks their checksum.
class VerifiedRows : public OwnRows {
 public:
  static bool Validate(const Node& node, const DcsrDecoders* decoders, const TensorInfo& packed,
                       DcsrLayer* layer) {
    DcsrStatus status = dcsr_layer_parse_with(decoders, packed.constant_data, packed.bytes, layer);
    if (status == kDcsrOk) status = dcsr_layer_check_sum(layer);
    if (status != kDcsrOk) return node.Fail(kPacked, dcsr_status_string(status));
    return true;
  }
};

}  // namespace

bool Prepare(Port* port, const Op& op) { return PrepareWith<OwnRows>(port, op); }

bool PrepareOfVerifiedImage(Port* port, const Op& op) {
  return PrepareWith<VerifiedRows>(port, op);
}

bool Invoke(Port* port, const Op& op) { return InvokeWith<OwnRows>(port, op); }

bool PrepareConv2dOfVerifiedImage(Port* port) {
  return PrepareOfVerifiedImage(port, {kConv2dName, kDcsrOpConv2d, dcsr_conv2d_kernels()});
}

bool PrepareFullyConnectedOfVerifiedImage(Port* port) {
  return PrepareOfVerifiedImage(
      port, {kFullyConnectedName, kDcsrOpFullyConnected, dcsr_fully_connected_kernels()});
}

bool PrepareDepthwiseConv2dOfVerifiedImage(Port* port) {
  return PrepareOfVerifiedImage(
      port, {kDepthwiseConv2dName, kDcsrOpDepthwiseConv2d, dcsr_depthwise_conv2d_kernels()});
}

bool PrepareConv2d(Port* port) {
  return Prepare(port, {kConv2dName, kDcsrOpConv2d, dcsr_conv2d_kernels()});
}

bool InvokeConv2d(Port* port) {
  return Invoke(port, {kConv2dName, kDcsrOpConv2d, dcsr_conv2d_kernels()});
}

bool PrepareFullyConnected(Port* port) {
  return Prepare(port,
                 {kFullyConnectedName, kDcsrOpFullyConnected, dcsr_fully_connected_kernels()});
}

bool InvokeFullyConnected(Port* port) {
  return Invoke(port, {kFullyConnectedName, kDcsrOpFullyConnected, dcsr_fully_connected_kernels()});
}

bool PrepareDepthwiseConv2d(Port* port) {
  return Prepare(port,
                 {kDepthwiseConv2dName, kDcsrOpDepthwiseConv2d, dcsr_depthwise_conv2d_kernels()});
}

bool InvokeDepthwiseConv2d(Port* port) {
  return Invoke(port,
                {kDepthwiseConv2dName, kDcsrOpDepthwiseConv2d, dcsr_depthwise_conv2d_kernels()});
}

}  // namespace dcsr
