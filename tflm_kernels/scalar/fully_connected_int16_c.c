// Fully connected layer with int16 activations for any core, any encoding
// (docs/format.md#arithmetic).
//
// Input:   [batches, cols], int16.
// Output:  [batches, rows], int16.
// Scratch: none.
// Cycles:  counted in costs/costs.c (docs/kernels.md#int16-activations).
//
// The products of a group are added in 32 bits: 16 products of at most 2^22 need 27 bits. The sums
// of groups are added in 64 bits.

#include <stddef.h>

#include "tflm_kernels/common/requantize.h"
#include "tflm_kernels/format/group_decoder.h"
#include "tflm_kernels/scalar/scalar.h"

static int32_t multiply_group(const DcsrGroup* group, const int16_t* x) {
  int32_t sum = 0;
  for (uint32_t l = 0; l < group->lanes; ++l) sum += group->weight[l] * x[group->column[l]];
  return sum;
}

void dcsr_fully_connected_int16_c(const DcsrPlan* plan, const DcsrLayer* layer,
                                  const DcsrConvShape* shape, const void* input_data,
                                  void* output_data, void* scratch) {
  (void)plan;
  (void)scratch;
  const int16_t* input = (const int16_t*)input_data;
  int16_t* output = (int16_t*)output_data;
  for (int32_t batches = shape->batches; batches > 0; --batches) {
    DcsrRowReader reader = dcsr_row_reader(layer);
    for (uint32_t row = 0; row < layer->rows; ++row) {
      uint64_t sum = dcsr_int16_bias(layer, row);
      dcsr_next_row(&reader);
      DcsrGroup group;
      while (dcsr_decode_group(&reader, &group)) {
        sum += (uint64_t)(int64_t)multiply_group(&group, input);
      }
      *output++ = dcsr_requantize_int16(layer, row, sum);
    }
    input += layer->cols;
  }
}
