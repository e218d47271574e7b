// Products of offset groups with up to five evenly spaced pixels, by gathers, on cores with MVE.
// docs/kernels.md#few-pixels-with-mve.

#ifndef DCSR_TFLM_KERNELS_MVE_GATHER_PRODUCTS_MVE_H_
#define DCSR_TFLM_KERNELS_MVE_GATHER_PRODUCTS_MVE_H_

#include <stddef.h>
#include <stdint.h>

#include "tflm_kernels/planning/plan_gather_mve.h"

#ifdef __cplusplus
extern "C" {
#endif

// A run: elements of one row in groups of 16. The last group may be partial. Element l of a group
// is in column base + offset[l]. The assembly uses this layout.
typedef struct {
  const int32_t* base;    // [groups]
  const uint8_t* offset;  // [elements]
  const int8_t* weight;   // [elements]
  uint32_t elements;
} DcsrOffsetRun;

// Groups of several rows: decoded, or encoded as offset8, or as dcsr with byte deltas, without
// planes and escapes. The assembly uses this layout.
typedef struct {
  const uint8_t* index;  // bases (int32_t), steps or descriptors
  const uint8_t* offset;
  const int8_t* weight;
  const uint32_t* lengths;  // elements of each row
} DcsrIndexRows;

// Evenly spaced pixels. The assembly uses this layout.
typedef struct {
  size_t stride;      // bytes from pixel to pixel
  const int8_t* x;    // column 0 of the first pixel
  size_t sum_stride;  // bytes from row to row of sums
} DcsrGatherPixels;

enum { kDcsrMostReadAhead = 16 };

// Computes sums[p] = start[p] + the products of the run with pixel p. `start` and `sums` may be
// equal.
typedef void DcsrRunProduct(const DcsrOffsetRun* run, const DcsrGatherPixels* pixels,
                            const int32_t* start, int32_t* sums);

// Computes the sums of one or more rows, without bias. `end` points past the length of the last
// row. Moves `index`, `offset` and `weight` of `rows` past these rows, but not `lengths`. Reads up
// to kDcsrMostReadAhead bytes past the offsets, without using them.
typedef void DcsrRowsProduct(DcsrIndexRows* rows, const DcsrGatherPixels* pixels,
                             const uint32_t* end, int32_t* sums);

// Indexed by the number of pixels minus 1.
extern DcsrRunProduct* const kDcsrRunProducts[kDcsrGatherPixels];
extern DcsrRowsProduct* const kDcsrBaseRowsProducts[kDcsrGatherPixels];        // decoded
extern DcsrRowsProduct* const kDcsrStepRowsProducts[kDcsrGatherPixels];        // offset8
extern DcsrRowsProduct* const kDcsrDescriptorRowsProducts[kDcsrGatherPixels];  // dcsr

#ifdef __cplusplus
}
#endif

#endif  // DCSR_TFLM_KERNELS_MVE_GATHER_PRODUCTS_MVE_H_
