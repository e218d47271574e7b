// Implementation of the custom ops (dcsr_ops.h).

#include "ops/dcsr_ops.h"

#include "tflm_kernels/common/conv_geometry.h"
#include "tflm_kernels/kernels.h"
#include "tflm_kernels/packed_layer.h"

namespace dcsr {
namespace {

constexpr int32_t kActivations = 0;
constexpr int32_t kPackedLayer = 1;
constexpr int32_t kSharedRows = 2;  // optional
constexpr int32_t kInputs = 2;
constexpr int32_t kInputsWithSharedRows = 3;
constexpr int32_t kOutputs = 1;

// Without shared rows a firmware is smaller: docs/embedding.md#shared-rows.
#ifdef DCSR_NO_SHARED_ROWS
constexpr bool kReadsSharedRows = false;
constexpr char kWrongInputs[] = "are not two: activations and packed layer (no shared rows)";
#else
constexpr bool kReadsSharedRows = true;
constexpr char kWrongInputs[] = "are not two or three: activations, packed layer, shared rows";
#endif

constexpr char kInput[] = "input";
constexpr char kPacked[] = "packed layer";
constexpr char kShared[] = "shared rows";
constexpr char kOutput[] = "output";
constexpr char kMemory[] = "memory";

constexpr char kWrongType[] = "its type is not that of the packed layer's activations";

constexpr char kNoState[] = "there is none for the state";

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

void* DerivedRows(void* state) { return static_cast<State*>(state) + 1; }

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
  TensorInfo shared;
  bool has_shared;
  TensorInfo output;
};

// A layer during Prepare.
struct Layer {
  DcsrLayer view;
  void* state;  // kStateBytes and the derived rows; null if the layer has its own rows
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

bool CheckConstant(const Node& node, const char* name, const TensorInfo& tensor) {
  if (tensor.type != TensorType::kInt8) return node.Fail(name, "is not int8");
  if (!CheckTensor(node, name, tensor)) return false;
  return tensor.constant_data != nullptr || node.Fail(name, "is not constant");
}

bool GetTensors(const Node& node, Tensors* tensors) {
  Port* port = node.port;
  const int32_t inputs = port->InputCount();
  tensors->has_shared = kReadsSharedRows && inputs == kInputsWithSharedRows;
  if (inputs != kInputs && !tensors->has_shared) return node.Fail("inputs", kWrongInputs);
  if (port->OutputCount() != kOutputs) return node.Fail("outputs", "are not one");
  if (!port->GetInput(kActivations, &tensors->input))
    return node.Fail(kInput, "is missing or unreadable");
  if (!port->GetInput(kPackedLayer, &tensors->packed))
    return node.Fail(kPacked, "is missing or unreadable");
  if (kReadsSharedRows && tensors->has_shared && !port->GetInput(kSharedRows, &tensors->shared)) {
    return node.Fail(kShared, "is missing or unreadable");
  }
  if (!port->GetOutput(0, &tensors->output)) return node.Fail(kOutput, "is missing or unreadable");

  if (!CheckTensor(node, kInput, tensors->input)) return false;
  if (!CheckConstant(node, kPacked, tensors->packed)) return false;
  if (kReadsSharedRows && tensors->has_shared && !CheckConstant(node, kShared, tensors->shared)) {
    return false;
  }
  if (!CheckTensor(node, kOutput, tensors->output)) return false;
  // Inference would overwrite the model.
  if (tensors->output.constant_data != nullptr) return node.Fail(kOutput, "is constant");
  return true;
}

// Allocates the state, because the rows that validation derives follow it.
bool GetLayerWithSharedRows(const Node& node, const Tensors& tensors, Layer* layer) {
  const TensorInfo& packed = tensors.packed;
  const TensorInfo& shared = tensors.shared;
  DcsrSharedRows rows;
  DcsrStatus status = dcsr_shared_layer_parse(
      packed.constant_data, packed.bytes, shared.constant_data, shared.bytes, &layer->view, &rows);
  if (status != kDcsrOk) return node.Fail(kPacked, dcsr_status_string(status));
  layer->state = node.port->AllocateState(sizeof(State) + dcsr_derived_rows_bytes(&layer->view));
  if (layer->state == nullptr) return node.Fail(kMemory, kNoState);
  status = dcsr_shared_layer_validate(&layer->view, &rows, DerivedRows(layer->state));
  return status == kDcsrOk || node.Fail(kPacked, dcsr_status_string(status));
}

bool GetOwnLayer(const Node& node, const TensorInfo& packed, Layer* layer) {
  layer->state = nullptr;
  DcsrStatus status = dcsr_layer_parse(packed.constant_data, packed.bytes, &layer->view);
  if (status == kDcsrOk) status = dcsr_layer_validate(&layer->view);
  return status == kDcsrOk || node.Fail(kPacked, dcsr_status_string(status));
}

bool GetLayer(const Node& node, DcsrOp op, const Tensors& tensors, Layer* prepared) {
  const bool is_valid = kReadsSharedRows && tensors.has_shared
                            ? GetLayerWithSharedRows(node, tensors, prepared)
                            : GetOwnLayer(node, tensors.packed, prepared);
  if (!is_valid) return false;
  const DcsrLayer* layer = &prepared->view;
  if (layer->op != op) return node.Fail(kPacked, "belongs to another op");
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
                              int32_t* batches) {
  const int32_t elements = CountElements(tensors.input);
  const auto cols = static_cast<int32_t>(layer.cols);
  if (elements % cols != 0) {
    return node.Fail(kInput, "its size is no multiple of the packed layer's columns");
  }
  *batches = elements / cols;

  const TensorInfo& output = tensors.output;
  const auto rows = static_cast<int32_t>(layer.rows);
  if (output.dims[output.rank - 1] != rows) {
    return node.Fail(kOutput, "its last dimension is not the packed layer's rows");
  }
  if (CountElements(output) != static_cast<int64_t>(*batches) * rows) {
    return node.Fail(kOutput, "its batches are not those of the input");
  }
  return true;
}

bool CheckConv2dShape(const Node& node, const Tensors& tensors, const DcsrLayer& layer,
                      DcsrConvShape* shape) {
  const TensorInfo& input = tensors.input;
  const TensorInfo& output = tensors.output;
  if (input.rank != 4) return node.Fail(kInput, "does not have 4 dimensions");
  if (output.rank != 4) return node.Fail(kOutput, "does not have 4 dimensions");
  if (input.dims[3] != static_cast<int32_t>(layer.channels)) {
    return node.Fail(kInput, "its channels are not those of the packed layer");
  }
  if (output.dims[3] != static_cast<int32_t>(layer.rows)) {
    return node.Fail(kOutput, "its channels are not the packed layer's rows");
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

bool KeepState(const Node& node, const Layer& layer, State state, const DcsrPlan& plan) {
  if (plan.kernel == nullptr) return node.Fail(kPacked, "needs a kernel that this build lacks");
  const size_t scratch_bytes = plan.scratch_bytes;
  state.scratch = kNoScratch;
  if (scratch_bytes > 0 && !node.port->RequestScratch(scratch_bytes, &state.scratch)) {
    return node.Fail(kMemory, "there is none for the scratch buffer");
  }
  void* memory = layer.state;
  if (memory == nullptr) memory = node.port->AllocateState(sizeof(State));
  if (memory == nullptr) return node.Fail(kMemory, kNoState);
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

bool GetCall(const Node& node, Call* call) {
  Port* port = node.port;
  if (port->State() == nullptr) return node.Fail("node", "was not prepared");
  call->state = *static_cast<const State*>(port->State());
  call->input = port->InputData(kActivations);
  if (call->input == nullptr) return node.Fail(kInput, "has no data");
  call->output = port->OutputData(0);
  if (call->output == nullptr) return node.Fail(kOutput, "has no data");

  const void* packed = port->InputData(kPackedLayer);
  if (packed == nullptr) return node.Fail(kPacked, "has no data");
  // Prepare has checked that the packed layer fits its tensors.
  DcsrStatus status;
  if (kReadsSharedRows && port->InputCount() == kInputsWithSharedRows) {
    const void* shared = port->InputData(kSharedRows);
    if (shared == nullptr) return node.Fail(kShared, "has no data");
    DcsrSharedRows rows;
    status = dcsr_shared_layer_parse(packed, SIZE_MAX, shared, SIZE_MAX, &call->layer, &rows);
    if (status == kDcsrOk) dcsr_use_derived_rows(&call->layer, DerivedRows(port->State()));
  } else {
    status = dcsr_layer_parse(packed, SIZE_MAX, &call->layer);
  }
  if (status != kDcsrOk) return node.Fail(kPacked, dcsr_status_string(status));

  call->scratch = nullptr;
  if (call->state.scratch != kNoScratch) {
    call->scratch = port->Scratch(call->state.scratch);
    if (call->scratch == nullptr) return node.Fail(kMemory, "the scratch buffer is missing");
  }
  return true;
}

}  // namespace

bool PrepareConv2d(Port* port) {
  const Node node = {port, kConv2dName};
  Tensors tensors;
  Layer layer;
  DcsrConvShape shape;
  if (!GetTensors(node, &tensors)) return false;
  if (!GetLayer(node, kDcsrOpConv2d, tensors, &layer)) return false;
  if (!CheckConv2dShape(node, tensors, layer.view, &shape)) return false;
  return KeepState(node, layer, {kNoScratch, shape.batches, shape.input_height, shape.input_width},
                   PlanLayer(dcsr_conv2d_kernels(), layer.view, shape));
}

bool InvokeConv2d(Port* port) {
  const Node node = {port, kConv2dName};
  Call call;
  if (!GetCall(node, &call)) return false;
  const State& state = call.state;
  DcsrConvShape shape;
  dcsr_conv_shape(&call.layer, state.batches, state.height, state.width, &shape);
  const DcsrPlan plan = PlanLayer(dcsr_conv2d_kernels(), call.layer, shape);
  dcsr_run(&plan, &call.layer, &shape, call.input, call.output, call.scratch);
  return true;
}

bool PrepareFullyConnected(Port* port) {
  const Node node = {port, kFullyConnectedName};
  Tensors tensors;
  Layer layer;
  int32_t batches;
  if (!GetTensors(node, &tensors)) return false;
  if (!GetLayer(node, kDcsrOpFullyConnected, tensors, &layer)) return false;
  if (!CheckFullyConnectedShape(node, tensors, layer.view, &batches)) return false;
  return KeepState(
      node, layer, {kNoScratch, batches, 1, 1},
      PlanLayer(dcsr_fully_connected_kernels(), layer.view, dcsr_fully_connected_shape(batches)));
}

bool InvokeFullyConnected(Port* port) {
  const Node node = {port, kFullyConnectedName};
  Call call;
  if (!GetCall(node, &call)) return false;
  const DcsrConvShape shape = dcsr_fully_connected_shape(call.state.batches);
  const DcsrPlan plan = PlanLayer(dcsr_fully_connected_kernels(), call.layer, shape);
  dcsr_run(&plan, &call.layer, &shape, call.input, call.output, call.scratch);
  return true;
}

}  // namespace dcsr
