// The encoder of compact rows: docs/format.md, "Compact rows". It uses nothing of the library's
// decoder.

#include "tflm_kernels/testing/pack_compact.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static const uint32_t kRatio = 0x5A827999;
static const uint32_t kFirstMultiplier = (UINT32_C(1) << 30) - 37;

enum {
  kHeadWords = 4,
  kExceptionWords = 3,
  kEveryException = 7,  // each seventh row is one
  kFactorBits = 24,
  kBiasStep = 8,         // unit of the upper bits of a bias
  kBiasRange = 1 << 19,  // from first_bias on, without the first kBiasStep
  kShiftsBefore = 7,     // of the first row without an exception
  kShifts = 16,
};

int32_t derive_test_multiplier(uint32_t factor, uint32_t added) {
  const uint64_t product = ((uint64_t)factor << (32 - kFactorBits)) * kRatio;
  return (int32_t)(kFirstMultiplier + (uint32_t)(product >> 32) + added);
}

// What a record has of a multiplier.
typedef struct {
  bool found;
  uint32_t factor;
  uint32_t added;
} Part;

static Part find_part(int32_t multiplier) {
  Part part = {false, 0, 0};
  if ((uint32_t)multiplier < kFirstMultiplier) return part;
  const uint64_t above = (uint32_t)multiplier - kFirstMultiplier;
  const uint32_t near = (uint32_t)((above << kFactorBits) / kRatio);
  for (part.factor = near > 0 ? near - 1 : 0; part.factor <= near + 1; ++part.factor) {
    for (part.added = 0; part.added <= 1; ++part.added) {
      part.found = part.factor >> kFactorBits == 0 &&
                   derive_test_multiplier(part.factor, part.added) == multiplier;
      if (part.found) return part;
    }
  }
  return part;
}

static void* allocate_zeros(size_t bytes) {
  void* memory = calloc(1, bytes);
  if (memory == NULL) abort();
  return memory;
}

// Decides which rows are exceptions, and sets the windows of biases and shifts around the first row
// that is none. Returns the number of exceptions.
static uint32_t choose_rows(const DenseLayer* layer, const uint32_t* folded, Part* parts,
                            uint32_t* first_bias, int32_t* first_shift) {
  uint32_t exceptions = 0;
  bool has_windows = false;
  *first_bias = 0;
  *first_shift = 0;
  for (uint32_t r = 0; r < layer->rows; ++r) {
    parts[r] = find_part(layer->multiplier[r]);
    parts[r].found = parts[r].found && r % kEveryException != 3;
    if (parts[r].found && !has_windows) {
      *first_bias = folded[r] - kBiasRange / 2;
      *first_shift = layer->shift[r] - kShiftsBefore;
      has_windows = true;
    }
    const uint32_t bias = folded[r] - *first_bias;
    const int32_t shift = layer->shift[r] - *first_shift;
    if (bias < kBiasStep || bias >= kBiasRange || shift < 0 || shift >= kShifts) {
      parts[r].found = false;
    }
    exceptions += parts[r].found ? 0 : 1;
  }
  return exceptions;
}

uint32_t* encode_compact_rows(const DenseLayer* layer, const uint32_t* folded, size_t* words) {
  Part* parts = (Part*)allocate_zeros(layer->rows * sizeof(*parts));
  uint32_t first_bias;
  int32_t first_shift;
  const uint32_t exceptions = choose_rows(layer, folded, parts, &first_bias, &first_shift);
  const size_t records = kHeadWords + (size_t)exceptions * kExceptionWords;
  const size_t halves = records + layer->rows;
  *words = halves + (layer->rows + 1) / 2;
  uint32_t* out = (uint32_t*)allocate_zeros(*words * sizeof(*out));
  out[0] = kRatio;
  out[1] = kFirstMultiplier;
  out[2] = first_bias;
  out[3] = ((uint32_t)first_shift & 0xFFFF) | exceptions << 16;
  uint32_t exception = 0;
  for (uint32_t r = 0; r < layer->rows; ++r) {
    if (!parts[r].found) {
      uint32_t* entry = out + kHeadWords + kExceptionWords * exception;
      entry[0] = folded[r];
      entry[1] = (uint32_t)layer->multiplier[r];
      entry[2] = (uint32_t)(int32_t)layer->shift[r];
      out[records + r] = exception++;
      continue;
    }
    const uint32_t bias = folded[r] - first_bias;
    const uint32_t shift = (uint32_t)(layer->shift[r] - first_shift);
    out[records + r] = parts[r].factor << 8 | bias % kBiasStep << 5 | shift << 1 | parts[r].added;
    out[halves + r / 2] |= bias / kBiasStep << 16 * (r % 2);
  }
  free(parts);
  return out;
}
