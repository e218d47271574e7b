// The custom ops (dcsr_ops.h) for layers with their own rows.

#include "ops/dcsr_ops.h"

#include "ops/dcsr_ops_logic.h"

namespace dcsr {

bool Prepare(Port* port, const Op& op) { return PrepareWith<OwnRows>(port, op); }

bool Invoke(Port* port, const Op& op) { return InvokeWith<OwnRows>(port, op); }

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
