// Fully connected layer with MVE (Cortex-M55, M85), dcsr with byte deltas.
//
// Input:   one vector [cols], int8.
// Output:  [rows], int8.
// Scratch: none.
// Cycles:  7.5 instructions per group without planes (docs/kernels.md#fully_connected-with-mve).
//
// Two groups share the load of their descriptors and the test for planes. Without planes the deltas
// are the offsets to gather with. With one plane a group is gathered in two parts, one from the
// base and one from 256 columns further. The plane is the predicate of both. With more planes the
// offsets have 16 bits, and a group takes two gathers.

#include "tflm_kernels/common/compiler.h"
#include "tflm_kernels/mve/mve.h"

#if DCSR_HAS_MVE

#include <arm_mve.h>
#include <stddef.h>

#include "tflm_kernels/format/row_reader.h"
#include "tflm_kernels/mve/requantize_mve.h"

enum { kBlockRows = 16, kMostVectorPlanes = 8 };

// Position in a row and its sum so far.
typedef struct {
  const uint8_t* index;
  const uint8_t* delta;
  const uint8_t* plane;
  const int8_t* weight;
  const int8_t* x;  // the column of the last base
  int32_t sum;
} Cursor;

// Adds the products of eight lanes with offsets of 16 bits.
static inline int32_t multiply_half(const int8_t* x, const uint8_t* low, const uint8_t* high,
                                    const int8_t* weight, mve_pred16_t lanes, int32_t sum) {
  const uint16x8_t offset =
      vsliq_n_u16(vldrbq_z_u16(low, lanes), vldrbq_z_u16(high, lanes), kDcsrByteBits);
  const int16x8_t values = vldrbq_gather_offset_z_s16(x, offset, lanes);
  return vmladavaq_s16(sum, values, vldrbq_z_s16(weight, lanes));
}

// Adds the products of a group with planes at `delta` and `weight`. Its base is that of the cursor.
// Reads its planes.
DCSR_NOINLINE static void multiply_planes(Cursor* cursor, const uint8_t* delta,
                                          const int8_t* weight, uint32_t lanes, uint32_t planes) {
  const uint32_t plane_bytes = dcsr_plane_bytes(lanes);
  const uint8_t* plane = cursor->plane;
  cursor->plane += planes * plane_bytes;
  if (planes <= kMostVectorPlanes) {
    uint8x16_t bits = vdupq_n_u8(0);
    for (uint32_t p = 0; p < planes; ++p) {
      const uint32_t has = lanes > 8 ? dcsr_load_u16(plane) : *plane;
      bits = vaddq_m_n_u8(bits, bits, (uint8_t)(1u << p), (mve_pred16_t)has);
      plane += plane_bytes;
    }
    uint8_t high[kDcsrGroupLanes];
    vst1q_u8(high, bits);
    int32_t sum = multiply_half(cursor->x, delta, high, weight, vctp16q(lanes), cursor->sum);
    if (lanes > 8) {
      sum = multiply_half(cursor->x, delta + 8, high + 8, weight + 8, vctp16q(lanes - 8), sum);
    }
    cursor->sum = sum;
    return;
  }
  // Only for correctness: columns this far apart do not occur in a layer that fits a Cortex-M.
  uint32_t sum = (uint32_t)cursor->sum;
  for (uint32_t l = 0; l < lanes; ++l) {
    uint32_t offset = delta[l];
    for (uint32_t p = 0; p < planes; ++p) {
      const uint32_t bit = (uint32_t)(plane[p * plane_bytes + l / 8] >> (l % 8)) & 1;
      offset += bit << (kDcsrByteBits + p);
    }
    sum += (uint32_t)(weight[l] * cursor->x[offset]);
  }
  cursor->sum = (int32_t)sum;
}

