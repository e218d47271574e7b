// Constants of 16 channels of a depthwise convolution with MVE (Cortex-M55, M85).
//
// Input:   a layer in the dense encoding with plain values.
// Output:  a block and its weights (depthwise_blocks_mve.h).
// Scratch: none; 192 bytes of stack.
// Cycles:  about 500 for a block of nine taps.

#include "tflm_kernels/mve/depthwise_blocks_mve.h"

#include "tflm_kernels/common/compiler.h"
#include "tflm_kernels/common/row_tail.h"

#if DCSR_HAS_MVE

#include <arm_mve.h>

enum { kBlock = kDcsrDepthwiseBlock };

// Bias, multipliers and shifts of 16 channels.
typedef struct {
  int32_t bias[kBlock];
  int32_t multiplier[kBlock];
  int32_t shift[kBlock];
} Scales;

// Loads the scales of the channels from `first` on. The last channel is followed by the first one.
static inline void load_scales(const DcsrLayer* layer, uint32_t first, Scales* scales) {
  for (uint32_t lane = 0, row = first; lane < kBlock; ++lane) {
    const DcsrRowTail tail = dcsr_fast_row_tail(layer, row);
    scales->bias[lane] = tail.bias;
    scales->multiplier[lane] = tail.multiplier;
    scales->shift[lane] = tail.shift;
    if (++row == layer->rows) row = 0;
  }
}

// Fills in all but the weights of a block. Returns false if vectors cannot requantize a row.
static bool fill_scales(const DcsrLayer* layer, const Scales* scales, DcsrDepthwiseBlock* block) {
  const uint32x4_t words = vidupq_n_u32(0, 4);  // of every second halfword
  const uint32x4_t channels = vmulq_n_u32(words, 4);
  uint32x4_t most_bias = vdupq_n_u32(0);
  int32x4_t most_shift = vdupq_n_s32(INT8_MIN);
  for (uint32_t k = 0; k < 4; ++k) {
    const int32x4_t bias = vldrwq_gather_offset_s32(scales->bias + k, channels);
    const int32x4_t shift = vldrwq_gather_offset_s32(scales->shift + k, channels);
    vst1q_s32(block->multiplier[k], vldrwq_gather_offset_s32(scales->multiplier + k, channels));
    // Saturates to 2^31 - 1 if the shift is 0.
    vst1q_s32(block->factor[(k + 1) % 4], vqshlq_s32(vdupq_n_s32(1), vaddq_n_s32(shift, 31)));
    vstrhq_scatter_offset_s32(block->low[k % 2] + k / 2, words, vandq_s32(bias, vdupq_n_s32(0xFF)));
    vstrhq_scatter_offset_s32(block->high[k % 2] + k / 2, words, vshrq_n_s32(bias, 8));
    // As in dcsr_depthwise_mve_takes_row(), with a bias that is never negative.
    const int32x4_t positive = vaddq_n_s32(bias, kDcsrMveMostHighBias);
    most_bias = vmaxq_u32(most_bias, vreinterpretq_u32_s32(positive));
    most_shift = vmaxq_s32(most_shift, shift);
  }
  vst1q_s8(block->max, vdupq_n_s8((int8_t)layer->activation_max));
  vst1q_s8(block->min, vdupq_n_s8((int8_t)layer->activation_min));
  return vmaxvq_u32(0, most_bias) < 2 * kDcsrMveMostHighBias &&
         vmaxvq_s32(INT8_MIN, most_shift) <= dcsr_depthwise_mve_most_shift(layer);
}

// Writes the weights of a block to `out`. Returns false if one is -128.
static bool fill_weights(const DcsrLayer* layer, uint32_t first, int8_t* out) {
  const uint32_t taps = layer->cols;
  // The weights of a tap are `taps` bytes apart. The last channel is followed by the first one.
  const uint32_t wrap = layer->rows < kBlock ? layer->rows : kBlock;
  uint32_t lane = 0;
  const uint16x8_t low = vmulq_n_u16(viwdupq_wb_u16(&lane, wrap, 1), (uint16_t)taps);
  const uint16x8_t high = vmulq_n_u16(viwdupq_wb_u16(&lane, wrap, 1), (uint16_t)taps);
  const int8_t* weights = layer->values + first * taps;
  int16x8_t lowest = vdupq_n_s16(0);
  for (const int8_t* end = weights + taps; weights != end; ++weights) {
    const int16x8_t of_low = vldrbq_gather_offset_s16(weights, low);
    const int16x8_t of_high = vldrbq_gather_offset_s16(weights, high);
    vstrbq_s16(out, of_low);
    vstrbq_s16(out + kBlock / 2, of_high);
    lowest = vminq_s16(lowest, vminq_s16(of_low, of_high));
    out += kBlock;
  }
  if (dcsr_depthwise_mve_taps(taps) > taps) vst1q_s8(out, vdupq_n_s8(0));
  return vminvq_s16(0, lowest) > INT8_MIN;
}

uint32_t dcsr_fill_depthwise_block(const DcsrLayer* layer, uint32_t first,
                                   DcsrDepthwiseBlock* block) {
  Scales scales;
  load_scales(layer, first, &scales);
  const bool is_scaled = fill_scales(layer, &scales, block);
  if (fill_weights(layer, first, (int8_t*)(block + 1)) && is_scaled) return 0;
  uint32_t slow = 0;
  for (uint32_t lane = 0; lane < kBlock && first + lane < layer->rows; ++lane) {
    if (!dcsr_depthwise_mve_takes_row(layer, first + lane)) slow |= UINT32_C(1) << lane;
  }
  return slow;
}

#endif  // DCSR_HAS_MVE
