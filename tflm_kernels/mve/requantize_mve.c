// Requantization of the sums of four rows at a time, with MVE (Cortex-M55, M85).
//
// Input:   int32 sums [rows][pixels].
// Output:  [pixels][rows of the layer], int8.
// Scratch: none.
// Cycles:  11 for four outputs (docs/kernels.md#schedules).

#include "tflm_kernels/mve/requantize_mve.h"

#include "tflm_kernels/common/compiler.h"
#include "tflm_kernels/common/row_tail.h"

#if DCSR_HAS_MVE

#include <arm_mve.h>

// The scales of four rows, one per lane.
typedef struct {
  int32x4_t bias;
  int32x4_t multiplier;
  int32x4_t shift;
} RowScales;

// Reads up to four compact rows from `row` on, some of which are exceptions.
DCSR_COLD static RowScales scales_with_exceptions(const DcsrLayer* layer, uint32_t row,
                                                  uint32_t count) {
  int32_t tails[3 * 4];
  for (uint32_t r = 0; r < count && r < 4; ++r) {
    const DcsrRowTail tail = dcsr_row_tail(layer, row + r);
    tails[r] = tail.bias;
    tails[4 + r] = tail.multiplier;
    tails[8 + r] = tail.shift;
  }
  const RowScales scales = {vldrwq_s32(tails), vldrwq_s32(tails + 4), vldrwq_s32(tails + 8)};
  return scales;
}

// Reads up to four compact rows from `row` on, as dcsr_compact_row_tail() does.
static inline RowScales compact_row_scales(const DcsrLayer* layer, uint32_t row, uint32_t count) {
  const DcsrCompactRows* head = layer->compact_rows;
  const mve_pred16_t lanes = vctp32q(count);
  const uint32x4_t record = vldrwq_z_u32(layer->row_record + row, lanes);
  const uint32x4_t bias_high = vldrhq_z_u32(layer->row_bias_high + row, lanes);
  if (vcmpeqq_m_n_u32(bias_high, 0, lanes) != 0) return scales_with_exceptions(layer, row, count);
  // Immediate operands: bits 0, 1 to 4, and 5 to 7 of a record.
  _Static_assert(kDcsrRecordShiftAt == 1 && kDcsrRecordShiftBits == 4 && kDcsrRecordBiasAt == 5 &&
                     kDcsrRecordBiasBits == 3 && kDcsrRecordFactorMask == 0xFF,
                 "the numbers below");
  const uint32x4_t factor = vbicq_n_u32(record, 0xFF);
  const uint32x4_t others = veorq_u32(record, factor);
  uint32x4_t multiplier = vmulhq_u32(factor, vdupq_n_u32(head->ratio));
  multiplier = vaddq_n_u32(multiplier, (uint32_t)head->first_multiplier);
  multiplier = vaddq_u32(multiplier, vbicq_n_u32(others, 0xFE));
  const uint32x4_t shift = vshrq_n_u32(vbicq_n_u32(others, 0xE0), 1);
  const uint32x4_t bias = vsliq_n_u32(vshrq_n_u32(others, 5), bias_high, 3);
  const RowScales scales = {
      vreinterpretq_s32_u32(vaddq_n_u32(bias, (uint32_t)head->first_bias)),
      vreinterpretq_s32_u32(multiplier),
      vaddq_n_s32(vreinterpretq_s32_u32(shift), head->first_shift),
  };
  return scales;
}

