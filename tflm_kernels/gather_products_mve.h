// Products of a run of offset groups with a few evenly spaced pixels, by gathers, on cores with MVE
// (Helium). docs/kernels.md.

#ifndef DCSR_TFLM_KERNELS_GATHER_PRODUCTS_MVE_H_
#define DCSR_TFLM_KERNELS_GATHER_PRODUCTS_MVE_H_

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { kDcsrGatherPixels = 5 };  // the most of one call

// Elements of one row in groups of 16, of which the last may have fewer: element l of a group is in
// column base + offset[l]. Known to the assembly.
typedef struct {
  const void* index;      // a base (i32) or a step from the base before (u16) for each group
  const uint8_t* offset;  // [elements]
  const int8_t* weight;   // [elements]
  uint32_t elements;
} DcsrOffsetRun;

// Known to the assembly.
typedef struct {
  size_t stride;    // bytes from pixel to pixel
  const int8_t* x;  // column 0 of the first
} DcsrGatherPixels;

// sums[p] = start[p] + products with pixel p, for p below kDcsrGatherPixels or fewer. Either may be
// the other.
typedef void DcsrGatherProduct(const DcsrOffsetRun* run, const DcsrGatherPixels* pixels,
                               const int32_t* start, int32_t* sums);

// For `pixels` 1 .. kDcsrGatherPixels; at [pixels - 1]. With bases, and with steps.
extern DcsrGatherProduct* const kDcsrGatherBaseProducts[kDcsrGatherPixels];
extern DcsrGatherProduct* const kDcsrGatherStepProducts[kDcsrGatherPixels];

#ifdef __cplusplus
}
#endif

#endif  // DCSR_TFLM_KERNELS_GATHER_PRODUCTS_MVE_H_
