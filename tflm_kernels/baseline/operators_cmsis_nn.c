// Dense operators with CMSIS-NN.

#include "tflm_kernels/baseline/operators_cmsis_nn.h"

#if DCSR_HAS_CMSIS_NN

#include "arm_nnfunctions.h"

// CMSIS-NN takes pointers to mutable data even where it only reads.
static void* without_const(const void* data) { return (void*)(uintptr_t)data; }

static cmsis_nn_dims input_dims(const DcsrWindowParameters* window) {
  const cmsis_nn_dims dims = {window->batches, window->input_height, window->input_width,
                              window->input_channels};
  return dims;
}

static cmsis_nn_dims output_dims(const DcsrWindowParameters* window) {
  const cmsis_nn_dims dims = {window->batches, window->output_height, window->output_width,
                              window->output_channels};
  return dims;
}

static cmsis_nn_dims filter_dims(const DcsrWindowParameters* window, int32_t channels) {
  const cmsis_nn_dims dims = {1, window->filter_height, window->filter_width, channels};
  return dims;
}

static cmsis_nn_dims bias_dims(const DcsrWindowParameters* window) {
  const cmsis_nn_dims dims = {1, 1, 1, window->output_channels};
  return dims;
}

static cmsis_nn_context context_of(void* scratch, size_t bytes) {
  const cmsis_nn_context context = {scratch, (int32_t)bytes};
  return context;
}

static cmsis_nn_activation activation(const DcsrWindowParameters* window) {
  const cmsis_nn_activation range = {window->activation_min, window->activation_max};
  return range;
}

static cmsis_nn_per_channel_quant_params per_channel(const DcsrDenseWeights* layer) {
  const cmsis_nn_per_channel_quant_params scale = {(int32_t*)without_const(layer->multiplier),
                                                   (int32_t*)without_const(layer->shift)};
  return scale;
}

static cmsis_nn_conv_params conv_parameters(const DcsrWindowParameters* window) {
  const cmsis_nn_conv_params parameters = {
      .input_offset = -window->input_zero_point,
      .output_offset = window->output_zero_point,
      .stride = {window->stride_width, window->stride_height},
      .padding = {window->padding_width, window->padding_height},
      .dilation = {window->dilation_width, window->dilation_height},
      .activation = activation(window),
  };
  return parameters;
}

size_t dcsr_cmsis_nn_conv2d_scratch_bytes(const DcsrWindowParameters* window) {
  const cmsis_nn_conv_params parameters = conv_parameters(window);
  const cmsis_nn_dims in = input_dims(window);
  const cmsis_nn_dims out = output_dims(window);
  const cmsis_nn_dims filter = filter_dims(window, window->filter_channels);
  return (size_t)arm_convolve_wrapper_s8_get_buffer_size(&parameters, &in, &filter, &out);
}

bool dcsr_cmsis_nn_conv2d(const DcsrWindowParameters* window, const DcsrDenseWeights* layer,
                          const int8_t* input, int8_t* output, void* scratch) {
  const cmsis_nn_conv_params parameters = conv_parameters(window);
  const cmsis_nn_per_channel_quant_params scale = per_channel(layer);
  const cmsis_nn_dims in = input_dims(window);
  const cmsis_nn_dims out = output_dims(window);
  const cmsis_nn_dims filter = filter_dims(window, window->filter_channels);
  const cmsis_nn_dims bias = bias_dims(window);
  const cmsis_nn_context context = context_of(scratch, 0);
  return arm_convolve_wrapper_s8(&context, &parameters, &scale, &in, input, &filter, layer->weights,
                                 &bias, layer->bias, &out, output) == ARM_CMSIS_NN_SUCCESS;
}

static cmsis_nn_dw_conv_params depthwise_parameters(const DcsrWindowParameters* window) {
  const cmsis_nn_dw_conv_params parameters = {
      .input_offset = -window->input_zero_point,
      .output_offset = window->output_zero_point,
      .ch_mult = window->output_channels / window->input_channels,
      .stride = {window->stride_width, window->stride_height},
      .padding = {window->padding_width, window->padding_height},
      .dilation = {window->dilation_width, window->dilation_height},
      .activation = activation(window),
  };
  return parameters;
}

size_t dcsr_cmsis_nn_depthwise_conv2d_scratch_bytes(const DcsrWindowParameters* window) {
  const cmsis_nn_dw_conv_params parameters = depthwise_parameters(window);
  const cmsis_nn_dims in = input_dims(window);
  const cmsis_nn_dims out = output_dims(window);
  const cmsis_nn_dims filter = filter_dims(window, window->output_channels);
  return (size_t)arm_depthwise_conv_wrapper_s8_get_buffer_size(&parameters, &in, &filter, &out);
}

