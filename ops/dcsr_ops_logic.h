// Prepare and Invoke of the custom ops (dcsr_ops.h), as templates over the reader of packed layers.
//
// Two files include this header, one for each reader. Everything has internal linkage, so that each
// file gets code for its reader alone, and a firmware without shared rows needs no more flash.

#ifndef DCSR_OPS_DCSR_OPS_LOGIC_H_
#define DCSR_OPS_DCSR_OPS_LOGIC_H_

#include <stddef.h>
#include <stdint.h>

#include "ops/dcsr_ops.h"
#include "ops/port.h"
#include "tflm_kernels/common/conv_geometry.h"
#include "tflm_kernels/kernels.h"
#include "tflm_kernels/packed_layer.h"

namespace dcsr {
namespace {

constexpr int32_t kActivations = 0;
constexpr int32_t kPackedLayer = 1;
constexpr int32_t kInputs = 2;
constexpr int32_t kOutputs = 1;

constexpr char kInput[] = "input";
constexpr char kPacked[] = "packed layer";
constexpr char kOutput[] = "output";
constexpr char kMemory[] = "memory";

constexpr char kNoKernel[] =
    "needs a kernel that is not registered: use the header of this model, or AddDcsrOps";
constexpr char kWrongType[] = "its type is not that of the packed layer's activations";

constexpr int32_t kNoScratch = -1;

// State that Prepare passes to Invoke. Invoke parses the packed layer again. Parsing takes constant
// time, and a stored DcsrLayer would be much larger than this state. The shape is stored because
// Prepare has checked it. The bias, multipliers and shifts of a layer with shared rows follow it.
struct State {
  int32_t scratch;
  int32_t batches;
  int32_t height;  // of the input; FULLY_CONNECTED: 1
  int32_t width;
};
static_assert(sizeof(State) == kStateBytes);

// A node and the name of its op, for log messages.
struct Node {
  Port* port;
  const char* op;

  bool Fail(const char* subject, const char* cause) const {
    port->LogError(op, subject, cause);
    return false;
  }
};

struct Tensors {
  TensorInfo input;
  TensorInfo packed;
  TensorInfo output;
};

// Returns the number of elements, or 0 if a dimension is not positive or the product exceeds int32.
int32_t CountElements(const TensorInfo& tensor) {
  if (tensor.rank < 1 || tensor.rank > kMaxRank) return 0;
  int64_t count = 1;
  for (int32_t i = 0; i < tensor.rank; ++i) {
    if (tensor.dims[i] < 1) return 0;
    count *= tensor.dims[i];
    if (count > INT32_MAX) return 0;
  }
  return static_cast<int32_t>(count);
}

// Checks that `bytes` is the size that type and dimensions give.
bool CheckTensor(const Node& node, const char* name, const TensorInfo& tensor) {
  if (tensor.type == TensorType::kOther) return node.Fail(name, "is neither int8 nor int16");
  const int64_t elements = CountElements(tensor);
  const int64_t bytes = elements * (tensor.type == TensorType::kInt16 ? 2 : 1);
  if (bytes == 0 || bytes > INT32_MAX || static_cast<size_t>(bytes) != tensor.bytes) {
    return node.Fail(name, "has an impossible shape");
  }
  return true;
}

// The reader of packed layers with their own rows: `Rows` in the templates below.
class OwnRows {
 public:
  static constexpr char kWrongInputs[] = "are not two: shared rows need AddDcsrOpsWithSharedRows";

  static bool AcceptsInputs(int32_t count) { return count == kInputs; }

  // For Prepare: parses and validates.
  static bool Validate(const Node& node, const DcsrDecoders* decoders, const TensorInfo& packed,
                       DcsrLayer* layer) {
    DcsrStatus status = dcsr_layer_parse_with(decoders, packed.constant_data, packed.bytes, layer);
    if (status == kDcsrOk) status = dcsr_layer_validate(layer);
    if (status != kDcsrOk) return node.Fail(kPacked, dcsr_status_string(status));
    return true;
  }

  // For Prepare, after Validate(). Returns memory that begins with the State, or null.
  static void* AllocateState(Port* port) { return port->AllocateState(sizeof(State)); }

  // For Invoke: whether the tensors besides the packed layer have data.
  static bool HasData(Port*) { return true; }