// Adds the products of `pairs` pairs of whole groups. Stops at a group with more than one plane:
// everything but its planes has then been read. Returns its number of planes, or 0 at the end.
static inline uint32_t multiply_pairs(Cursor* c, uint32_t pairs) {
  // Constants that the assembly uses as numbers.
  _Static_assert(kDcsrGroupLanes == 16 && kDcsrStepBytes == 2, "");
  _Static_assert(kDcsrPlaneMask == 15 && kDcsrStepShift == 4, "");
  _Static_assert(1 << kDcsrByteBits == 256, "the value of the first plane");
  int32_t sum = c->sum;
  uint32_t descriptors;
  int32_t step;
  uint32_t planes;
  // The schedule is that of fully_connected_offset8_mve.c. L: on the load pipe.
  __asm__ volatile(
      "wls lr, %[pairs], 8f\n"
      ".p2align 2\n"
      "1:\n"
      "ldr %[descriptors], [%[index]], #4\n"
      "vldrb.u8 q0, [%[delta]], #16\n"  // L
      "tst %[descriptors], #0x000f000f\n"
      "bne 2f\n"
      "vldrb.u8 q1, [%[delta]], #16\n"  // L
      "sbfx %[step], %[descriptors], #4, #12\n"
      "vldrb.u8 q4, [%[weight]], #16\n"  // L
      "add %[x], %[x], %[step]\n"
      "vldrb.u8 q2, [%[x], q0]\n"  // L
      "add %[x], %[x], %[descriptors], asr #20\n"
      "vldrb.u8 q3, [%[x], q1]\n"  // L
      "vmladava.s8 %[sum], q2, q4\n"
      "vldrb.u8 q1, [%[weight]], #16\n"  // L
      "vmladava.s8 %[sum], q3, q1\n"
      "le lr, 1b\n"
      "b 8f\n"

      // A pair with planes: one group after the other. The deltas of the first are in q0.
      "2:\n"
      "sxth %[step], %[descriptors]\n"
      "ands %[planes], %[step], #15\n"
      "vldrb.u8 q1, [%[weight]], #16\n"
      "add %[x], %[x], %[step], asr #4\n"
      "beq 3f\n"
      "cmp %[planes], #1\n"
      "bne 7f\n"
      "ldrh %[planes], [%[plane]], #2\n"
      "add %[step], %[x], #256\n"
      "vmsr p0, %[planes]\n"
      "vpsttee\n"
      "vldrbt.u8 q2, [%[step], q0]\n"
      "vmladavat.s8 %[sum], q2, q1\n"
      "vldrbe.u8 q3, [%[x], q0]\n"
      "vmladavae.s8 %[sum], q3, q1\n"
      "b 4f\n"
      "3:\n"
      "vldrb.u8 q2, [%[x], q0]\n"
      "vmladava.s8 %[sum], q2, q1\n"
      "4:\n"
      "asr %[step], %[descriptors], #16\n"
      "vldrb.u8 q0, [%[delta]], #16\n"
      "ands %[planes], %[step], #15\n"
      "vldrb.u8 q1, [%[weight]], #16\n"
      "add %[x], %[x], %[step], asr #4\n"
      "beq 5f\n"
      "cmp %[planes], #1\n"
      "bne 9f\n"
      "ldrh %[planes], [%[plane]], #2\n"
      "add %[step], %[x], #256\n"
      "vmsr p0, %[planes]\n"
      "vpsttee\n"
      "vldrbt.u8 q2, [%[step], q0]\n"
      "vmladavat.s8 %[sum], q2, q1\n"
      "vldrbe.u8 q3, [%[x], q0]\n"
      "vmladavae.s8 %[sum], q3, q1\n"
      "b 6f\n"
      "5:\n"
      "vldrb.u8 q2, [%[x], q0]\n"
      "vmladava.s8 %[sum], q2, q1\n"
      "6:\n"
      "le lr, 1b\n"
      "b 8f\n"

      "7:\n"
      "sub %[index], %[index], #2\n"
      "b 9f\n"
      "8:\n"
      "mov %[planes], #0\n"
      "9:\n"
      : [sum] "+Te"(sum), [descriptors] "=&r"(descriptors), [step] "=&r"(step),
        [planes] "=&r"(planes), [index] "+r"(c->index), [delta] "+r"(c->delta),
        [plane] "+r"(c->plane), [weight] "+r"(c->weight), [x] "+r"(c->x)
      : [pairs] "r"(pairs)
      : "lr", "cc", "q0", "q1", "q2", "q3", "q4", "memory");
  c->sum = sum;
  return planes;
}

static void multiply_group(Cursor* cursor, uint32_t lanes) {
  const int16_t descriptor = (int16_t)dcsr_load_u16(cursor->index);
  const uint32_t planes = (uint32_t)descriptor & kDcsrPlaneMask;
  const uint8_t* delta = cursor->delta;
  const int8_t* weight = cursor->weight;
  cursor->x += descriptor >> kDcsrStepShift;
  cursor->index += kDcsrStepBytes;
  cursor->delta += lanes;
  cursor->weight += lanes;
  if (planes != 0) {
    multiply_planes(cursor, delta, weight, lanes, planes);
    return;
  }
  const mve_pred16_t active = vctp8q(lanes);
  const uint8x16_t offset = vldrbq_z_u8(delta, active);
  const int8x16_t values = vldrbq_gather_offset_z_s8(cursor->x, offset, active);
  cursor->sum = vmladavaq_s8(cursor->sum, values, vldrbq_z_s8(weight, active));
}

static inline void multiply_row(Cursor* cursor, uint32_t length) {
  const int8_t* end = cursor->weight + length;
  uint32_t planes;
  do {
    planes = multiply_pairs(cursor, (uint32_t)(end - cursor->weight) / (2 * kDcsrGroupLanes));
    if (planes > 0) {
      multiply_planes(cursor, cursor->delta - kDcsrGroupLanes, cursor->weight - kDcsrGroupLanes,
                      kDcsrGroupLanes, planes);
    }
  } while (planes > 0);
  while (cursor->weight != end) {
    const uint32_t left = (uint32_t)(end - cursor->weight);
    multiply_group(cursor, left < kDcsrGroupLanes ? left : (uint32_t)kDcsrGroupLanes);
  }
}

void dcsr_fully_connected_dcsr_mve(const DcsrPlan* plan, const DcsrLayer* layer,
                                   const DcsrConvShape* shape, const void* input_data,
                                   void* output_data, void* scratch) {
  (void)plan;
  (void)shape;
  (void)scratch;
  const int8_t* input = (const int8_t*)input_data;
  int8_t* output = (int8_t*)output_data;
  Cursor cursor = {layer->index, layer->delta, layer->plane, layer->values, input, 0};
  int32_t sums[kBlockRows];
  uint32_t lengths[kBlockRows];
  for (uint32_t row = 0; row < layer->rows; row += kBlockRows) {
    const uint32_t left = layer->rows - row;
    const uint32_t count = left < kBlockRows ? left : (uint32_t)kBlockRows;
    dcsr_row_lengths(layer, row, count, lengths);
    for (uint32_t r = 0; r < count; ++r) {
      cursor.x = input;
      cursor.sum = 0;
      multiply_row(&cursor, lengths[r]);
      sums[r] = cursor.sum;
    }
    dcsr_requantize_rows_mve(layer, row, count, sums, 1, output + row);
  }
}

#endif  // DCSR_HAS_MVE
