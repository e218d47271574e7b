// A device validates all layers when it starts. So this file computes no column that it can do
// without: gaps are never negative, so a row is valid if the sum of its gaps fits into it.

#include "tflm_kernels/format/validate_streams.h"

#include <stdbool.h>

#include "tflm_kernels/common/compiler.h"
#include "tflm_kernels/format/huffman.h"
#include "tflm_kernels/format/row_reader.h"

enum { kMaxBase = 1 << 24 };

// The bits of a stream, the next in bit 0 of `word`. Bits of `word` from `left` on are 0.
typedef struct {
  const uint8_t* next;
  const uint8_t* end;
  uint32_t word;
  uint32_t left;
} Bits;

static Bits bits_of(const uint8_t* data, size_t size) {
  const Bits bits = {data, data + size, 0, 0};
  return bits;
}

// Appends whole bytes until there are more than 24 bits, or the stream ends. bits->left <= 24.
static inline void refill(Bits* bits) {
  if (bits->end - bits->next >= 4) {
    const uint32_t bytes = (32 - bits->left) / 8;
    const uint32_t missing = (32 - bits->left) % 8;
    bits->word |= dcsr_load_u32(bits->next) << bits->left << missing >> missing;
    bits->next += bytes;
    bits->left += 8 * bytes;
    return;
  }
  while (bits->left <= 24 && bits->next < bits->end) {
    bits->word |= (uint32_t)*bits->next++ << bits->left;
    bits->left += 8;
  }
}

static bool has_no_byte_left(const Bits* bits) { return bits->next == bits->end && bits->left < 8; }

// Adds up `count` quotients. Returns false if the stream ends before, or if the sum exceeds `most`.
static bool add_quotients(Bits* bits, uint32_t count, uint32_t most, uint32_t* sum) {
  for (; count > 0; --count) {
    while (bits->word == 0) {
      *sum += bits->left;
      bits->left = 0;
      if (bits->next == bits->end || *sum > most) return false;
      refill(bits);
    }
    const uint32_t zeros = dcsr_trailing_zeros(bits->word);
    *sum += zeros;
    bits->word = bits->word >> zeros >> 1;
    bits->left -= zeros + 1;
  }
  return *sum <= most;
}

// Adds up `count` numbers of `width` <= 25 bits. Returns false if the stream ends before.
static bool add_numbers(Bits* bits, uint32_t count, uint32_t width, uint32_t* sum) {
  const uint32_t mask = (UINT32_C(1) << width) - 1;
  for (; count > 0; --count) {
    if (bits->left < width) {
      refill(bits);
      if (bits->left < width) return false;
    }
    *sum += bits->word & mask;
    bits->word >>= width;
    bits->left -= width;
  }
  return true;
}

static bool rice_is_valid(const DcsrLayer* layer) {
  Bits quotients = bits_of(layer->index, layer->index_bytes);
  Bits remainders = bits_of(layer->delta, layer->delta_bytes);
  for (uint32_t row = 0; row < layer->rows; ++row) {
    const uint32_t length = dcsr_row_length(layer, row);
    if (length == 0) continue;
    const uint32_t width = dcsr_remainder_bits(layer, length);
    uint32_t high = 0;
    // At most 2 * cols: a remainder is below 2^width <= 2 * cols / length.
    uint32_t low = 0;
    if (!add_quotients(&quotients, length, layer->cols >> width, &high)) return false;
    if (!add_numbers(&remainders, length, width, &low)) return false;
    if ((high << width) + low + length > layer->cols) return false;
  }
  return has_no_byte_left(&quotients) && has_no_byte_left(&remainders);
}

static bool rle_is_valid(const DcsrLayer* layer) {
  uint32_t element = 0;
  for (uint32_t row = 0; row < layer->rows; ++row) {
    const uint32_t length = dcsr_row_length(layer, row);
    const uint32_t end = element + length;
    uint32_t sum = length;
    if (element < end && element % 2 != 0) sum += layer->index[element++ / 2] >> 4;
    for (; element + 1 < end; element += 2) {
      const uint32_t gaps = layer->index[element / 2];
      sum += (gaps & 0xF) + (gaps >> 4);
    }
    if (element < end) sum += layer->index[element++ / 2] & 0xF;
    if (sum > layer->cols) return false;
  }
  return true;
}

