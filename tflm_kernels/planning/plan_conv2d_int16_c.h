// Division of the scratch of conv2d_int16_c.
//
// Scratch: list of a row, ListEntry[dcsr_conv2d_int16_c_list_entries(cols)];
//          sums of a tile, int64 [blocks][4 pixels];
//          patches of a tile, int16 [blocks][cols][4 pixels].

#ifndef DCSR_TFLM_KERNELS_PLANNING_PLAN_CONV2D_INT16_C_H_
#define DCSR_TFLM_KERNELS_PLANNING_PLAN_CONV2D_INT16_C_H_

#include <stddef.h>
#include <stdint.h>

enum {
  kDcsrInt16BlockPixels = 4,
  kDcsrInt16ColumnBytes = kDcsrInt16BlockPixels * 2,
  kDcsrInt16MostListEntries = 256,  // 256 * 2^22 < 2^31
  kDcsrInt16ListEntryBytes = 8,
};

// Number of list entries. A row that may need more is decoded in parts.
static inline size_t dcsr_conv2d_int16_c_list_entries(uint32_t cols) {
  return cols < kDcsrInt16MostListEntries ? cols : (size_t)kDcsrInt16MostListEntries;
}

#endif  // DCSR_TFLM_KERNELS_PLANNING_PLAN_CONV2D_INT16_C_H_
