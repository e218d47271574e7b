// Builtin operators with the dense kernels: CMSIS-NN's if the build has them and they take the
// operator, else our own.

#include <string.h>

#include "benchmarks/firmware/job.h"
#include "benchmarks/firmware/step.h"
#include "tflm_kernels/baseline/dense_baseline.h"
#include "tflm_kernels/baseline/operators.h"
#include "tflm_kernels/baseline/operators_cmsis_nn.h"
#include "toolchains/firmware/cycle_counter.h"

// The arguments of a kernel, prepared before the measurement.
typedef struct {
  const Step* step;
  const DcsrWindowParameters* window;
  DcsrDenseWeights weights;
  DcsrLayer layer;      // of our own CONV_2D and FULLY_CONNECTED
  DcsrConvShape shape;  // likewise
  int32_t* sums;        // MEAN; FULLY_CONNECTED of CMSIS-NN
  void* scratch;
} Work;

typedef bool Kernel(const Work* work);

static StepStatus measure(Kernel* kernel, Work* work, size_t scratch_bytes, StepCost* cost) {
  cost->scratch_bytes = scratch_bytes;
  work->scratch = scratch_bytes > 0 ? job_allocate(scratch_bytes) : NULL;
  if (work->scratch == NULL && scratch_bytes > 0) return kStepFailed;
  const uint64_t uncounted = job_overhead();
  const uint64_t start = cycle_counter_read();
  cycle_counter_mark_begin();
  const bool is_done = kernel(work);
  cycle_counter_mark_end();
  const uint64_t ticks = cycle_counter_read() - start - uncounted;
  cost->inference = cycle_counter_instructions(ticks);
  cost->is_measured = true;
  return is_done ? kStepDone : kStepUnknown;
}

static const int8_t* input_of(const Work* work, uint32_t index) {
  return (const int8_t*)work->step->section[index];
}

static int8_t* output_of(const Work* work) { return (int8_t*)work->step->output; }

static const void* parameters_of(const Work* work) { return work->step->parameter; }

#if DCSR_HAS_CMSIS_NN

static bool run_conv2d(const Work* work) {
  return dcsr_cmsis_nn_conv2d(work->window, &work->weights, input_of(work, 0), output_of(work),
                              work->scratch);
}

static StepStatus conv2d(Work* work, StepCost* cost) {
  return measure(run_conv2d, work, dcsr_cmsis_nn_conv2d_scratch_bytes(work->window), cost);
}

static bool run_fully_connected(const Work* work) {
  return dcsr_cmsis_nn_fully_connected(work->window, &work->weights, work->sums, input_of(work, 0),
                                       output_of(work), work->scratch);
}

static StepStatus fully_connected(Work* work, StepCost* cost) {
  const size_t sum_bytes = dcsr_cmsis_nn_fully_connected_sum_bytes(work->window);
  cost->persistent_bytes += sum_bytes;
  if (sum_bytes > 0) {
    work->sums = (int32_t*)job_allocate(sum_bytes);
    if (work->sums == NULL) return kStepFailed;
    if (!dcsr_cmsis_nn_fully_connected_prepare(work->window, &work->weights, work->sums)) {
      return kStepUnknown;
    }
  }
  return measure(run_fully_connected, work,
                 dcsr_cmsis_nn_fully_connected_scratch_bytes(work->window), cost);
}

static bool run_depthwise_conv2d(const Work* work) {
  return dcsr_cmsis_nn_depthwise_conv2d(work->window, &work->weights, input_of(work, 0),
                                        output_of(work), work->scratch);
}

static size_t depthwise_scratch_bytes(const DcsrWindowParameters* window) {
  return dcsr_cmsis_nn_depthwise_conv2d_scratch_bytes(window);
}

static bool run_average_pool(const Work* work) {
  return dcsr_cmsis_nn_average_pool(work->window, input_of(work, 0), output_of(work),
                                    work->scratch);
}

static size_t average_pool_scratch_bytes(const DcsrWindowParameters* window) {
  return dcsr_cmsis_nn_average_pool_scratch_bytes(window);
}

static bool run_max_pool(const Work* work) {
  return dcsr_cmsis_nn_max_pool(work->window, input_of(work, 0), output_of(work));
}

static bool run_add(const Work* work) {
  const DcsrBinaryParameters* binary = (const DcsrBinaryParameters*)parameters_of(work);
  if (!binary->is_broadcast) {
    return dcsr_cmsis_nn_add(binary, input_of(work, 0), input_of(work, 1), output_of(work));
  }
  dcsr_operator_add(binary, input_of(work, 0), input_of(work, 1), output_of(work));
  return true;
}

