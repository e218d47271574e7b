// The encoder of compact rows: docs/format.md, "Compact rows". It uses nothing of the library's
// decoder.

#include "tflm_kernels/testing/pack_compact.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static const uint64_t kRatio = UINT64_C(0xB504F333F9DE);

enum {
  kHeadWords = 4,
  kExceptionWords = 3,
  kEveryException = 7,  // each seventh row is one
};

int32_t derive_test_multiplier(uint32_t significand, int32_t* multiplier) {
  const uint64_t high = (uint64_t)(significand >> 12) * kRatio;
  const uint64_t low = (uint64_t)(significand & 0xFFF) * kRatio;
  const uint64_t product = (high + (low >> 12)) >> 12;
  int32_t added = product < UINT64_C(1) << 47 ? 0 : 1;
  uint64_t rounded = (product + (UINT64_C(1) << (15 + added))) >> (16 + added);
  if (rounded == UINT64_C(1) << 31) {
    rounded /= 2;
    ++added;
  }
  *multiplier = (int32_t)rounded;
  return added;
}

// Finds the significand from which `multiplier` is derived. Returns 0 if there is none.
static uint32_t find_significand(int32_t multiplier, int32_t* added) {
  for (uint32_t drop = 16; drop <= 17; ++drop) {
    const uint64_t near = ((uint64_t)(uint32_t)multiplier << drop) / (kRatio >> 24);
    for (uint64_t s = near - 2; s <= near + 2; ++s) {
      int32_t derived;
      if (s < 1 << 23 || s >= 1 << 24) continue;
      *added = derive_test_multiplier((uint32_t)s, &derived);
      if (derived == multiplier) return (uint32_t)s;
    }
  }
  return 0;
}

// A row: derived from `significand`, or an exception if that is 0.
typedef struct {
  uint32_t significand;
  int32_t exponent;
} Row;

// What the head holds.
typedef struct {
  int32_t first_exponent;
  int32_t last_exponent;
  int32_t first_bias;
  int32_t last_bias;
  bool has_rows;
} Ranges;

static void extend(Ranges* ranges, int32_t exponent, int32_t bias) {
  if (!ranges->has_rows || exponent < ranges->first_exponent) ranges->first_exponent = exponent;
  if (!ranges->has_rows || exponent > ranges->last_exponent) ranges->last_exponent = exponent;
  if (!ranges->has_rows || bias < ranges->first_bias) ranges->first_bias = bias;
  if (!ranges->has_rows || bias > ranges->last_bias) ranges->last_bias = bias;
  ranges->has_rows = true;
}

static uint32_t bit_length(uint32_t value) {
  uint32_t bits = 0;
  while (bits < 32 && value >> bits != 0) ++bits;
  return bits;
}

static void put(uint32_t* words, size_t bit, uint32_t value, uint32_t width) {
  for (uint32_t i = 0; i < width; ++i) words[(bit + i) / 32] |= (value >> i & 1) << (bit + i) % 32;
}

static void* allocate_zeros(size_t bytes) {
  void* memory = calloc(1, bytes);
  if (memory == NULL) abort();
  return memory;
}

// Chooses the rows that are derived, and their ranges. Returns the number of exceptions.
static uint32_t choose_rows(const DenseLayer* layer, const uint32_t* folded, Row* rows,
                            Ranges* ranges) {
  uint32_t exceptions = 0;
  for (uint32_t r = 0; r < layer->rows; ++r) {
    int32_t added = 0;
    // The largest bias would be the number of an exception if all 32 bits were needed.
    const bool is_derived = r % kEveryException != 3 && folded[r] != INT32_MAX;
    rows[r].significand = is_derived ? find_significand(layer->multiplier[r], &added) : 0;
    rows[r].exponent = layer->shift[r] - added;
    if (rows[r].significand != 0) {
      extend(ranges, rows[r].exponent, (int32_t)folded[r]);
    } else {
      ++exceptions;
    }
  }
  return exceptions;
}

uint32_t* encode_compact_rows(const DenseLayer* layer, const uint32_t* folded, size_t* words) {
  Row* rows = (Row*)allocate_zeros(layer->rows * sizeof(*rows));
  Ranges ranges = {0, 0, 0, 0, false};
  const uint32_t exceptions = choose_rows(layer, folded, rows, &ranges);
  const uint32_t exponents = (uint32_t)(ranges.last_exponent - ranges.first_exponent);
  const uint32_t exponent_bits = bit_length(exponents);
  // One code more than biases: that of exceptions.
  const uint32_t bias_bits =
      bit_length((uint32_t)ranges.last_bias - (uint32_t)ranges.first_bias + 1);
  const uint32_t width = bias_bits + 23 + exponent_bits;
  const size_t begin = kHeadWords + (size_t)exceptions * kExceptionWords;
  *words = begin + ((size_t)layer->rows * width + 31) / 32;
  uint32_t* out = (uint32_t*)allocate_zeros(*words * sizeof(*out));
  out[0] = (uint32_t)kRatio;
  out[1] = (uint32_t)(kRatio >> 32) | (uint32_t)(ranges.first_exponent) << 16;
  out[2] = (uint32_t)ranges.first_bias;
  out[3] = bias_bits | exponent_bits << 8 | exceptions << 16;
  uint32_t exception = 0;
  for (uint32_t r = 0; r < layer->rows; ++r) {
    const size_t bit = (size_t)r * width;
    if (rows[r].significand == 0) {
      put(out + begin, bit, UINT32_MAX, bias_bits);
      put(out + begin, bit + bias_bits, exception, 23 + exponent_bits);
      uint32_t* entry = out + kHeadWords + kExceptionWords * exception++;
      entry[0] = folded[r];
      entry[1] = (uint32_t)layer->multiplier[r];
      entry[2] = (uint32_t)(int32_t)layer->shift[r];
      continue;
    }
    put(out + begin, bit, folded[r] - (uint32_t)ranges.first_bias, bias_bits);
    put(out + begin, bit + bias_bits, rows[r].significand - (1 << 23), 23);
    put(out + begin, bit + bias_bits + 23, (uint32_t)(rows[r].exponent - ranges.first_exponent),
        exponent_bits);
  }
  free(rows);
  return out;
}