bool dcsr_cmsis_nn_depthwise_conv2d(const DcsrWindowParameters* window,
                                    const DcsrDenseWeights* layer, const int8_t* input,
                                    int8_t* output, void* scratch) {
  const cmsis_nn_dw_conv_params parameters = depthwise_parameters(window);
  const cmsis_nn_per_channel_quant_params scale = per_channel(layer);
  const cmsis_nn_dims in = input_dims(window);
  const cmsis_nn_dims out = output_dims(window);
  const cmsis_nn_dims filter = filter_dims(window, window->output_channels);
  const cmsis_nn_dims bias = bias_dims(window);
  const cmsis_nn_context context = context_of(scratch, 0);
  return arm_depthwise_conv_wrapper_s8(&context, &parameters, &scale, &in, input, &filter,
                                       layer->weights, &bias, layer->bias, &out,
                                       output) == ARM_CMSIS_NN_SUCCESS;
}

// Images of one pixel, as TFLM describes FULLY_CONNECTED.
static cmsis_nn_dims vectors(const DcsrWindowParameters* window, int32_t channels) {
  const cmsis_nn_dims dims = {window->batches, 1, 1, channels};
  return dims;
}

static cmsis_nn_dims matrix(const DcsrWindowParameters* window) {
  const cmsis_nn_dims dims = {window->input_channels, 1, 1, window->output_channels};
  return dims;
}

// TFLM runs FULLY_CONNECTED with an output of more than two dimensions as a 1x1 convolution.
static bool is_conv1x1(const DcsrWindowParameters* window) {
  return window->output_rank > 2 && window->input_channels % 4 == 0;
}

static size_t scale_bytes(const DcsrWindowParameters* window) {
  return window->is_per_channel ? 0 : (size_t)window->output_channels * 2 * sizeof(int32_t);
}

size_t dcsr_cmsis_nn_fully_connected_sum_bytes(const DcsrWindowParameters* window) {
  const cmsis_nn_dims filter = matrix(window);
  return is_conv1x1(window) ? 0 : (size_t)arm_fully_connected_s8_get_buffer_size(&filter);
}

bool dcsr_cmsis_nn_fully_connected_prepare(const DcsrWindowParameters* window,
                                           const DcsrDenseWeights* layer, int32_t* sums) {
  return arm_vector_sum_s8(sums, window->input_channels, window->output_channels, layer->weights,
                           -window->input_zero_point, 0, layer->bias) == ARM_CMSIS_NN_SUCCESS;
}

size_t dcsr_cmsis_nn_fully_connected_scratch_bytes(const DcsrWindowParameters* window) {
  if (!is_conv1x1(window)) return 0;
  const cmsis_nn_dims in = vectors(window, window->input_channels);
  return scale_bytes(window) + (size_t)arm_convolve_1x1_s8_fast_get_buffer_size(&in);
}

static bool run_as_conv1x1(const DcsrWindowParameters* window, const DcsrDenseWeights* layer,
                           const int8_t* input, int8_t* output, void* scratch) {
  cmsis_nn_per_channel_quant_params scale = per_channel(layer);
  if (!window->is_per_channel) {
    scale.multiplier = (int32_t*)scratch;
    scale.shift = scale.multiplier + window->output_channels;
    for (int32_t i = 0; i < window->output_channels; ++i) {
      scale.multiplier[i] = layer->multiplier[0];
      scale.shift[i] = layer->shift[0];
    }
  }
  const cmsis_nn_conv_params parameters = conv_parameters(window);
  const cmsis_nn_dims in = vectors(window, window->input_channels);
  const cmsis_nn_dims out = vectors(window, window->output_channels);
  const cmsis_nn_dims filter = matrix(window);
  const cmsis_nn_dims bias = bias_dims(window);
  const cmsis_nn_context context = context_of((int8_t*)scratch + scale_bytes(window), 0);
  return arm_convolve_1x1_s8_fast(&context, &parameters, &scale, &in, input, &filter,
                                  layer->weights, &bias, layer->bias, &out,
                                  output) == ARM_CMSIS_NN_SUCCESS;
}