  // For Invoke. Prepare has checked that the packed layer fits its tensors.
  static DcsrStatus Parse(Port*, const DcsrDecoders* decoders, const void* packed,
                          DcsrLayer* layer) {
    return dcsr_layer_parse_with(decoders, packed, SIZE_MAX, layer);
  }
};

template <typename Rows>
bool GetTensors(const Node& node, Tensors* tensors) {
  Port* port = node.port;
  if (!Rows::AcceptsInputs(port->InputCount())) return node.Fail("inputs", Rows::kWrongInputs);
  if (port->OutputCount() != kOutputs) return node.Fail("outputs", "are not one");
  if (!port->GetInput(kActivations, &tensors->input))
    return node.Fail(kInput, "is missing or unreadable");
  if (!port->GetInput(kPackedLayer, &tensors->packed))
    return node.Fail(kPacked, "is missing or unreadable");
  if (!port->GetOutput(0, &tensors->output)) return node.Fail(kOutput, "is missing or unreadable");

  if (!CheckTensor(node, kInput, tensors->input)) return false;
  if (tensors->packed.type != TensorType::kInt8) return node.Fail(kPacked, "is not int8");
  if (!CheckTensor(node, kPacked, tensors->packed)) return false;
  if (!CheckTensor(node, kOutput, tensors->output)) return false;
  // Inference would overwrite the model.
  if (tensors->output.constant_data != nullptr) return node.Fail(kOutput, "is constant");
  return true;
}

template <typename Rows>
bool GetLayer(const Node& node, const Op& op, const Tensors& tensors, Rows* rows,
              DcsrLayer* layer) {
  const TensorInfo& packed = tensors.packed;
  if (packed.constant_data == nullptr) return node.Fail(kPacked, "is not constant");
  if (!rows->Validate(node, op.kernels->decoders, packed, layer)) return false;
  if (layer->op != op.op) return node.Fail(kPacked, "belongs to another op");
  const TensorType type = layer->int16_activations ? TensorType::kInt16 : TensorType::kInt8;
  if (tensors.input.type != type) return node.Fail(kInput, kWrongType);
  if (tensors.output.type != type) return node.Fail(kOutput, kWrongType);
  if (tensors.input.zero_point != layer->input_zero_point) {
    return node.Fail(kInput, "its zero point is not that of the packed layer");
  }
  if (tensors.output.zero_point != layer->output_zero_point) {
    return node.Fail(kOutput, "its zero point is not that of the packed layer");
  }
  return true;
}

bool CheckFullyConnectedShape(const Node& node, const Tensors& tensors, const DcsrLayer& layer,
                              DcsrConvShape* shape) {
  const int32_t elements = CountElements(tensors.input);
  const auto cols = static_cast<int32_t>(layer.cols);
  if (elements % cols != 0) {
    return node.Fail(kInput, "its size is no multiple of the packed layer's columns");
  }
  const int32_t batches = elements / cols;

  const TensorInfo& output = tensors.output;
  const auto rows = static_cast<int32_t>(layer.rows);
  if (output.dims[output.rank - 1] != rows) {
    return node.Fail(kOutput, "its last dimension is not the packed layer's rows");
  }
  if (CountElements(output) != static_cast<int64_t>(batches) * rows) {
    return node.Fail(kOutput, "its batches are not those of the input");
  }
  *shape = dcsr_fully_connected_shape(batches);
  return true;
}

// Checks a tensor of a convolution, [batches, height, width, channels].
bool CheckNhwc(const Node& node, const char* name, const TensorInfo& tensor, uint32_t channels) {
  if (tensor.rank != 4) return node.Fail(name, "does not have 4 dimensions");
  if (tensor.dims[3] == static_cast<int32_t>(channels)) return true;
  return node.Fail(name, name == kOutput ? "its channels are not the packed layer's rows"
                                         : "its channels are not those of the packed layer");
}

// Checks the tensors of a layer with a layout. A layer that was parsed has one only if `decoders`
// lists layouts.
bool CheckLayoutShape(const Node& node, const DcsrDecoders* decoders, const Tensors& tensors,
                      const DcsrLayer& layer, DcsrConvShape* shape) {
  constexpr char kWrong[] = "its shape is not that of the packed layer's layout";
  const TensorInfo& input = tensors.input;
  const TensorInfo& output = tensors.output;
  const DcsrLayouts* layouts = decoders->layouts;
  if (!layouts->fits(&layer, false, input.dims, input.rank, shape))
    return node.Fail(kInput, kWrong);
  if (!layouts->fits(&layer, true, output.dims, output.rank, shape)) {
    return node.Fail(kOutput, kWrong);
  }
  return true;
}

bool CheckConvolutionShape(const Node& node, const DcsrDecoders* decoders, const Tensors& tensors,
                           const DcsrLayer& layer, DcsrConvShape* shape) {
  const TensorInfo& input = tensors.input;
  const TensorInfo& output = tensors.output;
  if (layer.layout != nullptr) return CheckLayoutShape(node, decoders, tensors, layer, shape);
  if (!CheckNhwc(node, kInput, input, layer.channels) ||
      !CheckNhwc(node, kOutput, output, layer.rows)) {
    return false;
  }
  if (input.dims[0] != output.dims[0]) {
    return node.Fail(kOutput, "its batches are not those of the input");
  }
  if (!dcsr_conv_shape(&layer, input.dims[0], input.dims[1], input.dims[2], shape)) {
    return node.Fail(kInput, "is smaller than the filter");
  }
  if (output.dims[1] != shape->output_height || output.dims[2] != shape->output_width) {
    return node.Fail(kOutput, "its height and width do not follow from those of the input");
  }
  return true;
}

// Plans the layer. Invoke also plans, so that the state need not hold the plan.
DcsrPlan PlanLayer(const DcsrKernels* kernels, const DcsrLayer& layer, const DcsrConvShape& shape) {
  DcsrPlan plan;
  dcsr_plan(kernels, &layer, &shape, dcsr_scratch_budget(kernels, &layer), &plan);
  return plan;
}

template <typename Rows>
bool KeepState(const Node& node, const Rows& rows, State state, const DcsrPlan& plan) {
  if (plan.kernel == nullptr) return node.Fail(kPacked, kNoKernel);
  const size_t scratch_bytes = plan.scratch_bytes;
  state.scratch = kNoScratch;
  if (scratch_bytes > 0 && !node.port->RequestScratch(scratch_bytes, &state.scratch)) {
    return node.Fail(kMemory, "there is none for the scratch buffer");
  }
  void* memory = rows.AllocateState(node.port);
  if (memory == nullptr) return node.Fail(kMemory, "there is none for the state");
  *static_cast<State*>(memory) = state;
  return true;
}

// Arguments of a kernel.
struct Call {
  State state;
  DcsrLayer layer;
  const void* input;  // int8 or int16
  void* output;
  void* scratch;
};

template <typename Rows>
bool GetCall(const Node& node, const DcsrDecoders* decoders, Call* call) {
  Port* port = node.port;
  if (port->State() == nullptr) return node.Fail("node", "was not prepared");
  call->state = *static_cast<const State*>(port->State());
  call->input = port->InputData(kActivations);
  if (call->input == nullptr) return node.Fail(kInput, "has no data");
  call->output = port->OutputData(0);
  if (call->output == nullptr) return node.Fail(kOutput, "has no data");

  const void* packed = port->InputData(kPackedLayer);
  if (packed == nullptr) return node.Fail(kPacked, "has no data");
  if (!Rows::HasData(port)) return node.Fail("shared rows", "has no data");
  const DcsrStatus status = Rows::Parse(port, decoders, packed, &call->layer);
  if (status != kDcsrOk) return node.Fail(kPacked, dcsr_status_string(status));

  call->scratch = nullptr;
  if (call->state.scratch != kNoScratch) {
    call->scratch = port->Scratch(call->state.scratch);
    if (call->scratch == nullptr) return node.Fail(kMemory, "the scratch buffer is missing");
  }
  return true;
}

template <typename Rows>
bool PrepareWith(Port* port, const Op& op) {
  const Node node = {port, op.name};
  Tensors tensors;
  Rows rows;
  DcsrLayer layer;
  DcsrConvShape shape;
  if (!GetTensors<Rows>(node, &tensors)) return false;
  if (!GetLayer(node, op, tensors, &rows, &layer)) return false;
  const bool fits = op.op == kDcsrOpFullyConnected
                        ? CheckFullyConnectedShape(node, tensors, layer, &shape)
                        : CheckConvolutionShape(node, op.kernels->decoders, tensors, layer, &shape);
  if (!fits) return false;
  return KeepState(node, rows, {kNoScratch, shape.batches, shape.input_height, shape.input_width},
                   PlanLayer(op.kernels, layer, shape));
}

template <typename Rows>
bool InvokeWith(Port* port, const Op& op) {
  const Node node = {port, op.name};
  Call call;
  if (!GetCall<Rows>(node, op.kernels->decoders, &call)) return false;
  const State& state = call.state;
  DcsrConvShape shape;
  dcsr_conv_shape(&call.layer, state.batches, state.height, state.width, &shape);
  const DcsrPlan plan = PlanLayer(op.kernels, call.layer, shape);
  dcsr_run(&plan, &call.layer, &shape, call.input, call.output, call.scratch);
  return true;
}

}  // namespace
}  // namespace dcsr

#endif  // DCSR_OPS_DCSR_OPS_LOGIC_H_
