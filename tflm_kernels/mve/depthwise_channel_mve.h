// The products and the requantization of one channel of a depthwise convolution on planes, with MVE
// (Cortex-M55, M85).

#ifndef DCSR_TFLM_KERNELS_MVE_DEPTHWISE_CHANNEL_MVE_H_
#define DCSR_TFLM_KERNELS_MVE_DEPTHWISE_CHANNEL_MVE_H_

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

// A channel and the copies of its plane, in the order in which the assembly loads it.
typedef struct {
  const int8_t* copies;
  int8_t* output;
  uint32_t steps;  // of 24 or 8 pixels
  int32_t back;    // from the end of the last step to the end of the pixels, at most 0
  int32_t multiplier;
  int32_t factor;  // 2^(31 - right shift), at most 2^31 - 1
  int32_t zero_point;
  int32_t bias_low;  // modulo 256
  int32_t bias_high;
  const int32_t* offset;  // of each tap, in `copies`
  const int32_t* weight;  // of each tap
  uint32_t pairs;         // of taps
  int32_t max;
  int32_t min;
} DcsrPlaneChannel;

// Computes the outputs of a channel.
typedef void DcsrRunPlaneChannel(const DcsrPlaneChannel* channel);
DcsrRunPlaneChannel dcsr_depthwise_planes_mve_pairs24;  // steps of 24 pixels
DcsrRunPlaneChannel dcsr_depthwise_planes_mve_pairs8;   // steps of 8 pixels

#ifdef __cplusplus
}
#endif

#endif  // DCSR_TFLM_KERNELS_MVE_DEPTHWISE_CHANNEL_MVE_H_
