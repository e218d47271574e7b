// Huffman-coded values. Format: docs/format.md#huffman.
//
// The decoding table has 512 bytes. It is part of the row reader and therefore on a kernel's stack.

#ifndef DCSR_TFLM_KERNELS_FORMAT_HUFFMAN_H_
#define DCSR_TFLM_KERNELS_FORMAT_HUFFMAN_H_

#include <stdbool.h>
#include <stdint.h>

#include "tflm_kernels/format/bit_reader.h"

#ifdef __cplusplus
extern "C" {
#endif

enum {
  kDcsrMaxCodeBits = 8,
  kDcsrMaxRawBits = 4,
  kDcsrCodeLengthBits = 4,  // of a stored code length
};

// Indexed by the 8 bits after the raw bits, which begin with a code. Bits 0-7 of an entry are the
// length of the code and the raw bits together, bits 8-15 the value without its raw bits.
typedef struct {
  uint16_t entry[1 << kDcsrMaxCodeBits];
} DcsrHuffmanTable;

// Bytes of the code lengths, which follow the codes.
static inline uint32_t dcsr_code_length_bytes(uint32_t raw_bits) {
  return (UINT32_C(1) << (8 - raw_bits)) * kDcsrCodeLengthBits / 8;
}

// Whether `lengths` are the code lengths of a complete prefix code.
bool dcsr_code_is_complete(const uint8_t* lengths, uint32_t raw_bits);

// Builds the table of a complete code.
void dcsr_make_huffman_table(const uint8_t* lengths, uint32_t raw_bits, DcsrHuffmanTable* table);

static inline int8_t dcsr_read_value(DcsrBitReader* reader, const DcsrHuffmanTable* table,
                                     uint32_t raw_bits) {
  const uint32_t word = dcsr_peek_bits(reader);
  const uint32_t entry = table->entry[word >> raw_bits & 0xFF];
  dcsr_skip_bits(reader, entry & 0xFF);
  return (int8_t)(entry >> 8 | (word & ((UINT32_C(1) << raw_bits) - 1)));
}

#ifdef __cplusplus
}
#endif

#endif  // DCSR_TFLM_KERNELS_FORMAT_HUFFMAN_H_