bool dcsr_cmsis_nn_fully_connected(const DcsrWindowParameters* window,
                                   const DcsrDenseWeights* layer, int32_t* sums,
                                   const int8_t* input, int8_t* output, void* scratch) {
  if (is_conv1x1(window)) return run_as_conv1x1(window, layer, input, output, scratch);
  const cmsis_nn_dims in = vectors(window, window->input_channels);
  const cmsis_nn_dims out = vectors(window, window->output_channels);
  const cmsis_nn_dims filter = matrix(window);
  const cmsis_nn_dims bias = bias_dims(window);
  const cmsis_nn_fc_params parameters = {
      .input_offset = -window->input_zero_point,
      .filter_offset = 0,
      .output_offset = window->output_zero_point,
      .activation = activation(window),
  };
  const cmsis_nn_quant_params scale = {(int32_t*)without_const(layer->multiplier),
                                       (int32_t*)without_const(layer->shift),
                                       window->is_per_channel};
  const cmsis_nn_context context = context_of(sums, 0);
  return arm_fully_connected_wrapper_s8(&context, &parameters, &scale, &in, input, &filter,
                                        layer->weights, &bias, layer->bias, &out,
                                        output) == ARM_CMSIS_NN_SUCCESS;
}

static cmsis_nn_pool_params pool_parameters(const DcsrWindowParameters* window) {
  const cmsis_nn_pool_params parameters = {
      .stride = {window->stride_width, window->stride_height},
      .padding = {window->padding_width, window->padding_height},
      .activation = activation(window),
  };
  return parameters;
}

size_t dcsr_cmsis_nn_average_pool_scratch_bytes(const DcsrWindowParameters* window) {
  return (size_t)arm_avgpool_s8_get_buffer_size(window->output_width, window->input_channels);
}

bool dcsr_cmsis_nn_average_pool(const DcsrWindowParameters* window, const int8_t* input,
                                int8_t* output, void* scratch) {
  const cmsis_nn_pool_params parameters = pool_parameters(window);
  const cmsis_nn_dims in = input_dims(window);
  const cmsis_nn_dims out = output_dims(window);
  const cmsis_nn_dims filter = filter_dims(window, 1);
  const cmsis_nn_context context = context_of(scratch, 0);
  return arm_avgpool_s8(&context, &parameters, &in, input, &filter, &out, output) ==
         ARM_CMSIS_NN_SUCCESS;
}

bool dcsr_cmsis_nn_max_pool(const DcsrWindowParameters* window, const int8_t* input,
                            int8_t* output) {
  const cmsis_nn_pool_params parameters = pool_parameters(window);
  const cmsis_nn_dims in = input_dims(window);
  const cmsis_nn_dims out = output_dims(window);
  const cmsis_nn_dims filter = filter_dims(window, 1);
  const cmsis_nn_context context = context_of(NULL, 0);
  return arm_max_pool_s8(&context, &parameters, &in, input, &filter, &out, output) ==
         ARM_CMSIS_NN_SUCCESS;
}

static int32_t elements_of(const DcsrBinaryParameters* binary) {
  return binary->dims[0] * binary->dims[1] * binary->dims[2] * binary->dims[3];
}

bool dcsr_cmsis_nn_add(const DcsrBinaryParameters* binary, const int8_t* input1,
                       const int8_t* input2, int8_t* output) {
  return arm_elementwise_add_s8(
             input1, input2, -binary->zero_point1, binary->multiplier1, binary->shift1,
             -binary->zero_point2, binary->multiplier2, binary->shift2, binary->left_shift, output,
             binary->output_zero_point, binary->output_multiplier, binary->output_shift,
             binary->activation_min, binary->activation_max,
             elements_of(binary)) == ARM_CMSIS_NN_SUCCESS;
}

bool dcsr_cmsis_nn_mul(const DcsrBinaryParameters* binary, const int8_t* input1,
                       const int8_t* input2, int8_t* output) {
  return arm_elementwise_mul_s8(input1, input2, -binary->zero_point1, -binary->zero_point2, output,
                                binary->output_zero_point, binary->output_multiplier,
                                binary->output_shift, binary->activation_min,
                                binary->activation_max,
                                elements_of(binary)) == ARM_CMSIS_NN_SUCCESS;
}

static cmsis_nn_dims four(const int32_t sizes[kDcsrDenseRank]) {
  const cmsis_nn_dims dims = {sizes[0], sizes[1], sizes[2], sizes[3]};
  return dims;
}

bool dcsr_cmsis_nn_pad(const DcsrPadParameters* pad, const int8_t* input, int8_t* output) {
  const cmsis_nn_dims in = four(pad->dims);
  const cmsis_nn_dims before = four(pad->before);
  const cmsis_nn_dims after = four(pad->after);
  return arm_pad_s8(input, output, (int8_t)pad->value, &in, &before, &after) ==
         ARM_CMSIS_NN_SUCCESS;
}

bool dcsr_cmsis_nn_softmax(const DcsrSoftmaxParameters* softmax, const int8_t* input,
                           int8_t* output) {
  arm_softmax_s8(input, softmax->rows, softmax->row_size, softmax->multiplier, softmax->shift,
                 softmax->smallest_difference, output);
  return true;
}

#endif  // DCSR_HAS_CMSIS_NN
