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
#include "tflm_kernels/group_words.h"

enum { kMaxOffset = 255, kMostPlanes = 4, kMaxSlope = 4095 };

static inline uint32_t lanes_of(uint32_t left) {
  return left < kDcsrGroupLanes ? left : (uint32_t)kDcsrGroupLanes;
}

// 1 in the lanes to which the sum of those before is added.
static const uint8_t kSecondFour[kDcsrGroupLanes] = {[4] = 1, [5] = 1, [6] = 1, [7] = 1};
static const uint8_t kLastFour[kDcsrGroupLanes] = {[12] = 1, [13] = 1, [14] = 1, [15] = 1};
static const uint8_t kLastEight[kDcsrGroupLanes] = {[8] = 1,  [9] = 1,  [10] = 1, [11] = 1,
                                                    [12] = 1, [13] = 1, [14] = 1, [15] = 1};

// Sixteen gaps and what is between them are at most 255 together, so an offset group of rle never
// needs to be cut. Gaps are read eight bytes at a time, also where fewer belong to the row: the layer
// has at least 16 elements, whose values are behind them (group_words.h).
static inline void read_rle_groups(DcsrRowReader* reader, bool odd, uint32_t groups,
                                   DcsrRunBuffer* buffer) {
  const uint8x16_t lane = vidupq_n_u8(0, 1);
  const uint8x16_t second_four = vld1q_u8(kSecondFour);
  const uint8x16_t last_four = vld1q_u8(kLastFour);
  const uint8x16_t last_eight = vld1q_u8(kLastEight);
  const uint32_t first = (uint32_t)(reader->weight - reader->layer->values);
  const uint8_t* gaps = reader->layer->index + first / 2;
  uint8_t* offset = buffer->offset;
  int32_t* base = buffer->base;
  int32_t column = reader->expected;
  uint32_t last;
  // Sums within four lanes, then within eight, then within all.
#define DCSR_SUM_GAPS                        \
  "vmul.i32 q0, q0, %[ones]\n"               \
  "vmov.u8 %[last], q0[3]\n"                 \
  "vmla.u8 q0, %q[second_four], %[last]\n"   \
  "vmov.u8 %[last], q0[11]\n"                \
  "vmla.u8 q0, %q[last_four], %[last]\n"     \
  "vmov.u8 %[last], q0[7]\n"                 \
  "vmla.u8 q0, %q[last_eight], %[last]\n"    \
  "str %[column], [%[base]], #4\n"           \
  "vadd.i8 q0, q0, %q[lane]\n"               \
  "vmov.u8 %[last], q0[15]\n"                \
  "vstrb.8 q0, [%[offset]], #16\n"           \
  "add %[column], %[column], %[last]\n"      \
  "add %[column], %[column], #1\n"           \
  "le lr, 1b\n"
#define DCSR_SUM_GAPS_OPERANDS                                                                   \
  : [last] "=&r"(last), [gaps] "+r"(gaps), [offset] "+r"(offset), [base] "+r"(base),             \
    [column] "+r"(column)                                                                        \
  : [groups] "r"(groups), [ones] "r"(0x01010101), [lane] "w"(lane),                              \
    [second_four] "w"(second_four), [last_four] "w"(last_four), [last_eight] "w"(last_eight)     \
  : "lr", "q0", "q1", "memory"
  if (odd) {
    // The other gap of a pair is in the next byte: 0x00ba and 0x00dc become 0xc0ba, then 0x0c0b.
    __asm__ volatile(
        "dls lr, %[groups]\n"
        "1:\n"
        "vldrb.u16 q1, [%[gaps], #1]\n"
        "vldrb.u16 q0, [%[gaps]], #8\n"
        "vsli.16 q0, q1, #12\n"
        "vshr.u8 q0, q0, #4\n" DCSR_SUM_GAPS DCSR_SUM_GAPS_OPERANDS);
  } else {
    // 0x00ba becomes 0x0baa, then 0x0b0a.
    __asm__ volatile(
        "dls lr, %[groups]\n"
        "1:\n"
        "vldrb.u16 q0, [%[gaps]], #8\n"
        "vsli.16 q0, q0, #4\n"
        "vbic.i16 q0, #0x00f0\n" DCSR_SUM_GAPS DCSR_SUM_GAPS_OPERANDS);
  }
#undef DCSR_SUM_GAPS
#undef DCSR_SUM_GAPS_OPERANDS
  reader->expected = column;
}

DCSR_NOINLINE static void read_rle_run(DcsrRowReader* reader, DcsrRunBuffer* buffer,
                                       DcsrOffsetRun* run) {
  const uint32_t most = kDcsrRunGroups * kDcsrGroupLanes;
  const uint32_t elements = reader->left < most ? reader->left : most;
  const uint32_t groups = (elements + kDcsrGroupLanes - 1) / kDcsrGroupLanes;
  const bool odd = (reader->weight - reader->layer->values) % 2 != 0;
  read_rle_groups(reader, odd, groups, buffer);
  run->offset = buffer->offset;
  run->weight = reader->weight;
  run->elements = elements;
  reader->weight += elements;
  reader->left -= elements;
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
  if (layer->encoding == kDcsrEncodingRle && dcsr_has_word_groups(layer)) {
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
