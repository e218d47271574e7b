// Limits of the kernels that gather (MVE).

#ifndef DCSR_TFLM_KERNELS_PLANNING_PLAN_GATHER_MVE_H_
#define DCSR_TFLM_KERNELS_PLANNING_PLAN_GATHER_MVE_H_

// Maximum number of output pixels of a convolution that is computed with gathers. The default was
// measured with data in DTCM (docs/kernels.md#few-pixels-with-mve). A build may define a lower
// number, for all its files.
#ifndef DCSR_MOST_GATHER_PIXELS
#define DCSR_MOST_GATHER_PIXELS 36
#endif

enum {
  kDcsrMostDecodedGatherPixels = 12,  // the same for all but rle and offset8 with plain values
  kDcsrMostSlowGatherPixels = 24,     // the same for layers with slow_gathers
  kDcsrGatherPixels = 5,              // maximum number of pixels that share the loads of a group
  kDcsrGatherMostChunks = 4,          // sets of such pixels that share the decoding of a row
  kDcsrGatherTilePixels = kDcsrGatherMostChunks * kDcsrGatherPixels,
};

#endif  // DCSR_TFLM_KERNELS_PLANNING_PLAN_GATHER_MVE_H_
