// Division of the scratch of conv1x1_smlal.
//
// Scratch: list of a row, ListEntry[dcsr_conv1x1_smlal_list_entries(longest row)];
//          sums of a list, uint64 [blocks][4], each of two pixels;
//          totals of all lists, uint32 [blocks][8 pixels], only if a row may need several lists;
//          activations of a tile, uint32 [blocks][cols][4], each of two pixels.

#ifndef DCSR_TFLM_KERNELS_PLANNING_PLAN_CONV1X1_SMLAL_H_
#define DCSR_TFLM_KERNELS_PLANNING_PLAN_CONV1X1_SMLAL_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tflm_kernels/packed_layer.h"

enum {
  kDcsrSmlalBlockPixels = 8,
  kDcsrSmlalColumnBytes = kDcsrSmlalBlockPixels / 2 * 4,  // two pixels share a word
  kDcsrSmlalMostListEntries = 254,                        // 254 * 2^14 < 2^22
  kDcsrSmlalListSlack = 1,                                // ends the list
  kDcsrSmlalListEntryBytes = 8,
};

// List entries for rows of up to `elements` elements. A group is decoded only if the list has room
// for a whole one. All groups of a row but the last are whole.
static inline size_t dcsr_conv1x1_smlal_row_entries(size_t elements) {
  return (elements + kDcsrGroupLanes - 1) / kDcsrGroupLanes * kDcsrGroupLanes;
}

// Whether every row fits into one list. `longest` are the elements of the longest row.
static inline bool dcsr_conv1x1_smlal_has_one_list(size_t longest) {
  return dcsr_conv1x1_smlal_row_entries(longest) <= kDcsrSmlalMostListEntries;
}

// Number of list entries, including the slack.
static inline size_t dcsr_conv1x1_smlal_list_entries(size_t longest) {
  const size_t most = dcsr_conv1x1_smlal_has_one_list(longest)
                          ? dcsr_conv1x1_smlal_row_entries(longest)
                          : (size_t)kDcsrSmlalMostListEntries;
  return most + kDcsrSmlalListSlack;
}

#endif  // DCSR_TFLM_KERNELS_PLANNING_PLAN_CONV1X1_SMLAL_H_
