// The functions that read one encoding, or one coding of the values. A layer points to those of its
// own, so a firmware links only the ones that a list of decoders names (packed_layer.h). The
// functions of an encoding are in the file of its name.

#ifndef DCSR_TFLM_KERNELS_FORMAT_DECODERS_H_
#define DCSR_TFLM_KERNELS_FORMAT_DECODERS_H_

#include <stdbool.h>
#include <stdint.h>

#include "tflm_kernels/packed_layer.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct DcsrGroup DcsrGroup;          // row_reader.h
typedef struct DcsrRowReader DcsrRowReader;  // row_reader.h

struct DcsrDecoder {
  // Whether all positions of the layer lie in their rows, and their streams end with the last one.
  // Row lengths are valid. NULL: positions need no check.
  bool (*positions_are_valid)(const DcsrLayer* layer);
  // Whether no row is longer than the layer has columns, and the lengths add up to its elements.
  // NULL: read the length of each row.
  bool (*row_lengths_are_valid)(const DcsrLayer* layer);
  // The length of a row in a layer without row_length_bytes and row_length_bits. NULL if every
  // layer has them.
  uint32_t (*row_length)(const DcsrLayer* layer, uint32_t row);
  // Prepares the reader for its next row, which has `length` elements. NULL: nothing to prepare.
  void (*begin_row)(DcsrRowReader* reader, uint32_t length);
  // Reads the columns of the next group->lanes elements.
  void (*read_columns)(DcsrRowReader* reader, DcsrGroup* group);
  // The same, faster, for layers with dcsr_has_word_groups(). May also write columns of lanes
  // beyond group->lanes.
  void (*decode_columns)(DcsrRowReader* reader, DcsrGroup* group);
};

struct DcsrValueDecoder {
  // Whether the code of the values is complete.
  bool (*code_is_complete)(const DcsrLayer* layer);
  // Whether the stream of the values ends with the last one. The code is complete.
  bool (*values_are_valid)(const DcsrLayer* layer);
  // Prepares the reader for the first value of the layer.
  void (*begin)(DcsrRowReader* reader);
  // Reads the values of the next group->lanes elements.
  void (*read_values)(DcsrRowReader* reader, DcsrGroup* group);
  // The same, faster, for layers with dcsr_has_word_groups().
  void (*decode_values)(DcsrRowReader* reader, DcsrGroup* group);
};

// Functions of the unchecked decoders: nothing is valid.
bool dcsr_unchecked(const DcsrLayer* layer);

#ifdef __cplusplus
}
#endif

#endif  // DCSR_TFLM_KERNELS_FORMAT_DECODERS_H_
