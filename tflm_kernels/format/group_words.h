// Helpers shared by group decoders. They read gaps, or delta nibbles and planes, as 32-bit words of
// eight lanes, and tell which groups consist of a base and byte offsets.
//
// Whole words are read, up to 8 bytes past the end of the index or delta section. The values follow
// these sections. With at least 16 bytes of values such a read stays in the layer;
// dcsr_has_word_groups() checks this.

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

// A nibble holds the bits of up to four planes.
enum { kDcsrMostWordPlanes = 4 };

// Whether whole groups of the layer can have columns `base + delta[lane]`, with the base of
// dcsr_offset_base(). dcsr_is_offset_group() tells whether the next group has.
static inline bool dcsr_has_offset_groups(const DcsrLayer* layer) {
  return layer->encoding == kDcsrEncodingOffset8 ||
         (layer->encoding == kDcsrEncodingDcsr && dcsr_has_byte_deltas(layer));
}

static inline bool dcsr_is_offset_group(const DcsrRowReader* reader) {
  return reader->left >= kDcsrGroupLanes && (reader->layer->encoding == kDcsrEncodingOffset8 ||
                                             (dcsr_load_u16(reader->index) & kDcsrPlaneMask) == 0);
}

// Returns the base of the next group and advances `index`. Requires dcsr_is_offset_group().
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

// The lower and the upper four bits of the deltas of 16 lanes. Word w has lanes 8 w to 8 w + 7.
typedef struct {
  uint32_t low[2];
  uint32_t high[2];
} DcsrDeltaWords;

// Spreads eight bits to the lowest bits of eight nibbles.
static inline uint32_t dcsr_spread_bits(uint32_t bits) {
  bits = (bits | bits << 12) & 0x000F000F;
  bits = (bits | bits << 6) & 0x03030303;
  return (bits | bits << 3) & 0x11111111;
}

// Returns the deltas of the next dcsr group, which has at most kDcsrMostWordPlanes planes. Advances
// `plane`.
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

// Deltas of word w as bytes: lanes 0, 2, 4, 6 here, lanes 1, 3, 5, 7 in dcsr_odd_deltas().
static inline uint32_t dcsr_even_deltas(const DcsrDeltaWords* words, uint32_t w) {
  return (words->low[w] & 0x0F0F0F0F) | (words->high[w] & 0x0F0F0F0F) << 4;
}

static inline uint32_t dcsr_odd_deltas(const DcsrDeltaWords* words, uint32_t w) {
  return (words->low[w] >> 4 & 0x0F0F0F0F) | (words->high[w] & 0xF0F0F0F0);
}

// Returns eight gaps (rle) from element `first` on.
static inline uint32_t dcsr_gap_word(const uint8_t* index, uint32_t first) {
  const uint8_t* p = index + first / 2;
  const uint32_t word = dcsr_load_u32(p);
  return first % 2 == 0 ? word : word >> 4 | (uint32_t)p[4] << 28;
}

#ifdef __cplusplus
}
#endif

#endif  // DCSR_TFLM_KERNELS_FORMAT_GROUP_WORDS_H_