static bool offset8_is_valid(const DcsrLayer* layer) {
  const uint8_t* step = layer->index;
  const uint8_t* offset = layer->delta;
  for (uint32_t row = 0; row < layer->rows; ++row) {
    uint32_t left = dcsr_row_length(layer, row);
    uint32_t base = 0;
    while (left > 0) {
      if (layer->index_bytes - (size_t)(step - layer->index) < kDcsrStepBytes) return false;
      base += dcsr_load_u16(step);
      step += kDcsrStepBytes;
      const uint32_t lanes = left < kDcsrGroupLanes ? left : (uint32_t)kDcsrGroupLanes;
      uint32_t largest = 0;
      for (uint32_t l = 0; l < lanes; ++l) largest = offset[l] > largest ? offset[l] : largest;
      // Checked for each group, so that the base cannot overflow.
      if (base + largest >= layer->cols) return false;
      offset += lanes;
      left -= lanes;
    }
  }
  return step == layer->index + layer->index_bytes;
}

// Whether the next group is within its streams, and its base within the range in which columns
// cannot overflow.
static bool next_dcsr_group_is_valid(const DcsrRowReader* reader, uint32_t lanes) {
  const DcsrLayer* layer = reader->layer;
  const size_t index_left = layer->index_bytes - (size_t)(reader->index - layer->index);
  const size_t delta_left = layer->delta_bytes - (size_t)(reader->delta - layer->delta);
  const size_t plane_left = layer->plane_bytes - (size_t)(reader->plane - layer->plane);
  if (index_left < kDcsrStepBytes) return false;
  if (index_left < dcsr_descriptor_bytes(reader->index)) return false;
  if (delta_left < dcsr_delta_bytes(layer, lanes)) return false;
  const uint32_t planes = dcsr_load_u16(reader->index) & kDcsrPlaneMask;
  if (plane_left < planes * dcsr_plane_bytes(lanes)) return false;
  const int32_t base = dcsr_group_base(reader->index, reader->expected);
  return base >= -kMaxBase && base <= kMaxBase;
}

static bool dcsr_is_valid(const DcsrLayer* layer) {
  DcsrRowReader reader = dcsr_row_reader(layer);
  for (uint32_t row = 0; row < layer->rows; ++row) {
    uint32_t left = dcsr_row_length(layer, row);
    reader.expected = 0;
    if (left > 0 && !dcsr_has_byte_deltas(layer)) {
      reader.slope = (layer->cols << kDcsrSlopeBits) / left;
    }
    int32_t previous = -1;
    while (left > 0) {
      DcsrGroup group;
      group.lanes = left < kDcsrGroupLanes ? left : (uint32_t)kDcsrGroupLanes;
      if (!next_dcsr_group_is_valid(&reader, group.lanes)) return false;
      dcsr_read_dcsr_columns(&reader, &group);
      for (uint32_t l = 0; l < group.lanes; ++l) {
        if (group.column[l] <= previous) return false;
        previous = group.column[l];
      }
      if (previous >= (int32_t)layer->cols) return false;
      left -= group.lanes;
    }
  }
  return reader.index == layer->index + layer->index_bytes &&
         reader.delta == layer->delta + layer->delta_bytes &&
         reader.plane == layer->plane + layer->plane_bytes;
}

static bool positions_are_valid(const DcsrLayer* layer) {
  switch (layer->encoding) {
    case kDcsrEncodingDcsr:
      return dcsr_is_valid(layer);
    case kDcsrEncodingRle:
      return rle_is_valid(layer);
    case kDcsrEncodingOffset8:
      return offset8_is_valid(layer);
    case kDcsrEncodingRice:
      return rice_is_valid(layer);
    case kDcsrEncodingDense:   // every column of every row
    case kDcsrEncodingBitmap:  // the row lengths are those of its bits
      break;
  }
  return true;
}

// Noinline: its table leaves the stack before the kernels' own.
DCSR_NOINLINE static bool values_are_valid(const DcsrLayer* layer) {
  const uint8_t* lengths = dcsr_code_lengths(layer);
  const uint8_t* codes = (const uint8_t*)layer->values;
  DcsrHuffmanTable table;
  dcsr_make_huffman_table(lengths, layer->raw_bits, &table);
  Bits bits = bits_of(codes, (size_t)(lengths - codes));
  const uint32_t raw_bits = layer->raw_bits;
  uint32_t elements = layer->elements;
  while (elements > 0) {
    refill(&bits);
    // At least one value: near the end of the stream there may be fewer bits.
    do {
      const uint32_t length = table.entry[bits.word >> raw_bits & 0xFF] & 0xFF;
      if (length > bits.left) return false;
      bits.word >>= length;
      bits.left -= length;
    } while (--elements > 0 && bits.left >= kDcsrMaxRawBits + kDcsrMaxCodeBits);
  }
  return has_no_byte_left(&bits);
}

DcsrStatus dcsr_validate_streams(const DcsrLayer* layer) {
  if (!positions_are_valid(layer)) return kDcsrErrorIndex;
  const bool is_plain = layer->value_coding == kDcsrValuesPlain;
  return is_plain || values_are_valid(layer) ? kDcsrOk : kDcsrErrorValues;
}
