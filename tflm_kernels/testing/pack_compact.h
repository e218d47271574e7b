// The encoder of compact rows (docs/format.md#compact-rows) for the tests. It shares no code with
// the decoder. Allocates memory.

#ifndef DCSR_TFLM_KERNELS_TESTING_PACK_COMPACT_H_
#define DCSR_TFLM_KERNELS_TESTING_PACK_COMPACT_H_

#include <stddef.h>
#include <stdint.h>

#include "tflm_kernels/testing/pack.h"

#ifdef __cplusplus
extern "C" {
#endif

// Factors from which derive_test_multiplier() derives a multiplier below 2^31.
enum { kTestFactors = 11800000 };

// Derives a multiplier from a record's factor and the bit that it adds, with the ratio of the
// tests' layers.
int32_t derive_test_multiplier(uint32_t factor, uint32_t added);

// Returns the compact rows of a layer with a multiplier for each row: `words` of a malloc, which
// the caller frees. Some rows, and those that do not fit a record, are exceptions.
//
// folded: [rows], the folded bias.
uint32_t* encode_compact_rows(const DenseLayer* layer, const uint32_t* folded, size_t* words);

#ifdef __cplusplus
}
#endif

#endif  // DCSR_TFLM_KERNELS_TESTING_PACK_COMPACT_H_
