// A cursor over a stream of bits, lowest bit of each byte first.
//
// The cursor never reads outside of its stream. Past the end it returns zeros, and dcsr_ran_out()
// is true. Decoding a stream that has passed dcsr_layer_validate() never runs out.

#ifndef DCSR_TFLM_KERNELS_FORMAT_BIT_READER_H_
#define DCSR_TFLM_KERNELS_FORMAT_BIT_READER_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

// Minimum number of bits that dcsr_peek_bits() returns.
enum { kDcsrPeekBits = 25 };

typedef struct {
  const uint8_t* data;
  size_t size;   // bytes
  size_t byte;   // index of the byte with the next bit; beyond `size` if the stream ran out
  uint32_t bit;  // index of the next bit in that byte, 0 .. 7
} DcsrBitReader;

// Number of zeros below the lowest one of `word`; word != 0.
static inline uint32_t dcsr_trailing_zeros(uint32_t word) {
#if defined(__GNUC__)
  return (uint32_t)__builtin_ctzl((unsigned long)word);
#else
  uint32_t zeros = 0;
  for (; (word & 1) == 0; word >>= 1) ++zeros;
  return zeros;
#endif
}

// Number of bits up to the highest one of `word`; 0 if `word` is 0.
static inline uint32_t dcsr_bit_length(uint32_t word) {
  uint32_t length = 0;
#if defined(__GNUC__)
  if (word != 0)
    length = (uint32_t)(8 * sizeof(long)) - (uint32_t)__builtin_clzl((unsigned long)word);
#else
  for (; word != 0; word >>= 1) ++length;
#endif
  return length;
}

// Number of ones in each byte of `word`, as a byte.
static inline uint32_t dcsr_ones_of_bytes(uint32_t word) {
  word -= word >> 1 & 0x55555555;
  word = (word & 0x33333333) + (word >> 2 & 0x33333333);
  return (word + (word >> 4)) & 0x0F0F0F0F;
}

// Adds up the four bytes of `word`; the sum fits into a byte.
static inline uint32_t dcsr_sum_of_bytes(uint32_t word) {
  return word * UINT32_C(0x01010101) >> 24;
}

// Number of ones in the bits `begin` .. `begin` + `count` - 1 of `words`; count > 0.
static inline uint32_t dcsr_count_ones(const uint32_t* words, uint32_t begin, uint32_t count) {
  const uint32_t last = begin + count - 1;
  const uint32_t* next = words + begin / 32;
  const uint32_t* end = words + last / 32;
  uint32_t mask = UINT32_MAX << (begin % 32);
  uint32_t ones = 0;
  for (;;) {
    if (next == end) mask &= UINT32_MAX >> (31 - last % 32);
    ones += dcsr_sum_of_bytes(dcsr_ones_of_bytes(*next & mask));
    if (next++ == end) return ones;
    mask = UINT32_MAX;
  }
}

static inline DcsrBitReader dcsr_bit_reader(const uint8_t* data, size_t size) {
  const DcsrBitReader reader = {data, size, 0, 0};
  return reader;
}

static inline void dcsr_skip_bits(DcsrBitReader* reader, uint32_t count) {
  reader->bit += count;
  reader->byte += reader->bit / 8;
  reader->bit %= 8;
}

// The next 25 to 32 bits, the first in bit 0.
static inline uint32_t dcsr_peek_bits(const DcsrBitReader* reader) {
  uint32_t word = 0;
  for (uint32_t i = 0; i < 4 && reader->byte + i < reader->size; ++i) {
    word |= (uint32_t)reader->data[reader->byte + i] << (8 * i);
  }
  return word >> reader->bit;
}

// The next `count` <= kDcsrPeekBits bits as a number.
static inline uint32_t dcsr_read_bits(DcsrBitReader* reader, uint32_t count) {
  const uint32_t bits = dcsr_peek_bits(reader) & ((UINT32_C(1) << count) - 1);
  dcsr_skip_bits(reader, count);
  return bits;
}

// Reads zeros and the one that ends them; returns the number of zeros. If there are more than
// `limit` zeros, or the stream ends before a one, the cursor runs out and `limit` + 1 is returned.
static inline uint32_t dcsr_read_zeros(DcsrBitReader* reader, uint32_t limit) {
  uint32_t zeros = 0;
  while (reader->byte < reader->size && zeros <= limit) {
    const uint32_t word = dcsr_peek_bits(reader);
    const uint32_t count = word != 0 ? dcsr_trailing_zeros(word) : 32 - reader->bit;
    zeros += count;
    dcsr_skip_bits(reader, word != 0 ? count + 1 : count);
    if (word != 0 && zeros <= limit) return zeros;
  }
  reader->byte = reader->size;
  reader->bit = 1;
  return limit + 1;
}

// Whether more bits were read than the stream has.
static inline bool dcsr_ran_out(const DcsrBitReader* reader) {
  return reader->byte + (reader->bit != 0 ? 1 : 0) > reader->size;
}

// Whether the last bit read is in the last byte of the stream.
static inline bool dcsr_is_at_end(const DcsrBitReader* reader) {
  return reader->byte + (reader->bit != 0 ? 1 : 0) == reader->size;
}

#ifdef __cplusplus
}
#endif

#endif  // DCSR_TFLM_KERNELS_FORMAT_BIT_READER_H_