static bool run_mul(const Work* work) {
  const DcsrBinaryParameters* binary = (const DcsrBinaryParameters*)parameters_of(work);
  if (!binary->is_broadcast) {
    return dcsr_cmsis_nn_mul(binary, input_of(work, 0), input_of(work, 1), output_of(work));
  }
  dcsr_operator_mul(binary, input_of(work, 0), input_of(work, 1), output_of(work));
  return true;
}

static bool run_pad(const Work* work) {
  return dcsr_cmsis_nn_pad((const DcsrPadParameters*)parameters_of(work), input_of(work, 0),
                           output_of(work));
}

static bool run_softmax(const Work* work) {
  return dcsr_cmsis_nn_softmax((const DcsrSoftmaxParameters*)parameters_of(work), input_of(work, 0),
                               output_of(work));
}

#else

// The layer as our own dense kernels take it: with the input zero point folded into the bias.
static bool make_layer(Work* work, DcsrOp op) {
  const DcsrWindowParameters* window = work->window;
  const uint32_t rows = (uint32_t)window->output_channels;
  const uint32_t cols =
      (uint32_t)(window->filter_height * window->filter_width * window->filter_channels);
  const uint32_t scales = window->is_per_channel ? rows : 1;
  int32_t* bias = (int32_t*)job_allocate(rows * sizeof(int32_t));
  int8_t* shift = (int8_t*)job_allocate(scales);
  if (bias == NULL || shift == NULL) return false;
  for (uint32_t row = 0; row < rows; ++row) {
    uint32_t sum = 0;
    for (uint32_t i = 0; i < cols; ++i) sum += (uint32_t)work->weights.weights[row * cols + i];
    const uint32_t own = work->weights.bias != NULL ? (uint32_t)work->weights.bias[row] : 0;
    bias[row] = (int32_t)(own - sum * (uint32_t)window->input_zero_point);
  }
  for (uint32_t i = 0; i < scales; ++i) shift[i] = (int8_t)work->weights.shift[i];
  const DcsrLayer layer = {
      .op = op,
      .encoding = kDcsrEncodingDense,
      .rows = rows,
      .cols = cols,
      .elements = rows * cols,
      .input_zero_point = window->input_zero_point,
      .output_zero_point = window->output_zero_point,
      .activation_min = window->activation_min,
      .activation_max = window->activation_max,
      .stride_h = (uint32_t)window->stride_height,
      .stride_w = (uint32_t)window->stride_width,
      .filter_h = (uint32_t)window->filter_height,
      .filter_w = (uint32_t)window->filter_width,
      .dilation_h = (uint32_t)window->dilation_height,
      .dilation_w = (uint32_t)window->dilation_width,
      .same_padding = window->same_padding != 0,
      .channels = (uint32_t)window->input_channels,
      .requantize_stride = window->is_per_channel ? 1 : 0,
      .bias = bias,
      .multiplier = work->weights.multiplier,
      .shift = shift,
      .values = work->weights.weights,
  };
  work->layer = layer;
  const DcsrConvShape shape = {window->batches, window->input_height, window->input_width,
                               window->output_height, window->output_width};
  work->shape = shape;
  return true;
}

static bool run_conv2d(const Work* work) {
  dcsr_dense_conv2d(&work->layer, &work->shape, input_of(work, 0), output_of(work), work->scratch);
  return true;
}

static StepStatus conv2d(Work* work, StepCost* cost) {
  if (work->window->filter_channels != work->window->input_channels) return kStepUnknown;
  if (!make_layer(work, kDcsrOpConv2d)) return kStepFailed;
  return measure(run_conv2d, work, dcsr_dense_conv2d_scratch_bytes(&work->layer, &work->shape),
                 cost);
}

static bool run_fully_connected(const Work* work) {
  dcsr_dense_fully_connected(&work->layer, work->window->batches, input_of(work, 0),
                             output_of(work), work->scratch);
  return true;
}

static StepStatus fully_connected(Work* work, StepCost* cost) {
  if (!make_layer(work, kDcsrOpFullyConnected)) return kStepFailed;
  const size_t scratch_bytes =
      dcsr_dense_fully_connected_scratch_bytes(&work->layer, work->window->batches);
  return measure(run_fully_connected, work, scratch_bytes, cost);
}

static bool run_depthwise_conv2d(const Work* work) {
  dcsr_operator_depthwise_conv2d(work->window, &work->weights, input_of(work, 0), output_of(work));
  return true;
}

static size_t depthwise_scratch_bytes(const DcsrWindowParameters* window) {
  (void)window;
  return 0;
}

static bool run_average_pool(const Work* work) {
  dcsr_operator_average_pool(work->window, input_of(work, 0), output_of(work));
  return true;
}

static size_t average_pool_scratch_bytes(const DcsrWindowParameters* window) {
  (void)window;
  return 0;
}

