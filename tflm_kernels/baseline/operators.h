// Dense kernels of whole operators, for the benchmark of whole models: the operators that the
// custom ops do not replace. Int8 activations in NHWC order, bit for bit as in TFLM.
//
// operators_cmsis_nn.h has the same operators with CMSIS-NN. All fields of the structs that
// end in "Parameters" are int32_t: benchmarks/model_steps.py writes them in this order.
//
// Source of the arithmetic: tensorflow/lite/kernels/internal/reference/.

#ifndef DCSR_TFLM_KERNELS_BASELINE_OPERATORS_H_
#define DCSR_TFLM_KERNELS_BASELINE_OPERATORS_H_

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { kDcsrDenseRank = 4 };

// An operator that moves a window over an image: CONV_2D, DEPTHWISE_CONV_2D, pooling; or
// FULLY_CONNECTED, with images of one pixel. Sizes are in pixels.
typedef struct {
  int32_t batches;
  int32_t input_height;
  int32_t input_width;
  int32_t input_channels;
  int32_t output_height;
  int32_t output_width;
  int32_t output_channels;
  int32_t filter_height;
  int32_t filter_width;
  int32_t filter_channels;  // of one filter of CONV_2D: less than input_channels in groups
  int32_t stride_height;
  int32_t stride_width;
  int32_t dilation_height;
  int32_t dilation_width;
  int32_t padding_height;  // above the image
  int32_t padding_width;   // to the left of it
  int32_t same_padding;    // whether the padding is SAME, not VALID
  int32_t input_zero_point;
  int32_t output_zero_point;
  int32_t activation_min;
  int32_t activation_max;
  int32_t is_per_channel;  // whether there is a multiplier for each output channel
  int32_t output_rank;     // of FULLY_CONNECTED
} DcsrWindowParameters;

// The constants of an operator with weights.
typedef struct {
  const int8_t* weights;      // as in the model; DEPTHWISE_CONV_2D: [height, width, channels]
  const int32_t* bias;        // [output channels]; NULL: all 0
  const int32_t* multiplier;  // [output channels] or [1]
  const int32_t* shift;       // likewise
} DcsrDenseWeights;

// ADD and MUL. Dimensions that an input lacks are 1.
typedef struct {
  int32_t dims[kDcsrDenseRank];      // of the output
  int32_t strides1[kDcsrDenseRank];  // elements; 0 in dimensions that are repeated
  int32_t strides2[kDcsrDenseRank];
  int32_t is_broadcast;
  int32_t left_shift;  // ADD
  int32_t zero_point1;
  int32_t multiplier1;  // ADD, as the next four
  int32_t shift1;
  int32_t zero_point2;
  int32_t multiplier2;
  int32_t shift2;
  int32_t output_zero_point;
  int32_t output_multiplier;
  int32_t output_shift;
  int32_t activation_min;
  int32_t activation_max;
} DcsrBinaryParameters;

// MEAN and REDUCE_MAX.
typedef struct {
  int32_t dims[kDcsrDenseRank];            // of the input
  int32_t output_strides[kDcsrDenseRank];  // elements; 0 in dimensions that are reduced
  int32_t outputs;
  int32_t input_offset;  // MEAN: to a sum
  int32_t output_zero_point;
  int32_t multiplier;
  int32_t shift;
} DcsrReduceParameters;

typedef struct {
  int32_t dims[kDcsrDenseRank];  // of the input
  int32_t before[kDcsrDenseRank];
  int32_t after[kDcsrDenseRank];
  int32_t value;
} DcsrPadParameters;

typedef struct {
  int32_t rows;
  int32_t row_size;
  int32_t multiplier;
  int32_t shift;
  int32_t smallest_difference;
} DcsrSoftmaxParameters;

// QUANTIZE and DEQUANTIZE.
typedef struct {
  int32_t elements;
  int32_t scale_bits;  // of a float32: the scale of the int8 tensor, if the other one is float
  int32_t input_zero_point;
  int32_t output_zero_point;
  int32_t multiplier;  // from int8 to int8
  int32_t shift;
} DcsrQuantizeParameters;

void dcsr_operator_depthwise_conv2d(const DcsrWindowParameters* window,
                                    const DcsrDenseWeights* layer, const int8_t* input,
                                    int8_t* output);

void dcsr_operator_average_pool(const DcsrWindowParameters* window, const int8_t* input,
                                int8_t* output);
void dcsr_operator_max_pool(const DcsrWindowParameters* window, const int8_t* input,
                            int8_t* output);

void dcsr_operator_add(const DcsrBinaryParameters* binary, const int8_t* input1,
                       const int8_t* input2, int8_t* output);
void dcsr_operator_mul(const DcsrBinaryParameters* binary, const int8_t* input1,
                       const int8_t* input2, int8_t* output);

// `sums` has one element for each output.
void dcsr_operator_mean(const DcsrReduceParameters* reduce, const int8_t* input, int8_t* output,
                        int32_t* sums);
void dcsr_operator_reduce_max(const DcsrReduceParameters* reduce, const int8_t* input,
                              int8_t* output);

void dcsr_operator_reduce_max_float(const DcsrReduceParameters* reduce, const float* input,
                                    float* output);

void dcsr_operator_pad(const DcsrPadParameters* pad, const int8_t* input, int8_t* output);

void dcsr_operator_softmax(const DcsrSoftmaxParameters* softmax, const int8_t* input,
                           int8_t* output);

void dcsr_operator_quantize(const DcsrQuantizeParameters* quantize, const float* input,
                            int8_t* output);
void dcsr_operator_requantize(const DcsrQuantizeParameters* quantize, const int8_t* input,
                              int8_t* output);
void dcsr_operator_dequantize(const DcsrQuantizeParameters* quantize, const int8_t* input,
                              float* output);

#ifdef __cplusplus
}
#endif

#endif  // DCSR_TFLM_KERNELS_BASELINE_OPERATORS_H_
