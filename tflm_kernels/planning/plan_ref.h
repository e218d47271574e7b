// The tile of the portable kernels.

#ifndef DCSR_TFLM_KERNELS_PLANNING_PLAN_REF_H_
#define DCSR_TFLM_KERNELS_PLANNING_PLAN_REF_H_

// Output pixels or batches that share one decoding of the matrix. More need more stack: a word and
// a pointer each.
enum { kDcsrRefTilePixels = 32 };

#endif  // DCSR_TFLM_KERNELS_PLANNING_PLAN_REF_H_
