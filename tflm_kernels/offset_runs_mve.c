// Rows of any encoding as runs of offset groups on cores with MVE (Helium). docs/kernels.md.
//
// A run of dcsr ends before a group whose offsets do not fit a byte, or whose base is escaped. Such
// a group, and every one of an encoding that has no decoder here, becomes a run of its own, cut
// into offset groups one element at a time.

#include "tflm_kernels/offset_runs_mve.h"

#if defined(__ARM_FEATURE_MVE)

#include <arm_mve.h>

#include "tflm_kernels/compiler.h"
#include "tflm_kernels/group_decoder.h"

enum { kMaxOffset = 255, kMostPlanes = 4, kMaxSlope = 4095 };

static inline uint32_t lanes_of(uint32_t left) {
  return left < kDcsrGroupLanes ? left : (uint32_t)kDcsrGroupLanes;
}

// 1 in the lanes to which the sum of those before is added.
static const uint8_t kSecondFour[kDcsrGroupLanes] = {[4] = 1, [5] = 1, [6] = 1, [7] = 1};
static const uint8_t kLastFour[kDcsrGroupLanes] = {[12] = 1, [13] = 1, [14] = 1, [15] = 1};
static const uint8_t kLastEight[kDcsrGroupLanes] = {[8] = 1,  [9] = 1,  [10] = 1, [11] = 1,
                                                    [12] = 1, [13] = 1, [14] = 1, [15] = 1};

// 16 gaps, or those that `lanes` has, from the lower or (`odd`) the upper nibble of the first byte
// on.
static inline uint8x16_t load_gaps(const uint8_t* gaps, bool odd, mve_pred16_t lanes) {
  const uint16x8_t pairs = vldrbq_z_u16(gaps, lanes);
  if (odd) {
    // The other gap of a pair is in the next byte, which may be none of this row.
    const uint16x8_t next = vldrbq_z_u16(gaps + 1, (mve_pred16_t)(lanes >> 1));
    // 0x00ba and 0x00dc become 0xc0ba, then 0x0c0b.
    return vshrq_n_u8(vreinterpretq_u8_u16(vsliq_n_u16(pairs, next, 12)), 4);
  }
  // 0x00ba becomes 0x0baa, then 0x0b0a.
  return vreinterpretq_u8_u16(vbicq_n_u16(vsliq_n_u16(pairs, pairs, 4), 0x00F0));
}

// Sixteen gaps and what is between them are at most 255 together, so an offset group of rle never
// needs to be cut.
static inline void read_rle_groups(DcsrRowReader* reader, bool odd, DcsrRunBuffer* buffer) {
  const uint8x16_t lane = vidupq_n_u8(0, 1);
  const uint8x16_t second_four = vld1q_u8(kSecondFour);
  const uint8x16_t last_four = vld1q_u8(kLastFour);
  const uint8x16_t last_eight = vld1q_u8(kLastEight);
  const uint32_t first = (uint32_t)(reader->weight - reader->layer->values);
  const uint8_t* gaps = reader->layer->index + first / 2;
  uint8_t* offset = buffer->offset;
  int32_t* base = buffer->base;
  int32_t* const end = base + kDcsrRunGroups;
  int32_t left = (int32_t)reader->left;
  int32_t column = reader->expected;
  do {
    uint8x16_t sum = load_gaps(gaps, odd, vctp8q((uint32_t)left));
    // Sums within four lanes, then within eight, then within all.
    sum = vreinterpretq_u8_u32(vmulq_n_u32(vreinterpretq_u32_u8(sum), 0x01010101));
    sum = vmlaq_n_u8(sum, second_four, vgetq_lane_u8(sum, 3));
    sum = vmlaq_n_u8(sum, last_four, vgetq_lane_u8(sum, 11));
    sum = vmlaq_n_u8(sum, last_eight, vgetq_lane_u8(sum, 7));
    sum = vaddq_u8(sum, lane);
    vst1q_u8(offset, sum);
    *base++ = column;
    column += vgetq_lane_u8(sum, 15) + 1;
    offset += kDcsrGroupLanes;
    gaps += kDcsrGroupLanes / 2;
    left -= kDcsrGroupLanes;
  } while (left > 0 && base != end);
  reader->left = left > 0 ? (uint32_t)left : 0;
  reader->expected = column;
}

DCSR_NOINLINE static void read_rle_run(DcsrRowReader* reader, DcsrRunBuffer* buffer,
                                       DcsrOffsetRun* run) {
  const uint32_t before = reader->left;
  run->offset = buffer->offset;
  run->weight = reader->weight;
  if ((reader->weight - reader->layer->values) % 2 == 0) {
    read_rle_groups(reader, false, buffer);
  } else {
    read_rle_groups(reader, true, buffer);
  }
  run->elements = before - reader->left;
  reader->weight += run->elements;
}

// Groups without planes and escapes; false if the next one is none.
static bool read_byte_delta_run(DcsrRowReader* reader, DcsrRunBuffer* buffer, DcsrOffsetRun* run) {
  const uint8_t* index = reader->index;
  int32_t* base = buffer->base;
  int32_t column = reader->expected;
  uint32_t left = reader->left;
  for (; left > 0 && base != buffer->base + kDcsrRunGroups; left -= lanes_of(left)) {
    const uint32_t descriptor = dcsr_load_u16(index);
    const uint32_t planes = descriptor & kDcsrPlaneMask;
    if (planes != 0 || descriptor >> kDcsrStepShift == kDcsrStepEscape) break;
    column += (int16_t)descriptor >> kDcsrStepShift;
    *base++ = column;
    index += kDcsrStepBytes;
  }
  run->offset = reader->delta;
  run->weight = reader->weight;
  run->elements = reader->left - left;
  reader->index = index;
  reader->delta += run->elements;
  reader->weight += run->elements;
  reader->expected = column;
  reader->left = left;
  return run->elements > 0;
}

