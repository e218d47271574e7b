// Makes weights, activations and expected outputs of a case (cases.h). Allocates memory.

#ifndef DCSR_TFLM_KERNELS_TESTING_LAYERS_H_
#define DCSR_TFLM_KERNELS_TESTING_LAYERS_H_

#include <stddef.h>
#include <stdint.h>

#include "tflm_kernels/kernels.h"
#include "tflm_kernels/testing/cases.h"
#include "tflm_kernels/testing/pack.h"

#ifdef __cplusplus
extern "C" {
#endif

// The data of a case. Each array is a malloc of its exact size, so that ASan detects accesses past
// its end.
typedef struct {
  DenseLayer layer;
  DcsrConvShape shape;  // FULLY_CONNECTED: 1 x 1
  size_t input_size;
  size_t output_size;
  int8_t* input;
  int8_t* weights;  // `layer` points to these four arrays
  int32_t* bias;
  int32_t* multiplier;
  int8_t* shift;
} CaseData;

CaseData make_case(const DcsrCase* c, uint64_t seed);

// Makes the case as a convolution with filter `window`: c->cols = filter_h * filter_w * channels.
CaseData make_window_case(const DcsrCase* c, const Window* window, uint64_t seed);

// Makes the case as a depthwise convolution: c->cols = filter_h * filter_w, c->rows a multiple of
// `depth_multiplier`.
CaseData make_depthwise_case(const DcsrCase* c, const Window* window, uint32_t depth_multiplier,
                             uint64_t seed);

void free_case(CaseData* data);

// The oracle: a plain loop over the dense matrix with TFLM's formula. It subtracts the zero point
// from every activation and uses the bias of the model. Writes data->output_size outputs.
void dense_oracle(const CaseData* data, int8_t* output);

// A case with int16 activations. Its input and bias replace those of `data`; zero points are 0.
typedef struct {
  CaseData data;
  int16_t* input;  // [data.input_size]
  int64_t* bias;
} Int16Case;

Int16Case make_int16_case(const DcsrCase* c, const Window* window, uint64_t seed);
void free_int16_case(Int16Case* c);

// The oracle with TFLM's formula for int16 activations.
void int16_dense_oracle(const CaseData* data, const int16_t* input, int16_t* output);

// The formula of docs/format.md#arithmetic, in exact 64-bit arithmetic.
int32_t requantize_oracle(int32_t acc, int32_t multiplier, int32_t shift);

#ifdef __cplusplus
}
#endif

#endif  // DCSR_TFLM_KERNELS_TESTING_LAYERS_H_
