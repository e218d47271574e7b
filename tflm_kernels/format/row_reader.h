// A cursor over the weight matrix of a layer, the same for every encoding. It
// returns columns and weights in stored order, up to 16 elements at a time.
// Columns increase, except in an offset8 layer, where they may have any order
// and fillers may repeat them. Format: docs/format.md#encodings. The functions
// that depend on the encoding are those of layer->decoder (decoders.h).
//
//   DcsrRowReader reader = dcsr_row_reader(layer);
//   for (uint32_t row = 0; row < layer->rows; ++row) {
//     dcsr_next_row(&reader);
//     DcsrGroup group;
//     while (dcsr_next_group(&reader, &group)) {
//       for (uint32_t l = 0; l < group.lanes; ++l) {
//         ... group.column[l], group.weight[l] ...
//
// The reader does no checks. The layer has to have passed dcsr_layer_validate(),
// which itself uses this reader.

#ifndef DCSR_TFLM_KERNELS_FORMAT_ROW_READER_H_
#define DCSR_TFLM_KERNELS_FORMAT_ROW_READER_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tflm_kernels/format/bit_reader.h"
#include "tflm_kernels/format/decoders.h"
#include "tflm_kernels/format/huffman.h"
#include "tflm_kernels/packed_layer.h"

#ifdef __cplusplus
extern "C" {
#endif

enum {
  kDcsrNibbleBits = 4,      // bits of a gap (rle), or of a base delta (dcsr)
  kDcsrByteBits = 8,        // bits of a base delta if index_parameter is 8
  kDcsrSlopeBits = 4,       // fraction of the slope
  kDcsrPlaneMask = 0xF,     // descriptor: bits 0-3
  kDcsrStepShift = 4,       // descriptor: bits 4-15
  kDcsrStepEscape = 0x800,  // those bits as unsigned: an i32 base follows
  kDcsrStepBytes = 2,
  kDcsrEscapeBytes = 6,        // descriptor and base
  kDcsrMaxRowLengthBits = 18,  // rice
  kDcsrMaxRiceParameter = 32,
};

// Up to 16 consecutive elements of one row. In a copy, `weight` may point into the original.
struct DcsrGroup {
  uint32_t lanes;  // 1 .. 16
  int32_t column[kDcsrGroupLanes];
  const int8_t* weight;             // [lanes]
  int8_t decoded[kDcsrGroupLanes];  // huffman: `weight` points here
};

// Points at the next element in each stream. Has some 600 bytes, as it contains a table for values:
// avoid copies.
struct DcsrRowReader {
  const DcsrLayer* layer;
  const uint8_t* index;
  const uint8_t* delta;
  const uint8_t* plane;
  const int8_t* weight;      // plain
  uint32_t row;              // the next row
  uint32_t left;             // elements of the current row not yet read
  uint32_t slope;            // dcsr
  int32_t expected;          // dcsr, offset8: the next base if its step is 0; else
                             // the next column if its gap is 0
  uint32_t element;          // rle: index of the next element in the layer
  uint32_t remainder_bits;   // rice: bits of a remainder in the current row
  DcsrBitReader index_bits;  // rice: quotients; bitmap
  DcsrBitReader delta_bits;  // rice: remainders
  DcsrBitReader value_bits;  // huffman
  DcsrHuffmanTable values;   // huffman
};

// Reads byte by byte, so `p` needs no alignment. Compilers emit a single load
// where the target has unaligned loads.
static inline uint32_t dcsr_load_u16(const uint8_t* p) {
  return (uint32_t)p[0] | (uint32_t)p[1] << 8;
}

static inline uint32_t dcsr_load_u32(const uint8_t* p) {
  return dcsr_load_u16(p) | dcsr_load_u16(p + 2) << 16;
}

static inline uint32_t dcsr_load_nibble(const uint8_t* p, uint32_t i) {
  return (uint32_t)(p[i / 2] >> (i % 2 * kDcsrNibbleBits)) & 0xF;
}

// Returns `count` <= 25 bits as a number. Reads no byte beyond them.
static inline uint32_t dcsr_load_bits(const uint8_t* data, uint32_t first, uint32_t count) {
  const uint8_t* p = data + first / 8;
  const uint32_t end = first % 8 + count;
  uint32_t word = 0;
  for (uint32_t i = 0; 8 * i < end; ++i) word |= (uint32_t)p[i] << (8 * i);
  return word >> (first % 8) & ((UINT32_C(1) << count) - 1);
}

// Length of a row of rice. If at least four bytes of values follow, a whole word can be read.
static inline uint32_t dcsr_load_row_length(const DcsrLayer* layer, uint32_t row) {
  const uint32_t count = layer->row_length_bits;
  const uint32_t first = row * count;
  if (layer->value_bytes < 4) return dcsr_load_bits(layer->row_length, first, count);
  return dcsr_load_u32(layer->row_length + first / 8) >> (first % 8) & ((UINT32_C(1) << count) - 1);
}

// dcsr_row_length() of layers whose row_length_bytes are neither 1 nor 2.
uint32_t dcsr_rare_row_length(const DcsrLayer* layer, uint32_t row);

// Number of elements of a row, fillers included.
static inline uint32_t dcsr_row_length(const DcsrLayer* layer, uint32_t row) {
  const uint8_t* p = layer->row_length + (size_t)row * layer->row_length_bytes;
  if (layer->row_length_bytes == 1) return p[0];
  if (layer->row_length_bytes == 2) return dcsr_load_u16(p);
  return dcsr_rare_row_length(layer, row);
}

// Writes the lengths of `count` rows from `row` on. The most frequent cases take few instructions.
static inline void dcsr_row_lengths(const DcsrLayer* layer, uint32_t row, uint32_t count,
                                    uint32_t* lengths) {
  const uint8_t* p = layer->row_length + (size_t)row * layer->row_length_bytes;
  if (layer->row_length_bytes == 1) {
    for (uint32_t r = 0; r < count; ++r) lengths[r] = p[r];
  } else if (layer->row_length_bytes == 2) {
    for (uint32_t r = 0; r < count; ++r) lengths[r] = dcsr_load_u16(p + 2 * r);
  } else {
    for (uint32_t r = 0; r < count; ++r) lengths[r] = dcsr_row_length(layer, row + r);
  }
}

// Whether the columns of a row increase, so that no two of its elements have the same one.
static inline bool dcsr_columns_increase(const DcsrLayer* layer) {
  return layer->encoding != kDcsrEncodingOffset8;
}

// Number of groups of a row of `elements` elements. The last group may be partial.
static inline uint32_t dcsr_groups_of(uint32_t elements) {
  return (elements + kDcsrGroupLanes - 1) / kDcsrGroupLanes;
}

// Bits of a remainder in a row of `length` > 0 elements (rice).
static inline uint32_t dcsr_remainder_bits(const DcsrLayer* layer, uint32_t length) {
  return dcsr_bit_length(layer->index_parameter * layer->cols / (32 * length));
}

// Start of the code lengths of the values (huffman).
static inline const uint8_t* dcsr_code_lengths(const DcsrLayer* layer) {
  return (const uint8_t*)layer->values + layer->value_bytes -
         dcsr_code_length_bytes(layer->raw_bits);
}

// Bytes of the descriptor at `index`, including the base after an escape.
static inline uint32_t dcsr_descriptor_bytes(const uint8_t* index) {
  return dcsr_load_u16(index) >> kDcsrStepShift == kDcsrStepEscape ? kDcsrEscapeBytes
                                                                   : kDcsrStepBytes;
}

// Whether the base deltas of a dcsr layer are bytes. The slope is 0 then.
static inline bool dcsr_has_byte_deltas(const DcsrLayer* layer) {
  return layer->index_parameter == kDcsrByteBits;
}

// Bytes of a group of `lanes` elements in the delta section of a dcsr layer.
static inline uint32_t dcsr_delta_bytes(const DcsrLayer* layer, uint32_t lanes) {
  return dcsr_has_byte_deltas(layer) ? lanes : (lanes + 1) / 2;
}

// Bytes of one plane of a group of `lanes` elements.
static inline uint32_t dcsr_plane_bytes(uint32_t lanes) { return (lanes + 7) / 8; }

// Base of the group whose descriptor is at `index`. `expected` is its base if its
// step is 0.
static inline int32_t dcsr_group_base(const uint8_t* index, int32_t expected) {
  const uint32_t step = dcsr_load_u16(index) >> kDcsrStepShift;
  if (step == kDcsrStepEscape) {
    return (int32_t)dcsr_load_u32(index + kDcsrStepBytes);
  }
  return expected + (int32_t)(step ^ 0x800) - 0x800;  // sign-extends 12 bits
}

static inline DcsrRowReader dcsr_row_reader(const DcsrLayer* layer) {
  DcsrRowReader reader;
  reader.layer = layer;
  reader.index = layer->index;
  reader.delta = layer->delta;
  reader.plane = layer->plane;
  reader.weight = layer->values;
  reader.row = 0;
  reader.left = 0;
  reader.slope = 0;
  reader.expected = 0;
  reader.element = 0;
  reader.remainder_bits = 0;
  reader.index_bits = dcsr_bit_reader(layer->index, layer->index_bytes);
  reader.delta_bits = dcsr_bit_reader(layer->delta, layer->delta_bytes);
  reader.value_bits = dcsr_bit_reader(NULL, 0);
  return reader;
}

// dcsr_next_row() for a caller that already has dcsr_row_length() of that row.
static inline void dcsr_begin_row(DcsrRowReader* reader, uint32_t length) {
  const DcsrLayer* layer = reader->layer;
  reader->left = length;
  reader->expected = 0;
  if (layer->value_decoder != NULL && reader->value_bits.data == NULL) {
    layer->value_decoder->begin(reader);
  }
  if (layer->decoder->begin_row != NULL) layer->decoder->begin_row(reader, length);
  ++reader->row;
}

// Moves to the first row, or to the next row once all groups of a row were read.
static inline void dcsr_next_row(DcsrRowReader* reader) {
  dcsr_begin_row(reader, dcsr_row_length(reader->layer, reader->row));
}

// Reads the next group of the row. Returns false at the end of the row.
static inline bool dcsr_next_group(DcsrRowReader* reader, DcsrGroup* group) {
  if (reader->left == 0) return false;
  group->lanes = reader->left < kDcsrGroupLanes ? reader->left : (uint32_t)kDcsrGroupLanes;
  reader->layer->decoder->read_columns(reader, group);
  if (reader->layer->value_decoder != NULL) {
    reader->layer->value_decoder->read_values(reader, group);
  } else {
    group->weight = reader->weight;
    reader->weight += group->lanes;
  }
  reader->element += group->lanes;
  reader->left -= group->lanes;
  return true;
}

#ifdef __cplusplus
}
#endif

#endif  // DCSR_TFLM_KERNELS_FORMAT_ROW_READER_H_
