// The dense baseline with CMSIS-NN. The input zero point is folded into the bias, so the input
// offset is 0.

#include "tflm_kernels/baseline/dense_cmsis_nn.h"

#if DCSR_HAS_CMSIS_NN

#include "arm_nnfunctions.h"

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

#endif  // DCSR_HAS_CMSIS_NN
