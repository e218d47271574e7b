// Decodes rows of any encoding to runs of offset groups, on cores with MVE. An offset group is a
// base and byte offsets. docs/kernels.md#few-pixels-with-mve.

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

// Memory for the arrays of a run that are not stored in the layer.
typedef struct {
  int32_t base[kDcsrRunGroups];
  uint8_t offset[kDcsrRunGroups * kDcsrGroupLanes];
  int8_t weight[kDcsrRunGroups * kDcsrGroupLanes];
} DcsrRunBuffer;

// Whether dcsr_read_offsets_mve() can read rows of the layer.
bool dcsr_reads_offsets_mve(const DcsrLayer* layer);

// Reads the next `elements` > 0 elements of a row of such a layer. The row has at least as many
// left. Writes bases and offsets of groups of 16. The last group may be partial. Stops before a
// group whose columns are too far apart for byte offsets. Returns the number of elements read: a
// multiple of 16, or all. Weights are not copied. Up to 15 more offsets may be written.
uint32_t dcsr_read_offsets_mve(DcsrRowReader* reader, uint32_t elements, int32_t* base,
                               uint8_t* offset);

// Reads the next `count` > 0 rows of such a layer into consecutive groups. `lengths` has the number
// of elements of each row. Returns the number of complete rows. If it is less than `count`, the
// reader is within the next row: all of its elements but the last reader->left were read.
uint32_t dcsr_read_rows_offsets_mve(DcsrRowReader* reader, const uint32_t* lengths, uint32_t count,
                                    int32_t* base, uint8_t* offset);

// Reads up to 16 groups of a row that has elements left. All columns of the run are columns of the
// row. The run is valid until `buffer` is used again.
void dcsr_next_offset_run_mve(DcsrRowReader* reader, DcsrRunBuffer* buffer, DcsrOffsetRun* run);

#ifdef __cplusplus
}
#endif

#endif  // DCSR_TFLM_KERNELS_MVE_OFFSET_RUNS_MVE_H_
