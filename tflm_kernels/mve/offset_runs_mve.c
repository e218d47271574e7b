// Decodes rows of any encoding to offset groups, with MVE (Cortex-M55, M85).
//
// Input:   a row reader within a row, or before a row (row_reader.h).
// Output:  offset groups: int32 base per group, uint8 offset and int8 weight per element.
// Scratch: a DcsrRunBuffer for a run; none for whole rows.
// Cycles:  docs/kernels.md#few-pixels-with-mve.
//
// A run of dcsr ends before a group whose offsets do not fit a byte, or whose base is escaped. Such
// a group becomes a run of its own, cut into offset groups one element at a time. So does every
// group of an encoding without a decoder here.

#include "tflm_kernels/mve/offset_runs_mve.h"

#include "tflm_kernels/common/compiler.h"

#if DCSR_HAS_MVE

#include <arm_mve.h>

#include "tflm_kernels/format/group_decoder.h"
#include "tflm_kernels/format/group_words.h"
#include "tflm_kernels/mve/one_bits_mve.h"

enum { kMaxOffset = 255, kMaxSlope = 4095 };

static inline uint32_t lanes_of(uint32_t left) {
  return left < kDcsrGroupLanes ? left : (uint32_t)kDcsrGroupLanes;
}

// 1 in the lanes to which the sum of the preceding lanes is added.
static const uint8_t kSecondFour[kDcsrGroupLanes] = {[4] = 1, [5] = 1, [6] = 1, [7] = 1};
static const uint8_t kLastFour[kDcsrGroupLanes] = {[12] = 1, [13] = 1, [14] = 1, [15] = 1};
static const uint8_t kLastEight[kDcsrGroupLanes] = {[8] = 1,  [9] = 1,  [10] = 1, [11] = 1,
                                                    [12] = 1, [13] = 1, [14] = 1, [15] = 1};

// Reads one or more rows of rle. `end` points past the last of their lengths. Their first element
// is element `element` of the layer and continues at `column`. Returns the column after the last
// element.
//
// Sixteen gaps and the 15 elements between them are at most 255 columns, so an offset group of rle
// never needs to be cut. Gaps are read eight bytes at a time, even past the end of the
// row. This stays in the layer: it has at least 16 elements, whose values follow (group_words.h).
static int32_t read_rle_rows(const uint8_t* index, uint32_t element, const uint32_t* lengths,
                             const uint32_t* end, int32_t column, int32_t* base, uint8_t* offset) {
  const uint8x16_t lane = vidupq_n_u8(0, 1);
  const uint8x16_t second_four = vld1q_u8(kSecondFour);
  const uint8x16_t last_four = vld1q_u8(kLastFour);
  const uint8x16_t last_eight = vld1q_u8(kLastEight);
  const uint8_t* gaps;
  uint32_t t, length;
  // Prefix sums within four lanes, then eight, then all sixteen. Each multiplication waits for the
  // one before, so the base is stored and the column advanced meanwhile.
#define DCSR_SUM_GAPS                   \
  "vmul.i32 q0, q0, %[ones]\n"          \
  "str %[column], [%[base]], #4\n"      \
  "vmov.u8 %[t], q0[3]\n"               \
  "add %[column], %[column], #1\n"      \
  "vmla.u8 q0, %q[second_four], %[t]\n" \
  "vmov.u8 %[t], q0[11]\n"              \
  "vmla.u8 q0, %q[last_four], %[t]\n"   \
  "vmov.u8 %[t], q0[7]\n"               \
  "vmla.u8 q0, %q[last_eight], %[t]\n"  \
  "vadd.i8 q0, q0, %q[lane]\n"          \
  "vmov.u8 %[t], q0[15]\n"              \
  "vstrb.8 q0, [%[offset]], #16\n"      \
  "add %[column], %[column], %[t]\n"
  __asm__ volatile(
      "1:\n"
      "ldr %[length], [%[lengths]], #4\n"
      "add %[gaps], %[index], %[element], lsr #1\n"
      "add %[t], %[length], #15\n"
      "lsr %[t], %[t], #4\n"
      "wls lr, %[t], 4f\n"
      "tst %[element], #1\n"
      "bne 3f\n"
      // 0x00ba becomes 0x0baa, then 0x0b0a.
      ".p2align 2\n"
      "2:\n"
      "vldrb.u16 q0, [%[gaps]], #8\n"
      "vsli.16 q0, q0, #4\n"
      "vbic.i16 q0, #0x00f0\n" DCSR_SUM_GAPS
      "le lr, 2b\n"
      "b 4f\n"
      // Odd element: a pair of gaps spans two bytes. 0x00ba and 0x00dc become 0xc0ba, then 0x0c0b.
      ".p2align 2\n"
      "3:\n"
      "vldrb.u16 q1, [%[gaps], #1]\n"
      "vldrb.u16 q0, [%[gaps]], #8\n"
      "vsli.16 q0, q1, #12\n"
      "vshr.u8 q0, q0, #4\n" DCSR_SUM_GAPS
      "le lr, 3b\n"
      "4:\n"
      // Move the offset back to the end of the row.
      "rsb %[t], %[length], #0\n"
      "and %[t], %[t], #15\n"
      "sub %[offset], %[offset], %[t]\n"
      "add %[element], %[element], %[length]\n"
      "cmp %[lengths], %[end]\n"
      "beq 5f\n"
      "mov %[column], #0\n"
      "b 1b\n"
      "5:\n"
      : [t] "=&r"(t), [length] "=&r"(length), [gaps] "=&l"(gaps), [element] "+r"(element),
        [lengths] "+r"(lengths), [offset] "+r"(offset), [base] "+r"(base), [column] "+r"(column)
      : [index] "r"(index), [end] "r"(end), [ones] "r"(0x01010101), [lane] "w"(lane),
        [second_four] "w"(second_four), [last_four] "w"(last_four), [last_eight] "w"(last_eight)
      : "lr", "q0", "q1", "cc", "memory");
#undef DCSR_SUM_GAPS
  return column;
}

