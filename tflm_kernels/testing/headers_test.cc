// Tests that the headers compile as C++ and that their functions link.

#include <cstdio>

#include "tflm_kernels/common/requantize.h"
#include "tflm_kernels/dispatch/tables.h"
#include "tflm_kernels/format/row_reader.h"
#include "tflm_kernels/kernels.h"
#include "tflm_kernels/mve/mve.h"
#include "tflm_kernels/packed_layer.h"
#include "tflm_kernels/planning/planners.h"
#include "tflm_kernels/reference/reference.h"
#include "tflm_kernels/reference/tile_ref.h"
#include "tflm_kernels/scalar/scalar.h"

int main() {
  DcsrLayer layer = {};
  const DcsrStatus status = dcsr_layer_parse(nullptr, 0, &layer);
  std::printf("%s\n", dcsr_status_string(status));
  const bool reads_nothing = dcsr_row_reader(&layer).left == 0;
  const bool halves = dcsr_multiply_by_quantized_multiplier(8, 1 << 30, 0) == 4;
  const bool has_one_list = dcsr_fully_connected_kernels()->larger == nullptr;
  return status == kDcsrErrorTruncated && reads_nothing && halves && has_one_list ? 0 : 1;
}
