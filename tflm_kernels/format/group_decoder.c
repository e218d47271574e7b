// Decodes groups of up to 16 elements, a 32-bit word of the stream at a time.
// Format: docs/format.md#encodings.
//
// Input:   a row reader within a row (row_reader.h).
// Output:  a group: columns and weights of its lanes.
// Scratch: none; the group holds decoded values.

#include "tflm_kernels/format/group_decoder.h"

#include <stdint.h>

#include "tflm_kernels/format/group_words.h"

bool dcsr_decode_group(DcsrRowReader* reader, DcsrGroup* group) {
  const DcsrLayer* layer = reader->layer;
  if (!dcsr_has_word_groups(layer)) return dcsr_next_group(reader, group);
  if (reader->left == 0) return false;
  group->lanes = reader->left < kDcsrGroupLanes ? reader->left : (uint32_t)kDcsrGroupLanes;
  layer->decoder->decode_columns(reader, group);
  if (layer->value_decoder != NULL) {
    layer->value_decoder->decode_values(reader, group);
  } else {
    group->weight = reader->weight;
    reader->weight += group->lanes;
  }
  reader->element += group->lanes;
  reader->left -= group->lanes;
  return true;
}