// What the line adds to a base in each lane, 255 if it is that or more. (Not by VQSHRN: GCC 12 and
// its assembler make the rounding one of it.)
static inline uint8x16_t line_of(uint32_t slope) {
  const uint16_t limited = (uint16_t)(slope < kMaxSlope ? slope : (uint32_t)kMaxSlope);
  const uint16x8_t even = vmulq_n_u16(vidupq_n_u16(0, 2), limited);
  const uint16x8_t odd = vaddq_n_u16(even, limited);
  const uint8x16_t line = vqmovnbq_u16(vdupq_n_u8(0), vshrq_n_u16(even, kDcsrSlopeBits));
  return vqmovntq_u16(line, vshrq_n_u16(odd, kDcsrSlopeBits));
}

// Groups whose offsets are below 255; false if the next one is none.
DCSR_NOINLINE static bool read_nibble_delta_run(DcsrRowReader* reader, DcsrRunBuffer* buffer,
                                                DcsrOffsetRun* run) {
  const uint8x16_t line = line_of(reader->slope);
  const int32_t slope = (int32_t)reader->slope;
  const uint8_t* index = reader->index;
  const uint8_t* delta = reader->delta;
  const uint8_t* plane = reader->plane;
  uint8_t* offset = buffer->offset;
  int32_t* base = buffer->base;
  int32_t expected = reader->expected;
  uint32_t left = reader->left;
  while (left > 0 && base != buffer->base + kDcsrRunGroups) {
    const uint32_t descriptor = dcsr_load_u16(index);
    const uint32_t planes = descriptor & kDcsrPlaneMask;
    if (planes > kMostPlanes || descriptor >> kDcsrStepShift == kDcsrStepEscape) break;
    const uint32_t lanes = lanes_of(left);
    const uint16x8_t pairs = vldrbq_z_u16(delta, vctp8q(left));
    uint8x16_t sum =
        vreinterpretq_u8_u16(vbicq_n_u16(vsliq_n_u16(pairs, pairs, kDcsrNibbleBits), 0x00F0));
    sum = vqaddq_u8(sum, line);
    const uint8_t* next_plane = plane;
    uint32_t value = 1u << kDcsrNibbleBits;
    for (uint32_t p = 0; p < planes; ++p) {
      const uint32_t bits = lanes > 8 ? dcsr_load_u16(next_plane) : *next_plane;
      sum = vqaddq_m_n_u8(sum, sum, (uint8_t)value, (mve_pred16_t)bits);
      next_plane += dcsr_plane_bytes(lanes);
      value <<= 1;
    }
    vst1q_u8(offset, sum);
    // Columns increase, so the last offset is the largest; it may be a saturated one.
    if (offset[lanes - 1] == kMaxOffset) break;
    expected += (int16_t)descriptor >> kDcsrStepShift;
    *base++ = expected;
    expected += slope;
    offset += kDcsrGroupLanes;
    index += kDcsrStepBytes;
    delta += (lanes + 1) / 2;
    plane = next_plane;
    left -= lanes;
  }
  run->offset = buffer->offset;
  run->weight = reader->weight;
  run->elements = reader->left - left;
  reader->index = index;
  reader->delta = delta;
  reader->plane = plane;
  reader->weight += run->elements;
  reader->expected = expected;
  reader->left = left;
  return run->elements > 0;
}

// One group, columns in order.
static void cut_group(DcsrRowReader* reader, DcsrRunBuffer* buffer, DcsrOffsetRun* run) {
  DcsrGroup group;
  dcsr_decode_group(reader, &group);
  int32_t* base = buffer->base;
  uint32_t count = 0;
  for (uint32_t l = 0; l < group.lanes; ++l) {
    const int32_t column = group.column[l];
    if (l == 0 || column - *base > kMaxOffset) {
      // Fills up the offset group before.
      for (; count % kDcsrGroupLanes != 0; ++count) {
        buffer->offset[count] = buffer->offset[count - 1];
        buffer->weight[count] = 0;
      }
      base = buffer->base + count / kDcsrGroupLanes;
      *base = column;
    }
    buffer->offset[count] = (uint8_t)(column - *base);
    buffer->weight[count] = group.weight[l];
    ++count;
  }
  run->offset = buffer->offset;
  run->weight = buffer->weight;
  run->elements = count;
}

void dcsr_next_offset_run_mve(DcsrRowReader* reader, DcsrRunBuffer* buffer, DcsrOffsetRun* run) {
  const DcsrLayer* layer = reader->layer;
  run->index = buffer->base;
  if (layer->encoding == kDcsrEncodingRle) {
    read_rle_run(reader, buffer, run);
    return;
  }
  if (layer->encoding == kDcsrEncodingDcsr) {
    if (dcsr_has_byte_deltas(layer) ? read_byte_delta_run(reader, buffer, run)
                                    : read_nibble_delta_run(reader, buffer, run)) {
      return;
    }
  }
  cut_group(reader, buffer, run);
}

#endif  // __ARM_FEATURE_MVE
