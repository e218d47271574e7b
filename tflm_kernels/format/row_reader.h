// A cursor over the weight matrix of a layer, the same for every encoding. It
// returns columns and weights in stored order, up to 16 elements at a time.
// Columns increase, except in an offset8 layer, where they may have any order
// and fillers may repeat them. Format: docs/format.md#encodings. An encoding
// has its dcsr_read_..._columns() here.
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
typedef struct {
  uint32_t lanes;  // 1 .. 16
  int32_t column[kDcsrGroupLanes];
  const int8_t* weight;             // [lanes]
  int8_t decoded[kDcsrGroupLanes];  // huffman: `weight` points here
} DcsrGroup;

// Points at the next element in each stream. Has some 600 bytes, as it contains a table for values:
// avoid copies.
typedef struct {
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
} DcsrRowReader;

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

// Number of elements of a row, fillers included.
static inline uint32_t dcsr_row_length(const DcsrLayer* layer, uint32_t row) {
  const uint8_t* p = layer->row_length + (size_t)row * layer->row_length_bytes;
  // The most frequent cases come first.
  if (layer->row_length_bytes == 1) return p[0];
  if (layer->row_length_bytes == 2) return dcsr_load_u16(p);
  if (layer->row_length_bits != 0) return dcsr_load_row_length(layer, row);
  if (layer->row_length_bytes == 4) return dcsr_load_u32(p);
  switch (layer->encoding) {
    case kDcsrEncodingRice:  // all rows are empty
      return 0;
    case kDcsrEncodingBitmap:
      return dcsr_count_ones((const uint32_t*)(const void*)layer->index, row * layer->cols,
                             layer->cols);
    default:  // dense
      return layer->cols;
  }
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

static inline void dcsr_begin_values(DcsrRowReader* reader) {
  const DcsrLayer* layer = reader->layer;
  const uint8_t* lengths = dcsr_code_lengths(layer);
  const uint8_t* codes = (const uint8_t*)layer->values;
  reader->value_bits = dcsr_bit_reader(codes, (size_t)(lengths - codes));
  dcsr_make_huffman_table(lengths, layer->raw_bits, &reader->values);
}

// dcsr_next_row() for a caller that already has dcsr_row_length() of that row.
static inline void dcsr_begin_row(DcsrRowReader* reader, uint32_t length) {
  const DcsrLayer* layer = reader->layer;
  reader->left = length;
  reader->expected = 0;
  if (layer->value_coding == kDcsrValuesHuffman && reader->value_bits.data == NULL) {
    dcsr_begin_values(reader);
  }
  if (layer->encoding == kDcsrEncodingDcsr && !dcsr_has_byte_deltas(layer) && length > 0) {
    reader->slope = (layer->cols << kDcsrSlopeBits) / length;
  }
  if (layer->encoding == kDcsrEncodingRice && length > 0) {
    reader->remainder_bits = dcsr_remainder_bits(layer, length);
  }
  if (layer->encoding == kDcsrEncodingBitmap) {
    const uint32_t first = reader->row * layer->cols;
    reader->index_bits.byte = first / 8;
    reader->index_bits.bit = first % 8;
  }
  ++reader->row;
}

// Moves to the first row, or to the next row once all groups of a row were read.
static inline void dcsr_next_row(DcsrRowReader* reader) {
  dcsr_begin_row(reader, dcsr_row_length(reader->layer, reader->row));
}

static inline void dcsr_read_dense_columns(DcsrRowReader* reader, DcsrGroup* group) {
  for (uint32_t l = 0; l < group->lanes; ++l) {
    group->column[l] = reader->expected++;
  }
}

static inline void dcsr_read_rle_columns(DcsrRowReader* reader, DcsrGroup* group) {
  const uint32_t first = reader->element;
  for (uint32_t l = 0; l < group->lanes; ++l) {
    const uint32_t gap = dcsr_load_nibble(reader->index, first + l);
    group->column[l] = reader->expected + (int32_t)gap;
    reader->expected = group->column[l] + 1;
  }
}

static inline void dcsr_read_dcsr_columns(DcsrRowReader* reader, DcsrGroup* group) {
  const DcsrLayer* layer = reader->layer;
  const uint32_t lanes = group->lanes;
  const uint32_t planes = dcsr_load_u16(reader->index) & kDcsrPlaneMask;
  const int32_t base = dcsr_group_base(reader->index, reader->expected);

  for (uint32_t l = 0; l < lanes; ++l) {
    const uint32_t line = (reader->slope * l) >> kDcsrSlopeBits;
    const uint32_t delta =
        dcsr_has_byte_deltas(layer) ? reader->delta[l] : dcsr_load_nibble(reader->delta, l);
    group->column[l] = base + (int32_t)(line + delta);
  }
  for (uint32_t p = 0; p < planes; ++p) {
    for (uint32_t l = 0; l < lanes; ++l) {
      const uint32_t bit = (uint32_t)(reader->plane[l / 8] >> (l % 8)) & 1;
      group->column[l] += (int32_t)(bit << (layer->index_parameter + p));
    }
    reader->plane += dcsr_plane_bytes(lanes);
  }

  reader->index += dcsr_descriptor_bytes(reader->index);
  reader->delta += dcsr_delta_bytes(layer, lanes);
  reader->expected = base + (int32_t)reader->slope;
}

static inline void dcsr_read_offset8_columns(DcsrRowReader* reader, DcsrGroup* group) {
  reader->expected += (int32_t)dcsr_load_u16(reader->index);
  for (uint32_t l = 0; l < group->lanes; ++l) {
    group->column[l] = reader->expected + (int32_t)reader->delta[l];
  }
  reader->index += kDcsrStepBytes;
  reader->delta += group->lanes;
}

static inline void dcsr_read_rice_columns(DcsrRowReader* reader, DcsrGroup* group) {
  const uint32_t bits = reader->remainder_bits;
  // In a layer not validated yet, a larger quotient leads to a column beyond the last one.
  const uint32_t limit = reader->layer->cols >> bits;
  for (uint32_t l = 0; l < group->lanes; ++l) {
    const uint32_t quotient = dcsr_read_zeros(&reader->index_bits, limit);
    const uint32_t gap = quotient << bits | dcsr_read_bits(&reader->delta_bits, bits);
    group->column[l] = reader->expected + (int32_t)gap;
    reader->expected = group->column[l] + 1;
  }
}

static inline void dcsr_read_bitmap_columns(DcsrRowReader* reader, DcsrGroup* group) {
  for (uint32_t l = 0; l < group->lanes; ++l) {
    const uint32_t gap = dcsr_read_zeros(&reader->index_bits, reader->layer->cols);
    group->column[l] = reader->expected + (int32_t)gap;
    reader->expected = group->column[l] + 1;
  }
}

static inline void dcsr_read_values(DcsrRowReader* reader, DcsrGroup* group) {
  group->weight = reader->weight;
  if (reader->layer->value_coding == kDcsrValuesHuffman) {
    for (uint32_t l = 0; l < group->lanes; ++l) {
      group->decoded[l] =
          dcsr_read_value(&reader->value_bits, &reader->values, reader->layer->raw_bits);
    }
    group->weight = group->decoded;
  } else {
    reader->weight += group->lanes;
  }
}

// Reads the next group of the row. Returns false at the end of the row.
static inline bool dcsr_next_group(DcsrRowReader* reader, DcsrGroup* group) {
  if (reader->left == 0) return false;
  group->lanes = reader->left < kDcsrGroupLanes ? reader->left : (uint32_t)kDcsrGroupLanes;
#define DCSR_READ_COLUMNS(Name, name, number)  \
  case kDcsrEncoding##Name:                    \
    dcsr_read_##name##_columns(reader, group); \
    break;
  switch (reader->layer->encoding) { DCSR_ALL_ENCODINGS(DCSR_READ_COLUMNS) }
#undef DCSR_READ_COLUMNS
  dcsr_read_values(reader, group);
  reader->element += group->lanes;
  reader->left -= group->lanes;
  return true;
}

#ifdef __cplusplus
}
#endif

#endif  // DCSR_TFLM_KERNELS_FORMAT_ROW_READER_H_
