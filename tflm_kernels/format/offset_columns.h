// Reads the columns of offset groups (group_words.h), for offset8 and for dcsr with byte deltas.

#ifndef DCSR_TFLM_KERNELS_FORMAT_OFFSET_COLUMNS_H_
#define DCSR_TFLM_KERNELS_FORMAT_OFFSET_COLUMNS_H_

#include <stdint.h>

#include "tflm_kernels/common/compiler.h"
#include "tflm_kernels/format/group_words.h"
#include "tflm_kernels/format/row_reader.h"

// Requires dcsr_is_offset_group().
static inline void dcsr_read_offset_columns(DcsrRowReader* reader, DcsrGroup* group) {
  const uint32_t base = (uint32_t)dcsr_offset_base(reader);
  const uint8_t* offset = reader->delta;
  DCSR_UNROLL("GCC unroll 16")
  for (uint32_t l = 0; l < kDcsrGroupLanes; ++l) group->column[l] = (int32_t)(base + offset[l]);
  reader->delta += kDcsrGroupLanes;
}

#endif  // DCSR_TFLM_KERNELS_FORMAT_OFFSET_COLUMNS_H_
