// The custom ops (dcsr_ops.h) for layers with shared rows and for those with their own.

#include "ops/dcsr_ops.h"
#include "ops/dcsr_ops_logic.h"
#include "tflm_kernels/packed_layer.h"

namespace dcsr {
namespace {

constexpr int32_t kSharedRows = 2;
constexpr int32_t kInputsWithSharedRows = 3;

constexpr char kShared[] = "shared rows";

// Reads packed layers with shared rows, and those with their own.
class AnyRows {
 public:
  static constexpr char kWrongInputs[] =
      "are not two or three: activations, packed layer, shared rows";

  static bool AcceptsInputs(int32_t count) {
    return count == kInputs || count == kInputsWithSharedRows;
  }

  bool Validate(const Node& node, const DcsrDecoders* decoders, const TensorInfo& packed,
                DcsrLayer* layer) {
    Port* port = node.port;
    if (port->InputCount() == kInputs) return OwnRows::Validate(node, decoders, packed, layer);
    TensorInfo shared;
    if (!port->GetInput(kSharedRows, &shared))
      return node.Fail(kShared, "is missing or unreadable");
    if (shared.type != TensorType::kInt8) return node.Fail(kShared, "is not int8");
    if (!CheckTensor(node, kShared, shared)) return false;
    if (shared.constant_data == nullptr) return node.Fail(kShared, "is not constant");

    DcsrSharedRows rows;
    DcsrStatus status =
        dcsr_shared_layer_parse_with(decoders, packed.constant_data, packed.bytes,
                                     shared.constant_data, shared.bytes, layer, &rows);
    if (status == kDcsrOk) {
      state_ = port->AllocateState(sizeof(State) + dcsr_derived_rows_bytes(layer));
      if (state_ == nullptr) return node.Fail(kMemory, "there is none for the state");
      status = dcsr_shared_layer_validate(layer, &rows, DerivedRows(state_));
    }
    return status == kDcsrOk || node.Fail(kPacked, dcsr_status_string(status));
  }

  void* AllocateState(Port* port) const {
    return state_ != nullptr ? state_ : OwnRows::AllocateState(port);
  }

  static bool HasData(Port* port) {
    return port->InputCount() == kInputs || port->InputData(kSharedRows) != nullptr;
  }

  static DcsrStatus Parse(Port* port, const DcsrDecoders* decoders, const void* packed,
                          DcsrLayer* layer) {
    if (port->InputCount() == kInputs) return OwnRows::Parse(port, decoders, packed, layer);
    DcsrSharedRows rows;
    const DcsrStatus status = dcsr_shared_layer_parse_with(
        decoders, packed, SIZE_MAX, port->InputData(kSharedRows), SIZE_MAX, layer, &rows);
    if (status == kDcsrOk) dcsr_use_derived_rows(layer, DerivedRows(port->State()));
    return status;
  }

 private:
  static void* DerivedRows(void* state) { return static_cast<State*>(state) + 1; }

  void* state_ = nullptr;  // of a layer with shared rows, followed by the derived rows
};

}  // namespace

bool PrepareWithSharedRows(Port* port, const Op& op) { return PrepareWith<AnyRows>(port, op); }

bool InvokeWithSharedRows(Port* port, const Op& op) { return InvokeWith<AnyRows>(port, op); }

bool PrepareConv2dWithSharedRows(Port* port) {
  return PrepareWithSharedRows(port, {kConv2dName, kDcsrOpConv2d, dcsr_conv2d_kernels()});
}

bool InvokeConv2dWithSharedRows(Port* port) {
  return InvokeWithSharedRows(port, {kConv2dName, kDcsrOpConv2d, dcsr_conv2d_kernels()});
}

bool PrepareFullyConnectedWithSharedRows(Port* port) {
  return PrepareWithSharedRows(
      port, {kFullyConnectedName, kDcsrOpFullyConnected, dcsr_fully_connected_kernels()});
}

bool InvokeFullyConnectedWithSharedRows(Port* port) {
  return InvokeWithSharedRows(
      port, {kFullyConnectedName, kDcsrOpFullyConnected, dcsr_fully_connected_kernels()});
}

bool PrepareDepthwiseConv2dWithSharedRows(Port* port) {
  return PrepareWithSharedRows(
      port, {kDepthwiseConv2dName, kDcsrOpDepthwiseConv2d, dcsr_depthwise_conv2d_kernels()});
}

bool InvokeDepthwiseConv2dWithSharedRows(Port* port) {
  return InvokeWithSharedRows(
      port, {kDepthwiseConv2dName, kDcsrOpDepthwiseConv2d, dcsr_depthwise_conv2d_kernels()});
}

}  // namespace dcsr
