// Division of the scratch of conv1x1_c.
//
// Scratch: list of a row, ListEntry[dcsr_conv1x1_c_list_entries(cols)];
//          sums of a tile, uint32 [blocks][8 pixels];
//          activations of a tile, uint32 [blocks][cols][4], with two pixels in each word.

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

// Number of list entries. A row that may need more is decoded in parts.
static inline size_t dcsr_conv1x1_c_list_entries(uint32_t cols) {
  return cols < kDcsrCMostListEntries ? cols : (size_t)kDcsrCMostListEntries;
}

#endif  // DCSR_TFLM_KERNELS_PLANNING_PLAN_CONV1X1_C_H_