static bool run_max_pool(const Work* work) {
  dcsr_operator_max_pool(work->window, input_of(work, 0), output_of(work));
  return true;
}

static bool run_add(const Work* work) {
  dcsr_operator_add((const DcsrBinaryParameters*)parameters_of(work), input_of(work, 0),
                    input_of(work, 1), output_of(work));
  return true;
}

static bool run_mul(const Work* work) {
  dcsr_operator_mul((const DcsrBinaryParameters*)parameters_of(work), input_of(work, 0),
                    input_of(work, 1), output_of(work));
  return true;
}

static bool run_pad(const Work* work) {
  dcsr_operator_pad((const DcsrPadParameters*)parameters_of(work), input_of(work, 0),
                    output_of(work));
  return true;
}

static bool run_softmax(const Work* work) {
  dcsr_operator_softmax((const DcsrSoftmaxParameters*)parameters_of(work), input_of(work, 0),
                        output_of(work));
  return true;
}

#endif  // DCSR_HAS_CMSIS_NN

static bool run_mean(const Work* work) {
  dcsr_operator_mean((const DcsrReduceParameters*)parameters_of(work), input_of(work, 0),
                     output_of(work), (int32_t*)work->scratch);
  return true;
}

static bool run_reduce_max(const Work* work) {
  dcsr_operator_reduce_max((const DcsrReduceParameters*)parameters_of(work), input_of(work, 0),
                           output_of(work));
  return true;
}

static bool run_reduce_max_float(const Work* work) {
  dcsr_operator_reduce_max_float((const DcsrReduceParameters*)parameters_of(work),
                                 (const float*)work->step->section[0], (float*)work->step->output);
  return true;
}

static bool run_quantize(const Work* work) {
  dcsr_operator_quantize((const DcsrQuantizeParameters*)parameters_of(work),
                         (const float*)work->step->section[0], output_of(work));
  return true;
}

static bool run_requantize(const Work* work) {
  dcsr_operator_requantize((const DcsrQuantizeParameters*)parameters_of(work), input_of(work, 0),
                           output_of(work));
  return true;
}

static bool run_dequantize(const Work* work) {
  dcsr_operator_dequantize((const DcsrQuantizeParameters*)parameters_of(work), input_of(work, 0),
                           (float*)work->step->output);
  return true;
}

static bool run_copy(const Work* work) {
  memcpy(work->step->output, work->step->section[0], work->step->output_bytes);
  return true;
}

StepStatus run_dense_step(const Step* step, StepCost* cost) {
  Work work = {.step = step, .window = (const DcsrWindowParameters*)(const void*)step->parameter};
  const DcsrDenseWeights weights = {
      (const int8_t*)step->section[1], (const int32_t*)step->section[2],
      (const int32_t*)step->section[3], (const int32_t*)step->section[4]};
  work.weights = weights;
  // TFLM keeps the multipliers and shifts of these operators, which it computes at start-up.
  if (step->kind == kStepConv2d || step->kind == kStepDepthwiseConv2d ||
      (step->kind == kStepFullyConnected && work.window->is_per_channel)) {
    cost->persistent_bytes = (size_t)work.window->output_channels * 2 * sizeof(int32_t);
  }
  switch (step->kind) {
    case kStepConv2d:
      return conv2d(&work, cost);
    case kStepFullyConnected:
      return fully_connected(&work, cost);
    case kStepDepthwiseConv2d:
      return measure(run_depthwise_conv2d, &work, depthwise_scratch_bytes(work.window), cost);
    case kStepAveragePool:
      return measure(run_average_pool, &work, average_pool_scratch_bytes(work.window), cost);
    case kStepMean: {
      const DcsrReduceParameters* reduce = (const DcsrReduceParameters*)parameters_of(&work);
      return measure(run_mean, &work, (size_t)reduce->outputs * sizeof(int32_t), cost);
    }
    case kStepMaxPool:
      return measure(run_max_pool, &work, 0, cost);
    case kStepAdd:
      return measure(run_add, &work, 0, cost);
    case kStepMul:
      return measure(run_mul, &work, 0, cost);
    case kStepReduceMax:
      return measure(run_reduce_max, &work, 0, cost);
    case kStepReduceMaxFloat:
      return measure(run_reduce_max_float, &work, 0, cost);
    case kStepPad:
      return measure(run_pad, &work, 0, cost);
    case kStepSoftmax:
      return measure(run_softmax, &work, 0, cost);
    case kStepQuantize:
      return measure(run_quantize, &work, 0, cost);
    case kStepRequantize:
      return measure(run_requantize, &work, 0, cost);
    case kStepDequantize:
      return measure(run_dequantize, &work, 0, cost);
    case kStepCopy:
      return measure(run_copy, &work, 0, cost);
    default:
      return kStepUnknown;
  }
}
