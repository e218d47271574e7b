// Finds the longest row with MVE (Cortex-M55, M85), 16 rows at a time if lengths are bytes.
// Planning needs it at every Invoke.

#include "tflm_kernels/common/compiler.h"
#include "tflm_kernels/mve/mve.h"
#include "tflm_kernels/planning/planners.h"

#if DCSR_HAS_MVE

#include <arm_mve.h>

uint32_t dcsr_longest_row_mve(const DcsrLayer* layer) {
  if (layer->row_length_bytes != 1) return dcsr_longest_row(layer);
  uint8_t longest = 0;
  for (uint32_t row = 0; row < layer->rows; row += 16) {
    const mve_pred16_t rows = vctp8q(layer->rows - row);
    longest = vmaxvq_p_u8(longest, vldrbq_z_u8(layer->row_length + row, rows), rows);
  }
  return longest;
}

#endif  // DCSR_HAS_MVE
