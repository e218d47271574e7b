// The custom ops DCSR_CONV_2D and DCSR_FULLY_CONNECTED, whatever interpreter runs them (port.h).
//
// Both have the inputs (activations, packed layer) and one output; what the packed layer is says
// docs/format.md.
//
// The Prepare functions check all that the model could get wrong, the bytes of the packed layer
// included, so that the Invoke functions stay in bounds. Those ask for kStateBytes of memory that
// lasts, and for the scratch of the kernel.
//
// All return false after they have logged why.

#ifndef DCSR_OPS_DCSR_OPS_H_
#define DCSR_OPS_DCSR_OPS_H_

#include <stddef.h>

#include "ops/port.h"

namespace dcsr {

inline constexpr char kConv2dName[] = "DCSR_CONV_2D";
inline constexpr char kFullyConnectedName[] = "DCSR_FULLY_CONNECTED";

// Lasting memory of a node.
inline constexpr size_t kStateBytes = 16;

[[nodiscard]] bool PrepareConv2d(Port* port);
[[nodiscard]] bool InvokeConv2d(Port* port);

[[nodiscard]] bool PrepareFullyConnected(Port* port);
[[nodiscard]] bool InvokeFullyConnected(Port* port);

}  // namespace dcsr

#endif  // DCSR_OPS_DCSR_OPS_H_
