// Products of a run of offset groups with a few evenly spaced pixels, by gathers, on cores with MVE
// (Helium). docs/kernels.md.

#ifndef DCSR_TFLM_KERNELS_MVE_GATHER_PRODUCTS_MVE_H_
#define DCSR_TFLM_KERNELS_MVE_GATHER_PRODUCTS_MVE_H_

#include <stddef.h>
#include <stdint.h>

#include "tflm_kernels/planning/plan_gather_mve.h"

#ifdef __cplusplus
extern "C" {
#endif

// Elements of one row in groups of 16, of which the last may have fewer: element l of a group is in
// column base + offset[l]. Known to the assembly.
typedef struct {
  const int32_t* base;    // of each group
  const uint8_t* offset;  // [elements]
  const int8_t* weight;   // [elements]
  uint32_t elements;
} DcsrOffsetRun;

// The same of several rows: decoded, or as the encoding has it, which is offset8, or dcsr with byte
// deltas, no planes and no escapes. Known to the assembly.
typedef struct {
  const uint8_t* index;  // bases (int32_t), steps or descriptors
  const uint8_t* offset;
  const int8_t* weight;
  const uint32_t* lengths;  // elements of each row
} DcsrIndexRows;

// Known to the assembly.
typedef struct {
  size_t stride;      // bytes from pixel to pixel
  const int8_t* x;    // column 0 of the first
  size_t sum_stride;  // bytes from row to row of sums
} DcsrGatherPixels;

// sums[p] = start[p] + products of a run with pixel p, for p below kDcsrGatherPixels or fewer.
// Either may be the other.
typedef void DcsrRunProduct(const DcsrOffsetRun* run, const DcsrGatherPixels* pixels,
                            const int32_t* start, int32_t* sums);

// Sums of rows, at least one, whose lengths end at `end`. Moves `rows` but for its lengths to the
// row behind them.
typedef void DcsrRowsProduct(DcsrIndexRows* rows, const DcsrGatherPixels* pixels,
                             const uint32_t* end, int32_t* sums);

// For `pixels` 1 .. kDcsrGatherPixels; at [pixels - 1].
extern DcsrRunProduct* const kDcsrRunProducts[kDcsrGatherPixels];
extern DcsrRowsProduct* const kDcsrBaseRowsProducts[kDcsrGatherPixels];        // decoded
extern DcsrRowsProduct* const kDcsrStepRowsProducts[kDcsrGatherPixels];        // offset8
extern DcsrRowsProduct* const kDcsrDescriptorRowsProducts[kDcsrGatherPixels];  // dcsr

#ifdef __cplusplus
}
#endif

#endif  // DCSR_TFLM_KERNELS_MVE_GATHER_PRODUCTS_MVE_H_
