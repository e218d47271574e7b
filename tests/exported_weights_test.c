// Checks the arrays written by export_matrix: streams, packed layer and expected results are
// consistent with each other and with the kernels.

#include "tests/exported_weights.h"

#include <stdio.h>
#include <string.h>

#include "tflm_kernels/kernels.h"

#define CHECK(condition)                                     \
  do {                                                       \
    if (!(condition)) {                                      \
      printf("%s:%d: %s\n", __FILE__, __LINE__, #condition); \
      return 1;                                              \
    }                                                        \
  } while (0)

int main(void) {
  DcsrLayer layer;
  CHECK(dcsr_layer_parse(exported_weights_layer, exported_weights_layer_bytes, &layer) == kDcsrOk);
  CHECK(dcsr_layer_validate(&layer) == kDcsrOk);
  CHECK(layer.rows == exported_weights_rows && layer.cols == exported_weights_cols);
  CHECK(layer.elements == exported_weights_elements);

  CHECK(layer.row_length_bytes == sizeof(exported_weights_row_length[0]));
  CHECK(memcmp(layer.row_length, exported_weights_row_length,
               layer.rows * layer.row_length_bytes) == 0);
  CHECK(memcmp(layer.index, exported_weights_index, layer.index_bytes) == 0);
  CHECK(memcmp(layer.delta, exported_weights_delta, layer.delta_bytes) == 0);
  CHECK(memcmp(layer.plane, exported_weights_plane, layer.plane_bytes) == 0);
  CHECK(memcmp(layer.values, exported_weights_values, layer.elements) == 0);

  int8_t output[exported_weights_rows];
  const DcsrKernels* kernels = dcsr_fully_connected_kernels();
  const DcsrConvShape shape = dcsr_fully_connected_shape(1);
  DcsrPlan plan;
  dcsr_plan(kernels, &layer, &shape, dcsr_scratch_budget(kernels, &layer), &plan);
  CHECK(plan.scratch_bytes == 0);
  dcsr_run(&plan, &layer, &shape, exported_weights_input, output, NULL);
  for (int r = 0; r < exported_weights_rows; ++r) {
    int32_t product = 0;
    for (int c = 0; c < exported_weights_cols; ++c) {
      product += exported_weights_matrix[r * exported_weights_cols + c] * exported_weights_input[c];
    }
    CHECK(product == exported_weights_product[r]);
    CHECK(output[r] == exported_weights_output[r]);
  }
  return 0;
}
