// The custom ops (dcsr_ops.h) for layers with their own rows.

#include "ops/dcsr_ops.h"

#include "ops/dcsr_ops_logic.h"

namespace dcsr {

bool PrepareConv2d(Port* port) { return PrepareConv2dWith<OwnRows>(port); }

bool InvokeConv2d(Port* port) { return InvokeConv2dWith<OwnRows>(port); }

bool PrepareFullyConnected(Port* port) { return PrepareFullyConnectedWith<OwnRows>(port); }

bool InvokeFullyConnected(Port* port) { return InvokeFullyConnectedWith<OwnRows>(port); }

}  // namespace dcsr
