// Depthwise convolution with any filter in portable C, any encoding (docs/format.md#arithmetic).
//
// Input:   [batches, input_height, input_width, channels], int8.
// Output:  [batches, output_height, output_width, rows], int8.
// Scratch: none.
// Cycles:  counted in costs/costs.c.
//
// The kernel of CONV_2D, which knows the columns of both, so that a firmware links one row reader
// for them and not two.

#include "tflm_kernels/reference/reference.h"

void dcsr_depthwise_conv2d_ref(const DcsrPlan* plan, const DcsrLayer* layer,
                               const DcsrConvShape* shape, const void* input_data,
                               void* output_data, void* scratch) {
  dcsr_conv2d_ref(plan, layer, shape, input_data, output_data, scratch);
}