// Requantizes up to four rows for `pixels` pixels. Shifts may have any sign.
DCSR_NOINLINE static void requantize_any_four_rows(const DcsrLayer* layer, const int32_t* bias,
                                                   const int32_t* multiplier, const int8_t* shift,
                                                   uint32_t count, const int32_t* sums,
                                                   uint32_t pixels, int8_t* output) {
  const mve_pred16_t lanes = vctp32q(count);
  const RowScales scales = {vldrwq_z_s32(bias, lanes), vldrwq_z_s32(multiplier, lanes),
                            vldrbq_z_s32(shift, lanes)};
  const uint32x4_t row_offset = vmulq_n_u32(vidupq_n_u32(0, 1), pixels);
  const int32x4_t zero = vdupq_n_s32(0);
  const int32x4_t left = vmaxq_s32(scales.shift, zero);
  const int32x4_t right = vminq_s32(scales.shift, zero);
  const int32x4_t min = vdupq_n_s32(layer->activation_min);
  const int32x4_t max = vdupq_n_s32(layer->activation_max);
  for (const int32_t* end = sums + pixels; sums != end; ++sums) {
    int32x4_t sum = vldrwq_gather_shifted_offset_s32(sums, row_offset);
    sum = vshlq_s32(vaddq_s32(sum, scales.bias), left);
    // VQRDMULH doubles, multiplies, rounds and takes the upper half, which is h of the arithmetic.
    // Multipliers are not negative, so it never saturates.
    const int32x4_t high = vqrdmulhq_s32(sum, scales.multiplier);
    // VRSHL rounds halves up. Halves of negative numbers have to round away from zero, so 1 is
    // subtracted first, unless there is no shift to the right.
    const int32x4_t nudge = vshrq_n_s32(vandq_s32(high, right), 31);
    int32x4_t result = vrshlq_s32(vaddq_s32(high, nudge), right);
    result = vaddq_n_s32(result, layer->output_zero_point);
    vstrbq_p_s32(output, vminq_s32(vmaxq_s32(result, min), max), lanes);
    output += layer->rows;
  }
}

// Requantizes `count` rows for `pixels` pixels, all of whose shifts are below 0, that is, to the
// right. Four rows are a vector.
//
// The shift is a multiplication by 2^(31 + shift), as VQRDMULH computes (2 * h * 2^(31 + shift) +
// 2^31) >> 32, which is h * 2^shift with halves rounded up. Halves of negative numbers have to
// round away from zero, so 1 is subtracted first: VQDMLAH by 1 adds (2 * h) >> 32, which is -1 or
// 0. It saturates for h = -2^31, which is not a half.
//
// Each iteration ends the computation of a pixel in `current` and begins that of the next one in
// `next`, so that multiplications (M) and integer instructions (I) alternate, and none waits for
// its operands. L: loads and stores.
DCSR_NOINLINE static void requantize_right_rows(const DcsrLayer* layer, const int32_t* bias,
                                                const int32_t* multiplier, const int8_t* shift,
                                                uint32_t count, const int32_t* sums,
                                                uint32_t pixels, int8_t* output) {
  // Addresses of the sums of the pixel before.
  uint32x4_t address = vmulq_n_u32(vidupq_n_u32(0, 4), pixels);
  address = vaddq_n_u32(address, (uint32_t)(uintptr_t)sums - (uint32_t)sizeof(*sums));
  const int32x4_t min = vdupq_n_s32(layer->activation_min);
  const int32x4_t max = vdupq_n_s32(layer->activation_max);
  int8_t* pixel = output - layer->rows;
  for (;;) {
    int32x4_t current;
    int32x4_t next;
    int32x4_t biases;
    int32x4_t multipliers;
    int32x4_t factors;
    int8_t* last = pixel;
    _Static_assert(sizeof(*sums) == 4, "the number in the assembly");
    __asm__ volatile(
        "vldrw.u32 %q[next], [%q[address], #4]!\n"
        "vctp.32 %[count]\n"
        "vmov.i32 %q[current], #0x80000000\n"
        "vpsttt\n"
        "vldrbt.s32 %q[factors], [%[shift]], #4\n"            // L
        "vldrwt.u32 %q[biases], [%[bias]], #16\n"             // L
        "vldrwt.u32 %q[multipliers], [%[multiplier]], #16\n"  // L
        "vadd.i32 %q[next], %q[next], %q[biases]\n"
        "vqrdmulh.s32 %q[next], %q[next], %q[multipliers]\n"
        "vshl.u32 %q[factors], %q[current], %q[factors]\n"
        "vqdmlah.s32 %q[next], %q[next], %[one]\n"
        "wls lr, %[more], 2f\n"
        ".p2align 2\n"
        "1:\n"
        "vqrdmulh.s32 %q[current], %q[next], %q[factors]\n"   // M
        "vldrw.u32 %q[next], [%q[address], #4]!\n"            // L
        "vadd.i32 %q[current], %q[current], %[zero_point]\n"  // I
        "add.w %[pixel], %[pixel], %[rows]\n"
        "vadd.i32 %q[next], %q[next], %q[biases]\n"           // I
        "vqrdmulh.s32 %q[next], %q[next], %q[multipliers]\n"  // M
        "vmax.s32 %q[current], %q[current], %q[min]\n"        // I
        "vqdmlah.s32 %q[next], %q[next], %[one]\n"            // M
        "vpstt\n"
        "vmint.s32 %q[current], %q[current], %q[max]\n"  // I
        "vstrbt.32 %q[current], [%[pixel]]\n"            // L
        "le lr, 1b\n"
        "2:\n"
        "vqrdmulh.s32 %q[current], %q[next], %q[factors]\n"
        "add.w %[pixel], %[pixel], %[rows]\n"
        "vadd.i32 %q[current], %q[current], %[zero_point]\n"
        "vmax.s32 %q[current], %q[current], %q[min]\n"
        "vpstt\n"
        "vmint.s32 %q[current], %q[current], %q[max]\n"
        "vstrbt.32 %q[current], [%[pixel]]\n"
        : [current] "=&w"(current), [next] "=&w"(next), [address] "+w"(address),
          [biases] "=&w"(biases), [multipliers] "=&w"(multipliers), [factors] "=&w"(factors),
          [bias] "+r"(bias), [multiplier] "+r"(multiplier), [shift] "+l"(shift), [pixel] "+l"(last)
        : [min] "w"(min), [max] "w"(max), [one] "r"(1), [zero_point] "r"(layer->output_zero_point),
          [rows] "r"(layer->rows), [count] "r"(count), [more] "r"(pixels - 1)
        : "lr", "p0", "memory");
    if (count <= 4) return;
    count -= 4;
    pixel += 4;
    address = vaddq_n_u32(address, 3 * 4 * pixels);
  }
}

