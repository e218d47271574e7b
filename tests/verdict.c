// The verdict of the C reader on a blob, for tests/verdict_test.py, which calls it by ctypes.

#include <stdbool.h>
#include <string.h>

#include "tflm_kernels/format/row_reader.h"
#include "tflm_kernels/packed_layer.h"

enum { kRepeatedColumn = -1, kNoRoom = -2 };

int dcsr_verdict(const void* blob, size_t bytes, const void* shared, size_t shared_bytes,
                 int8_t* matrix, size_t capacity, uint8_t* derived, size_t derived_capacity);

static DcsrStatus open_shared(const void* blob, size_t bytes, const void* shared,
                              size_t shared_bytes, uint8_t* derived, size_t capacity,
                              bool* has_room, DcsrLayer* layer) {
  DcsrSharedRows rows;
  const DcsrStatus status =
      dcsr_shared_layer_parse(blob, bytes, shared, shared_bytes, layer, &rows);
  if (status != kDcsrOk) return status;
  *has_room = dcsr_derived_rows_bytes(layer) <= capacity;
  return *has_room ? dcsr_shared_layer_validate(layer, &rows, derived) : kDcsrOk;
}

// Parses and validates `blob`, aligned to 4, of `bytes` bytes, with the shared rows `shared` if
// that is not NULL, and checks its checksum if it has one. If all return kDcsrOk, decodes the
// weights to `matrix` [rows * cols]; at most `capacity` bytes. The derived rows are then in
// `derived`, at most `derived_capacity` bytes. Returns the DcsrStatus; kRepeatedColumn if two
// nonzeros of a row share a column, which only offset8 can express; kNoRoom if the matrix or the
// derived rows have too many bytes.
int dcsr_verdict(const void* blob, size_t bytes, const void* shared, size_t shared_bytes,
                 int8_t* matrix, size_t capacity, uint8_t* derived, size_t derived_capacity) {
  DcsrLayer layer;
  bool has_room = true;
  DcsrStatus status;
  if (shared != NULL) {
    status = open_shared(blob, bytes, shared, shared_bytes, derived, derived_capacity, &has_room,
                         &layer);
  } else {
    status = dcsr_layer_parse(blob, bytes, &layer);
    if (status == kDcsrOk) status = dcsr_layer_validate(&layer);
    if (status == kDcsrOk && layer.checksum != NULL) status = dcsr_layer_check_sum(&layer);
  }
  if (status != kDcsrOk) return (int)status;
  if (!has_room || (uint64_t)layer.rows * layer.cols > capacity) return kNoRoom;
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
