// How conv1x1_c divides its scratch: list, sums, activations.

#ifndef DCSR_TFLM_KERNELS_PLANNING_PLAN_CONV1X1_C_H_
#define DCSR_TFLM_KERNELS_PLANNING_PLAN_CONV1X1_C_H_

#include <stddef.h>
#include <stdint.h>

enum {
  kDcsrCBlockPixels = 8,
  kDcsrCColumnBytes = kDcsrCBlockPixels / 2 * 4,  // two pixels share a word
  kDcsrCMostListEntries = 256,
  kDcsrCListEntryBytes = 8,
};

// Entries of the list of a row, or of a part of it.
static inline size_t dcsr_conv1x1_c_list_entries(uint32_t cols) {
  return cols < kDcsrCMostListEntries ? cols : (size_t)kDcsrCMostListEntries;
}

#endif  // DCSR_TFLM_KERNELS_PLANNING_PLAN_CONV1X1_C_H_
