// The dense baseline with CMSIS-NN. For 1x1 filters and fully connected layers the input zero point
// is folded into the bias, so the input offset is 0. Larger filters are padded with minus the input
// offset, so they get the bias of the model.

#include "tflm_kernels/baseline/dense_cmsis_nn.h"

#if DCSR_HAS_CMSIS_NN

#include "arm_nnfunctions.h"
#include "tflm_kernels/common/conv_geometry.h"

static cmsis_nn_dims input_dims(const DcsrLayer* layer, const DcsrConvShape* shape) {
  const cmsis_nn_dims dims = {shape->batches, shape->input_height, shape->input_width,
                              (int32_t)layer->cols};
  return dims;
}

static cmsis_nn_activation activation(const DcsrLayer* layer) {
  const cmsis_nn_activation range = {layer->activation_min, layer->activation_max};
  return range;
}

// CMSIS-NN takes pointers to mutable data even where it only reads.
static void* without_const(const void* data) { return (void*)(uintptr_t)data; }

// Scratch holds the shifts as int32, then the buffer that CMSIS-NN requests.
static size_t shift_bytes(const DcsrLayer* layer) {
  return ((size_t)layer->rows * sizeof(int32_t) + 15) / 16 * 16;
}

size_t dcsr_dense_conv1x1_cmsis_nn_scratch_bytes(const DcsrLayer* layer,
                                                 const DcsrConvShape* shape) {
  const cmsis_nn_dims dims = input_dims(layer, shape);
  return shift_bytes(layer) + (size_t)arm_convolve_1x1_s8_fast_get_buffer_size(&dims);
}

void dcsr_dense_conv1x1_cmsis_nn(const DcsrLayer* layer, const DcsrConvShape* shape,
                                 const int8_t* input, int8_t* output, void* scratch) {
  int32_t* shifts = (int32_t*)scratch;
  for (uint32_t row = 0; row < layer->rows; ++row) shifts[row] = layer->shift[row];

  const int32_t rows = (int32_t)layer->rows;
  const cmsis_nn_dims in = input_dims(layer, shape);
  const cmsis_nn_dims out = {shape->batches, shape->output_height, shape->output_width, rows};
  const cmsis_nn_dims filter = {rows, 1, 1, in.c};
  const cmsis_nn_dims bias = {1, 1, 1, rows};
  const cmsis_nn_context context = {(int8_t*)scratch + shift_bytes(layer),
                                    arm_convolve_1x1_s8_fast_get_buffer_size(&in)};
  const cmsis_nn_conv_params parameters = {
      .input_offset = 0,
      .output_offset = layer->output_zero_point,
      .stride = {(int32_t)layer->stride_w, (int32_t)layer->stride_h},
      .padding = {0, 0},
      .dilation = {1, 1},
      .activation = activation(layer),
  };
  const cmsis_nn_per_channel_quant_params scale = {(int32_t*)without_const(layer->multiplier),
                                                   shifts};
  if (layer->stride_h == 1 && layer->stride_w == 1) {
    (void)arm_convolve_1x1_s8_fast(&context, &parameters, &scale, &in, input, &filter,
                                   layer->values, &bias, layer->bias, &out, output);
  } else {
    (void)arm_convolve_1x1_s8(&context, &parameters, &scale, &in, input, &filter, layer->values,
                              &bias, layer->bias, &out, output);
  }
}

void dcsr_dense_fully_connected_cmsis_nn(const DcsrLayer* layer, int32_t batches,
                                         const int8_t* input, int8_t* output) {
  const int32_t rows = (int32_t)layer->rows;
  const int32_t cols = (int32_t)layer->cols;
  const cmsis_nn_dims in = {batches, 1, 1, cols};
  const cmsis_nn_dims out = {batches, 1, 1, rows};
  const cmsis_nn_dims filter = {cols, 1, 1, rows};
  const cmsis_nn_dims bias = {1, 1, 1, rows};
  // With MVE CMSIS-NN needs the row sums times the input offset, plus the bias. The offset is 0, so
  // this is the bias.
  const cmsis_nn_context context = {without_const(layer->bias), rows * (int32_t)sizeof(int32_t)};
  const cmsis_nn_fc_params parameters = {
      .input_offset = 0,
      .filter_offset = 0,
      .output_offset = layer->output_zero_point,
      .activation = activation(layer),
  };
  const cmsis_nn_per_tensor_quant_params scale = {layer->multiplier[0], layer->shift[0]};
  (void)arm_fully_connected_s8(&context, &parameters, &scale, &in, input, &filter, layer->values,
                               &bias, layer->bias, &out, output);
}

// ----- Any filter -----

// Scratch: biases, shifts, weights of a depthwise convolution as [filter_h][filter_w][rows], and
// the buffer that CMSIS-NN requests.
typedef struct {
  int32_t* bias;
  int32_t* shift;
  int8_t* weights;
  int8_t* buffer;
} WindowScratch;

static size_t weight_bytes(const DcsrLayer* layer) {
  if (layer->op != kDcsrOpDepthwiseConv2d) return 0;
  return ((size_t)layer->rows * layer->cols + 15) / 16 * 16;
}

static WindowScratch window_scratch(const DcsrLayer* layer, void* scratch) {
  int8_t* const bytes = (int8_t*)scratch;
  WindowScratch parts;
  parts.bias = (int32_t*)scratch;
  parts.shift = (int32_t*)(void*)(bytes + shift_bytes(layer));
  parts.weights = bytes + 2 * shift_bytes(layer);
  parts.buffer = parts.weights + weight_bytes(layer);
  return parts;
}

