// Rows of any encoding as runs of groups of a base and byte offsets, on cores with MVE (Helium).

#ifndef DCSR_TFLM_KERNELS_MVE_OFFSET_RUNS_MVE_H_
#define DCSR_TFLM_KERNELS_MVE_OFFSET_RUNS_MVE_H_

#include <stdbool.h>
#include <stdint.h>

#include "tflm_kernels/format/row_reader.h"
#include "tflm_kernels/mve/gather_products_mve.h"
#include "tflm_kernels/packed_layer.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { kDcsrRunGroups = 16 };

// What a run needs that is not in the layer as the run has it.
typedef struct {
  int32_t base[kDcsrRunGroups];
  uint8_t offset[kDcsrRunGroups * kDcsrGroupLanes];
  int8_t weight[kDcsrRunGroups * kDcsrGroupLanes];
} DcsrRunBuffer;

// Whether rows of the layer can be read by dcsr_read_offsets_mve().
bool dcsr_reads_offsets_mve(const DcsrLayer* layer);

// Reads on in a row of such a layer, which has at least `elements` left, not 0: bases and offsets
// of groups of 16, of which the last may have fewer, up to one whose columns are further apart than
// a byte holds. Returns the number of elements read, a multiple of 16 or all. Weights are where
// they were. Up to 15 offsets more may be written.
uint32_t dcsr_read_offsets_mve(DcsrRowReader* reader, uint32_t elements, int32_t* base,
                               uint8_t* offset);

// Likewise the next rows of such a layer, at least one, of so many elements, one behind the other.
// Returns how many there are; if that is less than `count`, the row behind them has begun: all but
// `left` of its elements are there too.
uint32_t dcsr_read_rows_offsets_mve(DcsrRowReader* reader, const uint32_t* lengths, uint32_t count,
                                    int32_t* base, uint8_t* offset);

// Reads on in a row that has elements left: up to 16 groups, with bases. All of their columns are
// columns of the row. The run is valid until `buffer` is used again.
void dcsr_next_offset_run_mve(DcsrRowReader* reader, DcsrRunBuffer* buffer, DcsrOffsetRun* run);

#ifdef __cplusplus
}
#endif

#endif  // DCSR_TFLM_KERNELS_MVE_OFFSET_RUNS_MVE_H_
