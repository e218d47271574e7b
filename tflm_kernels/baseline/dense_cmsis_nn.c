// The dense baseline with CMSIS-NN. The input zero point is folded into the bias, so the input
// offset is 0, except with padding: CMSIS-NN pads with the zero point, and needs the original bias.

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

// Scratch of the kernels for filters: shifts and biases as int32, the weights of a depthwise
// convolution as [taps][rows], then the buffer that CMSIS-NN requests.
static size_t weight_bytes(const DcsrLayer* layer) {
  if (layer->op != kDcsrOpDepthwiseConv2d) return 0;
  return ((size_t)layer->rows * layer->cols + 15) / 16 * 16;
}

// The parameters of both kernels.
typedef struct {
  cmsis_nn_dims input;
  cmsis_nn_dims filter;
  cmsis_nn_dims bias;
  cmsis_nn_dims output;
  cmsis_nn_conv_params conv;
  cmsis_nn_dw_conv_params depthwise;
  int32_t buffer_bytes;
} Filter;

static Filter filter_of(const DcsrLayer* layer, const DcsrConvShape* shape) {
  const int32_t rows = (int32_t)layer->rows;
  const int32_t height = (int32_t)layer->filter_h;
  const int32_t width = (int32_t)layer->filter_w;
  const bool is_depthwise = layer->op == kDcsrOpDepthwiseConv2d;
  const int64_t extent_h = dcsr_filter_extent(layer->filter_h, layer->dilation_h);
  const int64_t extent_w = dcsr_filter_extent(layer->filter_w, layer->dilation_w);
  Filter f;
  f.input = input_dims(layer, shape);
  f.input.n = is_depthwise ? 1 : shape->batches;
  f.input.c = (int32_t)layer->channels;
  f.filter = is_depthwise ? (cmsis_nn_dims){1, height, width, rows}
                          : (cmsis_nn_dims){rows, height, width, f.input.c};
  f.bias = (cmsis_nn_dims){1, 1, 1, rows};
  f.output = (cmsis_nn_dims){f.input.n, shape->output_height, shape->output_width, rows};
  f.conv = (cmsis_nn_conv_params){
      .input_offset = -layer->input_zero_point,
      .output_offset = layer->output_zero_point,
      .stride = {(int32_t)layer->stride_w, (int32_t)layer->stride_h},
      .padding = {(int32_t)dcsr_conv_padding(shape->input_width, shape->output_width, extent_w,
                                             layer->stride_w),
                  (int32_t)dcsr_conv_padding(shape->input_height, shape->output_height, extent_h,
                                             layer->stride_h)},
      .dilation = {(int32_t)layer->dilation_w, (int32_t)layer->dilation_h},
      .activation = activation(layer),
  };
  f.depthwise = (cmsis_nn_dw_conv_params){
      .input_offset = f.conv.input_offset,
      .output_offset = f.conv.output_offset,
      .ch_mult = (int32_t)layer->depth_multiplier,
      .stride = f.conv.stride,
      .padding = f.conv.padding,
      .dilation = f.conv.dilation,
      .activation = f.conv.activation,
  };
  f.buffer_bytes = is_depthwise ? arm_depthwise_conv_wrapper_s8_get_buffer_size(
                                      &f.depthwise, &f.input, &f.filter, &f.output)
                                : arm_convolve_wrapper_s8_get_buffer_size(&f.conv, &f.input,
                                                                          &f.filter, &f.output);
  return f;
}

size_t dcsr_dense_filter_cmsis_nn_scratch_bytes(const DcsrLayer* layer,
                                                const DcsrConvShape* shape) {
  return 2 * shift_bytes(layer) + weight_bytes(layer) +
         (size_t)filter_of(layer, shape).buffer_bytes;
}

// Writes the bias of the model. Sums wrap.
static void unfold_bias(const DcsrLayer* layer, int32_t* bias) {
  const int8_t* weight = layer->values;
  for (uint32_t row = 0; row < layer->rows; ++row) {
    int32_t sum = 0;
    for (uint32_t c = 0; c < layer->cols; ++c) sum += *weight++;
    bias[row] =
        (int32_t)((uint32_t)layer->bias[row] + (uint32_t)layer->input_zero_point * (uint32_t)sum);
  }
}

static void transpose_weights(const DcsrLayer* layer, int8_t* weights) {
  for (uint32_t row = 0; row < layer->rows; ++row) {
    for (uint32_t c = 0; c < layer->cols; ++c) {
      weights[c * layer->rows + row] = layer->values[row * layer->cols + c];
    }
  }
}

void dcsr_dense_filter_cmsis_nn_prepare(const DcsrLayer* layer, void* scratch) {
  int32_t* shifts = (int32_t*)scratch;
  int32_t* bias = (int32_t*)(void*)((int8_t*)scratch + shift_bytes(layer));
  int8_t* weights = (int8_t*)bias + shift_bytes(layer);
  for (uint32_t row = 0; row < layer->rows; ++row) shifts[row] = layer->shift[row];
  unfold_bias(layer, bias);
  if (layer->op == kDcsrOpDepthwiseConv2d) transpose_weights(layer, weights);
}

void dcsr_dense_filter_cmsis_nn(const DcsrLayer* layer, const DcsrConvShape* shape,
                                const int8_t* input, int8_t* output, void* scratch) {
  const Filter f = filter_of(layer, shape);
  int32_t* shifts = (int32_t*)scratch;
  int32_t* bias = (int32_t*)(void*)((int8_t*)scratch + shift_bytes(layer));
  int8_t* weights = (int8_t*)bias + shift_bytes(layer);
  const cmsis_nn_context context = {weights + weight_bytes(layer), f.buffer_bytes};
  const cmsis_nn_per_channel_quant_params scale = {(int32_t*)without_const(layer->multiplier),
                                                   shifts};
  if (layer->op != kDcsrOpDepthwiseConv2d) {
    (void)arm_convolve_wrapper_s8(&context, &f.conv, &scale, &f.input, input, &f.filter,
                                  layer->values, &f.bias, bias, &f.output, output);
    return;
  }
  const size_t image = (size_t)f.input.h * (size_t)f.input.w * layer->channels;
  const size_t result = (size_t)f.output.h * (size_t)f.output.w * layer->rows;
  for (int32_t batch = 0; batch < shape->batches; ++batch) {
    (void)arm_depthwise_conv_wrapper_s8(&context, &f.depthwise, &scale, &f.input,
                                        input + (size_t)batch * image, &f.filter, weights, &f.bias,
                                        bias, &f.output, output + (size_t)batch * result);
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

#endif  // DCSR_HAS_CMSIS_NN