// Whether the shifts of up to 16 rows are all to the right, by at least 1.
static inline bool shift_right(const int8_t* shift, uint32_t count) {
  const mve_pred16_t lanes = vctp8q(count);
  return vmaxvq_p_s8(INT8_MIN, vldrbq_z_s8(shift, lanes), lanes) < 0;
}

void dcsr_requantize_rows_mve(const DcsrLayer* layer, uint32_t row, uint32_t count,
                              const int32_t* sums, uint32_t pixels, int8_t* output) {
  int32_t biases[kDcsrMostRequantizedRows];
  int32_t multipliers[kDcsrMostRequantizedRows];
  int8_t shifts[kDcsrMostRequantizedRows];
  const int32_t* bias = biases;
  const int32_t* multiplier = multipliers;
  const int8_t* shift = shifts;
  if (layer->compact_rows != NULL) {
    for (uint32_t r = 0; r < count; r += 4) {
      const RowScales scales = compact_row_scales(layer, row + r, count - r);
      vstrwq_s32(biases + r, scales.bias);
      vstrwq_s32(multipliers + r, scales.multiplier);
      vstrbq_s32(shifts + r, scales.shift);
    }
  } else {
    bias = layer->bias + row;
    if (layer->requantize_stride == 0) {
      const int32x4_t same = vdupq_n_s32(layer->multiplier[0]);
      for (uint32_t r = 0; r < kDcsrMostRequantizedRows; r += 4) vstrwq_s32(multipliers + r, same);
      vstrbq_s8(shifts, vdupq_n_s8(layer->shift[0]));
    } else {
      multiplier = layer->multiplier + row;
      shift = layer->shift + row;
    }
  }
  // All rows at once if they allow it, else four at a time, and again all that are left.
  for (uint32_t part = count;;) {
    if (shift_right(shift, part)) {
      requantize_right_rows(layer, bias, multiplier, shift, part, sums, pixels, output);
    } else if (part > 4) {
      part = 4;
      continue;
    } else {
      requantize_any_four_rows(layer, bias, multiplier, shift, part, sums, pixels, output);
    }
    count -= part;
    if (count == 0) return;
    bias += part;
    multiplier += part;
    shift += part;
    sums += part * pixels;
    output += part;
    part = count;
  }
}

#endif  // DCSR_HAS_MVE
