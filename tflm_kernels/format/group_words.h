// What decoders of groups share: gaps, or delta nibbles and planes, eight lanes at a time in 32-bit
// words; and which groups are no more than a base and byte offsets.
//
// Words are read whole, up to 8 bytes beyond the end of the index or delta section. The values are
// behind those: with at least 16 bytes of them this is still in the layer, dcsr_has_word_groups().

#ifndef DCSR_TFLM_KERNELS_FORMAT_GROUP_WORDS_H_
#define DCSR_TFLM_KERNELS_FORMAT_GROUP_WORDS_H_

#include <stdbool.h>
#include <stdint.h>

#include "tflm_kernels/format/row_reader.h"
#include "tflm_kernels/packed_layer.h"

#ifdef __cplusplus
extern "C" {
#endif

static inline bool dcsr_has_word_groups(const DcsrLayer* layer) {
  return layer->encoding != kDcsrEncodingDense && layer->value_bytes >= kDcsrGroupLanes;
}

// More planes do not fit into a nibble.
enum { kDcsrMostWordPlanes = 4 };

// Whether the columns of every whole group, or of the next one, are `base + delta[lane]`; the base
// is dcsr_offset_base().
static inline bool dcsr_has_offset_groups(const DcsrLayer* layer) {
  return layer->encoding == kDcsrEncodingOffset8 ||
         (layer->encoding == kDcsrEncodingDcsr && dcsr_has_byte_deltas(layer));
}

static inline bool dcsr_is_offset_group(const DcsrRowReader* reader) {
  return reader->left >= kDcsrGroupLanes && (reader->layer->encoding == kDcsrEncodingOffset8 ||
                                             (dcsr_load_u16(reader->index) & kDcsrPlaneMask) == 0);
}

// Base of a group for which dcsr_is_offset_group() is true. Advances `index`.
static inline int32_t dcsr_offset_base(DcsrRowReader* reader) {
  if (reader->layer->encoding == kDcsrEncodingOffset8) {
    reader->expected += (int32_t)dcsr_load_u16(reader->index);
    reader->index += kDcsrStepBytes;
    return reader->expected;
  }
  const int32_t base = dcsr_group_base(reader->index, reader->expected);
  reader->index += dcsr_descriptor_bytes(reader->index);
  reader->expected = base;
  return base;
}

// The lower (0) or upper four bits of the deltas of 16 lanes; word w has lanes 8 w to 8 w + 7.
typedef struct {
  uint32_t low[2];
  uint32_t high[2];
} DcsrDeltaWords;

// Eight bits to the lowest bits of eight nibbles.
static inline uint32_t dcsr_spread_bits(uint32_t bits) {
  bits = (bits | bits << 12) & 0x000F000F;
  bits = (bits | bits << 6) & 0x03030303;
  return (bits | bits << 3) & 0x11111111;
}

// Deltas of the next group (dcsr), with at most kDcsrMostWordPlanes planes. Advances `plane`.
static inline DcsrDeltaWords dcsr_delta_words(const uint8_t* delta, const uint8_t** plane,
                                              uint32_t planes, uint32_t lanes) {
  DcsrDeltaWords words = {{dcsr_load_u32(delta), dcsr_load_u32(delta + 4)}, {0, 0}};
  const uint8_t* p = *plane;
  if (lanes > 8) {
    for (uint32_t i = 0; i < planes; ++i) {
      words.high[0] |= dcsr_spread_bits(p[0]) << i;
      words.high[1] |= dcsr_spread_bits(p[1]) << i;
      p += 2;
    }
  } else {
    for (uint32_t i = 0; i < planes; ++i) words.high[0] |= dcsr_spread_bits(*p++) << i;
  }
  *plane = p;
  return words;
}

// Deltas as bytes: lanes 0, 2, 4, 6 and 1, 3, 5, 7 of the eight.
static inline uint32_t dcsr_even_deltas(const DcsrDeltaWords* words, uint32_t w) {
  return (words->low[w] & 0x0F0F0F0F) | (words->high[w] & 0x0F0F0F0F) << 4;
}

static inline uint32_t dcsr_odd_deltas(const DcsrDeltaWords* words, uint32_t w) {
  return (words->low[w] >> 4 & 0x0F0F0F0F) | (words->high[w] & 0xF0F0F0F0);
}

// Eight gaps (rle) from element `first` on.
static inline uint32_t dcsr_gap_word(const uint8_t* index, uint32_t first) {
  const uint8_t* p = index + first / 2;
  const uint32_t word = dcsr_load_u32(p);
  return first % 2 == 0 ? word : word >> 4 | (uint32_t)p[4] << 28;
}

#ifdef __cplusplus
}
#endif

#endif  // DCSR_TFLM_KERNELS_FORMAT_GROUP_WORDS_H_
