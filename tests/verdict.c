// The verdict of the C reader on a blob, for tests/verdict_test.py, which calls it by ctypes.

#include <string.h>

#include "tflm_kernels/format/row_reader.h"
#include "tflm_kernels/packed_layer.h"

enum { kRepeatedColumn = -1, kNoRoom = -2 };

int dcsr_verdict(const void* blob, size_t bytes, int8_t* matrix, size_t capacity);

// Parses and validates `blob`, aligned to 4, of `bytes` bytes. If both return kDcsrOk, decodes the
// weights to `matrix` [rows * cols]; at most `capacity` bytes. Returns the DcsrStatus;
// kRepeatedColumn if two nonzeros of a row share a column, which only offset8 can express;
// kNoRoom if the matrix has more than `capacity` bytes.
int dcsr_verdict(const void* blob, size_t bytes, int8_t* matrix, size_t capacity) {
  DcsrLayer layer;
  DcsrStatus status = dcsr_layer_parse(blob, bytes, &layer);
  if (status == kDcsrOk) status = dcsr_layer_validate(&layer);
  if (status != kDcsrOk) return (int)status;
  if ((uint64_t)layer.rows * layer.cols > capacity) return kNoRoom;
  memset(matrix, 0, (size_t)layer.rows * layer.cols);
  DcsrRowReader reader = dcsr_row_reader(&layer);
  DcsrGroup group;
  for (uint32_t row = 0; row < layer.rows; ++row) {
    dcsr_next_row(&reader);
    while (dcsr_next_group(&reader, &group)) {
      for (uint32_t l = 0; l < group.lanes; ++l) {
        int8_t* weight = matrix + (size_t)row * layer.cols + (size_t)group.column[l];
        if (group.weight[l] == 0) continue;
        if (*weight != 0) return kRepeatedColumn;
        *weight = group.weight[l];
      }
    }
  }
  return (int)kDcsrOk;
}
