// The custom ops DCSR_CONV_2D and DCSR_FULLY_CONNECTED, independent of the interpreter (port.h).
//
// Both have the inputs (activations, packed layer) and one output. docs/format.md defines the
// packed layer.
//
// The Prepare functions validate the model, including the bytes of the packed layer, so that the
// Invoke functions never leave their buffers. They request kStateBytes of persistent memory and the
// kernel's scratch.
//
// All functions log the reason before they return false.

#ifndef DCSR_OPS_DCSR_OPS_H_
#define DCSR_OPS_DCSR_OPS_H_

#include <stddef.h>

#include "ops/port.h"

namespace dcsr {

inline constexpr char kConv2dName[] = "DCSR_CONV_2D";
inline constexpr char kFullyConnectedName[] = "DCSR_FULLY_CONNECTED";

// Persistent memory of a node.
inline constexpr size_t kStateBytes = 16;

[[nodiscard]] bool PrepareConv2d(Port* port);
[[nodiscard]] bool InvokeConv2d(Port* port);

[[nodiscard]] bool PrepareFullyConnected(Port* port);
[[nodiscard]] bool InvokeFullyConnected(Port* port);

}  // namespace dcsr

#endif  // DCSR_OPS_DCSR_OPS_H_
