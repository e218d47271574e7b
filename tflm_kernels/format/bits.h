// The bits of a stream that is validated: words without any column (rice, huffman).

#ifndef DCSR_TFLM_KERNELS_FORMAT_BITS_H_
#define DCSR_TFLM_KERNELS_FORMAT_BITS_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tflm_kernels/format/row_reader.h"

#ifdef __cplusplus
extern "C" {
#endif

// The next bit is bit 0 of `word`. Bits of `word` from `left` on are 0.
typedef struct {
  const uint8_t* next;
  const uint8_t* end;
  uint32_t word;
  uint32_t left;
} DcsrBits;

static inline DcsrBits dcsr_bits_of(const uint8_t* data, size_t size) {
  const DcsrBits bits = {data, data + size, 0, 0};
  return bits;
}

// Appends whole bytes until there are more than 24 bits, or the stream ends. bits->left <= 24.
static inline void dcsr_refill(DcsrBits* bits) {
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

static inline bool dcsr_has_no_byte_left(const DcsrBits* bits) {
  return bits->next == bits->end && bits->left < 8;
}

#ifdef __cplusplus
}
#endif

#endif  // DCSR_TFLM_KERNELS_FORMAT_BITS_H_
