// The custom ops (dcsr_ops.h) for layers with their own rows.

#include "ops/dcsr_ops.h"

#include "ops/dcsr_ops_logic.h"

namespace dcsr {

bool PrepareConv2d(Port* port) { return PrepareConvolutionWith<OwnRows>(port, kConv2d); }

bool InvokeConv2d(Port* port) { return InvokeConvolutionWith<OwnRows>(port, kConv2d); }

bool PrepareFullyConnected(Port* port) { return PrepareFullyConnectedWith<OwnRows>(port); }

bool InvokeFullyConnected(Port* port) { return InvokeFullyConnectedWith<OwnRows>(port); }

bool PrepareDepthwiseConv2d(Port* port) {
  return PrepareConvolutionWith<OwnRows>(port, kDepthwiseConv2d);
}

bool InvokeDepthwiseConv2d(Port* port) {
  return InvokeConvolutionWith<OwnRows>(port, kDepthwiseConv2d);
}

}  // namespace dcsr
