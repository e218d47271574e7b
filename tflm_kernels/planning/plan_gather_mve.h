// The limits of the kernels that gather (MVE).

#ifndef DCSR_TFLM_KERNELS_PLANNING_PLAN_GATHER_MVE_H_
#define DCSR_TFLM_KERNELS_PLANNING_PLAN_GATHER_MVE_H_

// Convolutions of up to so many pixels are done with gathers: measured, docs/kernels.md. Define it
// for the whole build if its memory takes longer for a gather than for a few loads.
#ifndef DCSR_MOST_GATHER_PIXELS
#define DCSR_MOST_GATHER_PIXELS 36
#endif

enum {
  kDcsrMostDecodedGatherPixels = 12,  // the same for encodings that take long to decode to offsets
  kDcsrGatherPixels = 5,              // share the loading of a group
  kDcsrGatherMostChunks = 4,          // of so many pixels, share the decoding of a row
  kDcsrGatherTilePixels = kDcsrGatherMostChunks * kDcsrGatherPixels,
};

#endif  // DCSR_TFLM_KERNELS_PLANNING_PLAN_GATHER_MVE_H_
