// The headers work in C++, and their functions link.

#include <cstdio>

#include "tflm_kernels/common/requantize.h"
#include "tflm_kernels/format/row_reader.h"
#include "tflm_kernels/kernels.h"
#include "tflm_kernels/packed_layer.h"
#include "tflm_kernels/reference/reference.h"
#include "tflm_kernels/reference/tile_ref.h"

int main() {
  DcsrLayer layer = {};
  const DcsrStatus status = dcsr_layer_parse(nullptr, 0, &layer);
  std::printf("%s\n", dcsr_status_string(status));
  const bool reads_nothing = dcsr_row_reader(&layer).left == 0;
  const bool halves = dcsr_multiply_by_quantized_multiplier(8, 1 << 30, 0) == 4;
  const bool needs_no_scratch = dcsr_fully_connected_scratch_bytes(&layer, 0) == 0;
  return status == kDcsrErrorTruncated && reads_nothing && halves && needs_no_scratch ? 0 : 1;
}
