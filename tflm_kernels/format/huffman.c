// Builds the decoding table of a canonical code from its code lengths. Format:
// docs/format.md#huffman.

#include "tflm_kernels/format/huffman.h"

static inline uint32_t code_length(const uint8_t* lengths, uint32_t symbol) {
  return (uint32_t)(lengths[symbol / 2] >> (symbol % 2 * kDcsrCodeLengthBits)) & 0xF;
}

static inline uint32_t reverse_byte(uint32_t bits) {
  bits = (bits & 0x0F) << 4 | (bits & 0xF0) >> 4;
  bits = (bits & 0x33) << 2 | (bits & 0xCC) >> 2;
  return (bits & 0x55) << 1 | (bits & 0xAA) >> 1;
}

bool dcsr_code_is_complete(const uint8_t* lengths, uint32_t raw_bits) {
  const uint32_t symbols = UINT32_C(1) << (8 - raw_bits);
  uint32_t entries = 0;  // table entries that the codes take
  for (uint32_t symbol = 0; symbol < symbols; ++symbol) {
    const uint32_t length = code_length(lengths, symbol);
    if (length > kDcsrMaxCodeBits) return false;
    if (length > 0) entries += UINT32_C(1) << (kDcsrMaxCodeBits - length);
  }
  return entries == UINT32_C(1) << kDcsrMaxCodeBits;
}

void dcsr_make_huffman_table(const uint8_t* lengths, uint32_t raw_bits, DcsrHuffmanTable* table) {
  const uint32_t symbols = UINT32_C(1) << (8 - raw_bits);
  // Codes are held in the upper bits of a byte, so that codes of all lengths have one order.
  // next[length] first counts the entries that the codes of a length take, then becomes the first
  // code of that length.
  uint32_t next[kDcsrMaxCodeBits + 1] = {0};
  for (uint32_t symbol = 0; symbol < symbols; ++symbol) {
    const uint32_t length = code_length(lengths, symbol);
    if (length > 0) next[length] += UINT32_C(1) << (kDcsrMaxCodeBits - length);
  }
  uint32_t first = 0;
  for (uint32_t length = 1; length <= kDcsrMaxCodeBits; ++length) {
    const uint32_t entries = next[length];
    next[length] = first;
    first += entries;
  }
  for (uint32_t symbol = 0; symbol < symbols; ++symbol) {
    const uint32_t length = code_length(lengths, symbol);
    if (length == 0) continue;
    const uint32_t entry = symbol << raw_bits << 8 | (length + raw_bits);
    // The first bit of a code is the lowest bit of the index.
    for (uint32_t i = reverse_byte(next[length]); i < UINT32_C(1) << kDcsrMaxCodeBits;
         i += UINT32_C(1) << length) {
      table->entry[i] = (uint16_t)entry;
    }
    next[length] += UINT32_C(1) << (kDcsrMaxCodeBits - length);
  }
}
