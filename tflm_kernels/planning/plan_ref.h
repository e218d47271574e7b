// Tile size of the portable kernels.

#ifndef DCSR_TFLM_KERNELS_PLANNING_PLAN_REF_H_
#define DCSR_TFLM_KERNELS_PLANNING_PLAN_REF_H_

// Output pixels or batches that share one decoding of the matrix. Each takes a word and a pointer
// of stack.
enum { kDcsrRefTilePixels = 32 };

#endif  // DCSR_TFLM_KERNELS_PLANNING_PLAN_REF_H_
