// The custom ops DCSR_CONV_2D, DCSR_FULLY_CONNECTED and DCSR_DEPTHWISE_CONV_2D, independent of the
// interpreter (port.h).
//
// The ops have two or three inputs and one output:
//
//             DCSR_CONV_2D, DCSR_DEPTHWISE_CONV_2D           DCSR_FULLY_CONNECTED
//   input 0   [batches, height, width, channels]             batches * cols elements, any shape
//   input 1   the packed layer (docs/format.md), constant, int8
//   input 2   only with shared rows (version 2): the streams, constant, int8
//   output 0  [batches, output height, output width, rows]   batches * rows elements, [..., rows]
//
// With a layout (version 2), input 0 and the output of a convolution are planes, int8
// [1, channels, plane bytes], or one of them is, and the other one is [1, height, width, channels].
//
// Input 0 and the output are int8 or int16, the type of the packed layer's activations, and have
// its zero points. DCSR_DEPTHWISE_CONV_2D takes only int8 and has no shared rows.
//
// The Prepare functions validate the model, including the bytes of the packed layer, so that the
// Invoke functions never leave their buffers. They request kStateBytes of persistent memory and the
// kernel's scratch. With shared rows, the persistent memory also holds bias, multiplier and shift
// of each row, 9 bytes (13 with int16 activations), which Prepare derives.
//
// Each function logs the reason before it returns false.

#ifndef DCSR_OPS_DCSR_OPS_H_
#define DCSR_OPS_DCSR_OPS_H_

#include <stddef.h>

#include "ops/port.h"
#include "tflm_kernels/kernels.h"

namespace dcsr {

inline constexpr char kConv2dName[] = "DCSR_CONV_2D";
inline constexpr char kFullyConnectedName[] = "DCSR_FULLY_CONNECTED";
inline constexpr char kDepthwiseConv2dName[] = "DCSR_DEPTHWISE_CONV_2D";

// Bytes of persistent memory of a node, besides those of derived rows.
inline constexpr size_t kStateBytes = 16;

// An op, and the kernels that it may run.
struct Op {
  const char* name;
  DcsrOp op;
  const DcsrKernels* kernels;
};

// Prepare and Invoke of an op with any table of kernels. The linker leaves out the kernels and the
// readers of encodings that no table names. A node that would need one of them is refused.
[[nodiscard]] bool Prepare(Port* port, const Op& op);
[[nodiscard]] bool Invoke(Port* port, const Op& op);
[[nodiscard]] bool PrepareWithSharedRows(Port* port, const Op& op);
[[nodiscard]] bool InvokeWithSharedRows(Port* port, const Op& op);

// The same with all kernels of the core. These refuse a node with shared rows.
[[nodiscard]] bool PrepareConv2d(Port* port);
[[nodiscard]] bool InvokeConv2d(Port* port);

[[nodiscard]] bool PrepareFullyConnected(Port* port);
[[nodiscard]] bool InvokeFullyConnected(Port* port);

[[nodiscard]] bool PrepareDepthwiseConv2d(Port* port);
[[nodiscard]] bool InvokeDepthwiseConv2d(Port* port);

// Prepare for firmware whose image, with the model in it, was verified as a whole before it runs
// (secure boot). They check header and checksum of a packed layer, not its streams, so Invoke stays
// within its buffers only if the packed layer is what `compress --verified-image` wrote. They
// refuse layers without a checksum.
[[nodiscard]] bool PrepareOfVerifiedImage(Port* port, const Op& op);
[[nodiscard]] bool PrepareConv2dOfVerifiedImage(Port* port);
[[nodiscard]] bool PrepareFullyConnectedOfVerifiedImage(Port* port);
[[nodiscard]] bool PrepareDepthwiseConv2dOfVerifiedImage(Port* port);

// These also take nodes with shared rows. They are separate functions, so that the linker leaves
// the reader of shared rows out of a firmware that does not register them. Those for
// DCSR_DEPTHWISE_CONV_2D refuse shared rows, too; a firmware that registers the others links one
// reader with them, not two.
[[nodiscard]] bool PrepareConv2dWithSharedRows(Port* port);
[[nodiscard]] bool InvokeConv2dWithSharedRows(Port* port);

[[nodiscard]] bool PrepareFullyConnectedWithSharedRows(Port* port);
[[nodiscard]] bool InvokeFullyConnectedWithSharedRows(Port* port);

[[nodiscard]] bool PrepareDepthwiseConv2dWithSharedRows(Port* port);
[[nodiscard]] bool InvokeDepthwiseConv2dWithSharedRows(Port* port);

}  // namespace dcsr

#endif  // DCSR_OPS_DCSR_OPS_H_