// The arguments of CMSIS-NN. `conv` and `depthwise` have the same values.
typedef struct {
  cmsis_nn_dims in;
  cmsis_nn_dims filter;
  cmsis_nn_dims bias;
  cmsis_nn_dims out;
  cmsis_nn_conv_params conv;
  cmsis_nn_dw_conv_params depthwise;
} WindowArguments;

static WindowArguments window_arguments(const DcsrLayer* layer, const DcsrConvShape* shape) {
  const int32_t rows = (int32_t)layer->rows;
  const int64_t extent_h = dcsr_filter_extent(layer->filter_h, layer->dilation_h);
  const int64_t extent_w = dcsr_filter_extent(layer->filter_w, layer->dilation_w);
  const bool is_depthwise = layer->op == kDcsrOpDepthwiseConv2d;
  WindowArguments a;
  a.in = input_dims(layer, shape);
  a.in.c = (int32_t)layer->channels;
  a.filter = (cmsis_nn_dims){is_depthwise ? 1 : rows, (int32_t)layer->filter_h,
                             (int32_t)layer->filter_w, is_depthwise ? rows : a.in.c};
  a.bias = (cmsis_nn_dims){1, 1, 1, rows};
  a.out = (cmsis_nn_dims){shape->batches, shape->output_height, shape->output_width, rows};
  a.conv.input_offset = -layer->input_zero_point;
  a.conv.output_offset = layer->output_zero_point;
  a.conv.stride = (cmsis_nn_tile){(int32_t)layer->stride_w, (int32_t)layer->stride_h};
  a.conv.padding.w = (int32_t)dcsr_conv_padding(shape->input_width, shape->output_width, extent_w,
                                                layer->stride_w);
  a.conv.padding.h = (int32_t)dcsr_conv_padding(shape->input_height, shape->output_height, extent_h,
                                                layer->stride_h);
  a.conv.dilation = (cmsis_nn_tile){(int32_t)layer->dilation_w, (int32_t)layer->dilation_h};
  a.conv.activation = activation(layer);
  a.depthwise.input_offset = a.conv.input_offset;
  a.depthwise.output_offset = a.conv.output_offset;
  a.depthwise.ch_mult = (int32_t)layer->depth_multiplier;
  a.depthwise.stride = a.conv.stride;
  a.depthwise.padding = a.conv.padding;
  a.depthwise.dilation = a.conv.dilation;
  a.depthwise.activation = a.conv.activation;
  return a;
}

static int32_t buffer_bytes(const DcsrLayer* layer, const WindowArguments* a) {
  return layer->op == kDcsrOpDepthwiseConv2d
             ? arm_depthwise_conv_wrapper_s8_get_buffer_size(&a->depthwise, &a->in, &a->filter,
                                                             &a->out)
             : arm_convolve_wrapper_s8_get_buffer_size(&a->conv, &a->in, &a->filter, &a->out);
}

size_t dcsr_dense_window_cmsis_nn_scratch_bytes(const DcsrLayer* layer,
                                                const DcsrConvShape* shape) {
  const WindowArguments a = window_arguments(layer, shape);
  return 2 * shift_bytes(layer) + weight_bytes(layer) + (size_t)buffer_bytes(layer, &a);
}

void dcsr_dense_window_cmsis_nn_prepare(const DcsrLayer* layer, void* scratch) {
  const WindowScratch parts = window_scratch(layer, scratch);
  for (uint32_t row = 0; row < layer->rows; ++row) {
    const int8_t* weights = layer->values + (size_t)row * layer->cols;
    int32_t sum = 0;
    for (uint32_t col = 0; col < layer->cols; ++col) {
      sum += weights[col];
      if (layer->op == kDcsrOpDepthwiseConv2d) {
        parts.weights[(size_t)col * layer->rows + row] = weights[col];
      }
    }
    parts.bias[row] = layer->bias[row] + layer->input_zero_point * sum;
    parts.shift[row] = layer->shift[row];
  }
}

void dcsr_dense_conv2d_cmsis_nn(const DcsrLayer* layer, const DcsrConvShape* shape,
                                const int8_t* input, int8_t* output, void* scratch) {
  const WindowScratch parts = window_scratch(layer, scratch);
  const WindowArguments a = window_arguments(layer, shape);
  const cmsis_nn_context context = {parts.buffer, buffer_bytes(layer, &a)};
  const cmsis_nn_per_channel_quant_params scale = {(int32_t*)without_const(layer->multiplier),
                                                   parts.shift};
  (void)arm_convolve_wrapper_s8(&context, &a.conv, &scale, &a.in, input, &a.filter, layer->values,
                                &a.bias, parts.bias, &a.out, output);
}

void dcsr_dense_depthwise_conv2d_cmsis_nn(const DcsrLayer* layer, const DcsrConvShape* shape,
                                          const int8_t* input, int8_t* output, void* scratch) {
  const WindowScratch parts = window_scratch(layer, scratch);
  const WindowArguments a = window_arguments(layer, shape);
  const cmsis_nn_context context = {parts.buffer, buffer_bytes(layer, &a)};
  const cmsis_nn_per_channel_quant_params scale = {(int32_t*)without_const(layer->multiplier),
                                                   parts.shift};
  (void)arm_depthwise_conv_wrapper_s8(&context, &a.depthwise, &scale, &a.in, input, &a.filter,
                                      parts.weights, &a.bias, parts.bias, &a.out, output);
}

#endif  // DCSR_HAS_CMSIS_NN
