// Product of the weight matrix with a tile of activation vectors in portable C, any encoding
// (docs/format.md#arithmetic).

#include "tflm_kernels/reference/tile_ref.h"

#include "tflm_kernels/common/requantize.h"
#include "tflm_kernels/format/row_reader.h"

// Sums are unsigned because they may wrap.
static uint32_t multiply_group(const DcsrGroup* group, const int8_t* vector) {
  uint32_t sum = 0;
  for (uint32_t l = 0; l < group->lanes; ++l) {
    sum += (uint32_t)(group->weight[l] * vector[group->column[l]]);
  }
  return sum;
}

void dcsr_tile_ref(const DcsrLayer* layer, const int8_t* const vectors[], size_t count,
                   int8_t* output) {
  uint32_t acc[kDcsrTileVectors];
  DcsrRowReader reader = dcsr_row_reader(layer);
  for (uint32_t row = 0; row < layer->rows; ++row) {
    const DcsrRowTail tail = dcsr_row_tail(layer, row);
    for (size_t v = 0; v < count; ++v) acc[v] = (uint32_t)tail.bias;

    dcsr_next_row(&reader);
    DcsrGroup group;
    while (dcsr_next_group(&reader, &group)) {
      for (size_t v = 0; v < count; ++v) {
        acc[v] += multiply_group(&group, vectors[v]);
      }
    }

    for (size_t v = 0; v < count; ++v) {
      output[v * layer->rows + row] =
          dcsr_requantize_by(layer, tail.multiplier, tail.shift, acc[v]);
    }
  }
}