static uint32_t element_of(const DcsrRowReader* reader) {
  return (uint32_t)(reader->weight - reader->layer->values);
}

static uint32_t read_rle(DcsrRowReader* reader, uint32_t elements, int32_t* base, uint8_t* offset) {
  reader->expected = read_rle_rows(reader->layer->index, element_of(reader), &elements,
                                   &elements + 1, reader->expected, base, offset);
  return elements;
}

// Reads groups without planes and escapes. Returns false if the next group is not such a group.
DCSR_NOINLINE static bool read_byte_delta_run(DcsrRowReader* reader, DcsrRunBuffer* buffer,
                                              DcsrOffsetRun* run) {
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

// Returns the distance of the line from the base in each lane, saturated to 255. Does not use
// VQSHRN, because GCC 12 and its assembler turn it into the rounding variant.
static inline uint8x16_t line_of(uint32_t slope) {
  const uint16_t limited = (uint16_t)(slope < kMaxSlope ? slope : (uint32_t)kMaxSlope);
  const uint16x8_t even = vmulq_n_u16(vidupq_n_u16(0, 2), limited);
  const uint16x8_t odd = vaddq_n_u16(even, limited);
  const uint8x16_t line = vqmovnbq_u16(vdupq_n_u8(0), vshrq_n_u16(even, kDcsrSlopeBits));
  return vqmovntq_u16(line, vshrq_n_u16(odd, kDcsrSlopeBits));
}

// Streams to read nibbles from, and arrays for their offsets and bases.
typedef struct {
  const uint8_t* index;
  const uint8_t* delta;
  const uint8_t* plane;
  uint8_t* offset;
  int32_t* base;
  int32_t expected;
} Nibbles;

// Reads up to `groups` groups of `lanes` lanes. Stops before a group that is escaped, or has more
// than four planes or an offset of 255 or more. Sums saturate. Columns increase, so the last offset
// is the largest. Eight bytes of deltas and two of a plane are read even if fewer belong to the
// group: the values follow them (group_words.h).
static inline void read_nibble_groups(Nibbles* nibbles, uint8x16_t line, uint32_t slope,
                                      uint32_t groups, uint32_t lanes) {
  // Constants that the assembly uses as numbers.
  _Static_assert(kDcsrGroupLanes == 16 && kDcsrStepBytes == 2 && kDcsrNibbleBits == 4, "");
  _Static_assert(kDcsrPlaneMask == 15 && kDcsrStepShift == 4 && kDcsrStepEscape == 2048, "");
  _Static_assert(kMaxOffset == 255, "");
  const uint8x16_t bit4 = vdupq_n_u8(16);
  const uint8x16_t bit5 = vdupq_n_u8(32);
  const uint8x16_t bit6 = vdupq_n_u8(64);
  const uint8x16_t bit7 = vdupq_n_u8(128);
  uint32_t descriptor;
  uint32_t planes;
  uint32_t bits;
#define DCSR_ADD_PLANE(value)          \
  "ldrh %[bits], [%[plane]]\n"         \
  "add %[plane], %[plane], %[width]\n" \
  "vmsr p0, %[bits]\n"                 \
  "vpst\n"                             \
  "vqaddt.u8 q0, q0, %q[" value "]\n"
  __asm__ volatile(
      "dls lr, %[groups]\n"
      ".p2align 2\n"
      "1:\n"
      "ldrh %[descriptor], [%[index]], #2\n"
      // 0x00ba becomes 0x0baa, then 0x0b0a.
      "vldrb.u16 q0, [%[delta]], #8\n"
      "sbfx %[planes], %[descriptor], #4, #12\n"
      "vsli.16 q0, q0, #4\n"
      "cmn %[planes], #2048\n"
      "vbic.i16 q0, #0x00f0\n"
      "beq 5f\n"
      "add %[expected], %[expected], %[planes]\n"
      "vqadd.u8 q0, q0, %q[line]\n"
      "ands %[planes], %[descriptor], #15\n"
      "beq 2f\n" DCSR_ADD_PLANE("bit4")
      "cmp %[planes], #2\n"
      "blo 2f\n" DCSR_ADD_PLANE("bit5")
      "cmp %[planes], #3\n"
      "blo 2f\n" DCSR_ADD_PLANE("bit6")
      "cmp %[planes], #4\n"
      "blo 2f\n"
      "bhi 3f\n" DCSR_ADD_PLANE("bit7")
      "2:\n"
      "vstrb.8 q0, [%[offset]]\n"
      "ldrb %[bits], [%[offset], %[last]]\n"
      "cmp %[bits], #255\n"
      "beq 4f\n"
      "add %[offset], %[offset], #16\n"
      "str %[expected], [%[base]], #4\n"
      "add %[expected], %[expected], %[slope]\n"
      "le lr, 1b\n"
      "b 6f\n"
      // Move back to the start of the group.
      "3:\n"
      "mov %[planes], #3\n"
      "4:\n"
      "mls %[plane], %[planes], %[width], %[plane]\n"
      "sbfx %[planes], %[descriptor], #4, #12\n"
      "sub %[expected], %[expected], %[planes]\n"
      "5:\n"
      "sub %[index], %[index], #2\n"
      "sub %[delta], %[delta], #8\n"
      "6:\n"
      : [descriptor] "=&r"(descriptor), [planes] "=&r"(planes), [bits] "=&r"(bits),
        [index] "+r"(nibbles->index), [delta] "+r"(nibbles->delta), [plane] "+r"(nibbles->plane),
        [offset] "+r"(nibbles->offset), [base] "+r"(nibbles->base),
        [expected] "+r"(nibbles->expected)
      : [groups] "r"(groups), [last] "r"(lanes - 1), [width] "r"(dcsr_plane_bytes(lanes)),
        [slope] "r"(slope), [line] "w"(line), [bit4] "w"(bit4), [bit5] "w"(bit5), [bit6] "w"(bit6),
        [bit7] "w"(bit7)
      : "lr", "cc", "q0", "memory");
#undef DCSR_ADD_PLANE
}

// Reads whole groups, then the partial one.
DCSR_NOINLINE static uint32_t read_nibbles(DcsrRowReader* reader, uint32_t elements, int32_t* base,
                                           uint8_t* offset) {
  Nibbles nibbles = {reader->index, reader->delta, reader->plane, offset, base, reader->expected};
  const uint8x16_t line = line_of(reader->slope);
  const uint32_t whole = elements / kDcsrGroupLanes * kDcsrGroupLanes;
  if (whole > 0) {
    read_nibble_groups(&nibbles, line, reader->slope, whole / kDcsrGroupLanes, kDcsrGroupLanes);
  }
  uint32_t done = (uint32_t)(nibbles.offset - offset);
  if (done == whole && whole < elements) {
    const uint32_t lanes = elements - whole;
    const uint8_t* before = nibbles.delta;
    const uint8_t* index = nibbles.index;
    read_nibble_groups(&nibbles, line, reader->slope, 1, lanes);
    if (nibbles.index != index) {
      nibbles.delta = before + dcsr_delta_bytes(reader->layer, lanes);
      done = elements;
    }
  }
  reader->index = nibbles.index;
  reader->delta = nibbles.delta;
  reader->plane = nibbles.plane;
  reader->expected = nibbles.expected;
  return done;
}

bool dcsr_reads_offsets_mve(const DcsrLayer* layer) {
  if (!dcsr_has_word_groups(layer) || layer->value_coding != kDcsrValuesPlain) return false;
  switch (layer->encoding) {
    case kDcsrEncodingDcsr:
      return !dcsr_has_byte_deltas(layer);
    case kDcsrEncodingRle:
    case kDcsrEncodingRice:
    case kDcsrEncodingBitmap:
      return true;
    default:
      return false;
  }
}

uint32_t dcsr_read_offsets_mve(DcsrRowReader* reader, uint32_t elements, int32_t* base,
                               uint8_t* offset) {
  const DcsrEncoding encoding = reader->layer->encoding;
  const uint32_t done = encoding == kDcsrEncodingDcsr ? read_nibbles(reader, elements, base, offset)
                        : encoding == kDcsrEncodingRle ? read_rle(reader, elements, base, offset)
                        : dcsr_has_byte_remainders(reader)
                            ? dcsr_read_ones_offsets_mve(reader, elements, base, offset)
                            : 0;
  reader->weight += done;
  reader->left -= done;
  return done;
}

uint32_t dcsr_read_rows_offsets_mve(DcsrRowReader* reader, const uint32_t* lengths, uint32_t count,
                                    int32_t* base, uint8_t* offset) {
  const DcsrLayer* layer = reader->layer;
  if (layer->encoding == kDcsrEncodingRle) {
    read_rle_rows(layer->index, element_of(reader), lengths, lengths + count, 0, base, offset);
    for (uint32_t r = 0; r < count; ++r) reader->weight += lengths[r];
    reader->row += count;
    return count;
  }
  for (uint32_t r = 0; r < count; ++r) {
    const uint32_t length = lengths[r];
    dcsr_begin_row(reader, length);
    if (length == 0) continue;
    dcsr_read_offsets_mve(reader, length, base, offset);
    if (reader->left > 0) return r;
    base += dcsr_groups_of(length);
    offset += length;
  }
  return count;
}

// Decodes one group and cuts it into offset groups.
DCSR_NOINLINE static void cut_group(DcsrRowReader* reader, DcsrRunBuffer* buffer,
                                    DcsrOffsetRun* run) {
  DcsrGroup group;
  dcsr_decode_group(reader, &group);
  int32_t* base = buffer->base;
  uint32_t count = 0;
  for (uint32_t l = 0; l < group.lanes; ++l) {
    const int32_t column = group.column[l];
    // Columns of offset8 may have any order.
    if (l == 0 || column < *base || column - *base > kMaxOffset) {
      // Fill up the previous offset group.
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
  run->base = buffer->base;
  if (dcsr_reads_offsets_mve(layer)) {
    const uint32_t most = kDcsrRunGroups * kDcsrGroupLanes;
    run->offset = buffer->offset;
    run->weight = reader->weight;
    run->elements = dcsr_read_offsets_mve(reader, reader->left < most ? reader->left : most,
                                          buffer->base, buffer->offset);
    if (run->elements > 0) return;
  } else if (layer->encoding == kDcsrEncodingDcsr && dcsr_has_word_groups(layer) &&
             layer->value_coding == kDcsrValuesPlain && read_byte_delta_run(reader, buffer, run)) {
    return;
  }
  cut_group(reader, buffer, run);
}

#endif  // DCSR_HAS_MVE
