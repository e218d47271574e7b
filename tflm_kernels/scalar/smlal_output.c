// The loops of smlal_output.h: a pair of pixels at a time, or two pairs in assembly for cores with
// the DSP extension, where GCC runs out of registers.

#include "tflm_kernels/scalar/smlal_output.h"

#include <stdbool.h>

#include "tflm_kernels/common/row_scale.h"

#if defined(__ARM_FEATURE_DSP) && defined(__thumb2__) && !defined(DCSR_NO_ASSEMBLY)

_Static_assert(sizeof(DcsrSmlalRow) == 24, "the loops load six words");

// Makes twice the sums, with bias, of a pair. r6 odd_start, r7 even_start.
#define DOUBLED_SUMS(low, high)  \
  "lsl " high ", " high          \
  ", #9\n"                       \
  "orr " high ", " high ", " low \
  ", lsr #23\n"                  \
  "add " high ", r6, " high      \
  ", lsl #1\n"                   \
  "lsl " low ", " low            \
  ", #9\n"                       \
  "add " low ", r7, " low ", lsr #8\n"

// r3 multiplier, r4 offset, r5 shift.
#define SCALE_CLAMPED(sum) \
  "smmlar " sum ", " sum   \
  ", r3, r4\n"             \
  "asr " sum ", " sum      \
  ", r5\n"                 \
  "ssat " sum ", #8, " sum "\n"

// The same with the correction of halves.
#define SCALE_HALVES(sum) \
  "add lr, r4, " sum      \
  ", asr #31\n"           \
  "smmlar " sum ", " sum  \
  ", r3, lr\n"            \
  "asr " sum ", " sum     \
  ", r5\n"                \
  "ssat " sum ", #8, " sum "\n"

// Arguments: r0 sums, r1 their end, r2 output, r3 DcsrSmlalRow. r8 step, r9-r12 two pairs.
#define REQUANTIZE_QUADS(scale) \
  __asm__ volatile(".syntax unified\n"                                \
                   "push {r4-r11, lr}\n"                              \
                   "ldmia r3, {r3-r8}\n"                              \
                   "1:\n"                                             \
                   "ldmia r0!, {r9-r12}\n"                            \
                   DOUBLED_SUMS("r9", "r10") DOUBLED_SUMS("r11", "r12") \
                   scale("r9") scale("r10") scale("r11") scale("r12") \
                   "strb r9, [r2]\n"                                  \
                   "strb r10, [r2, r8]\n"                             \
                   "add r2, r2, r8, lsl #1\n"                         \
                   "strb r11, [r2]\n"                                 \
                   "strb r12, [r2, r8]\n"                             \
                   "add r2, r2, r8, lsl #1\n"                         \
                   "cmp r0, r1\n"                                     \
                   "bne 1b\n"                                         \
                   "pop {r4-r11, pc}\n")

#define UNUSED __attribute__((unused))

__attribute__((naked, noinline)) void dcsr_smlal_requantize_clamped(
    const uint32_t* sums UNUSED, const uint32_t* end UNUSED, int8_t* output UNUSED,
    const DcsrSmlalRow* row UNUSED) {
  REQUANTIZE_QUADS(SCALE_CLAMPED);
}

__attribute__((naked, noinline)) void dcsr_smlal_requantize_halves(const uint32_t* sums UNUSED,
                                                                   const uint32_t* end UNUSED,
                                                                   int8_t* output UNUSED,
                                                                   const DcsrSmlalRow* row UNUSED) {
  REQUANTIZE_QUADS(SCALE_HALVES);
}

#else

// `halves` is a constant: its value makes two loops.
static inline void requantize(const uint32_t* sums, const uint32_t* end, int8_t* output,
                              const DcsrSmlalRow* row, bool halves) {
  DcsrRowScale scale;
  scale.multiplier = row->multiplier;
  scale.offset = row->offset;
  scale.right = row->right;
  const uint32_t odd_start = row->odd_start;
  const uint32_t even_start = row->even_start;
  const uint32_t step = row->step;
  for (; sums != end; sums += 2) {
    *output =
        dcsr_scale_doubled_full(&scale, even_start + (dcsr_smlal_even_sum(sums) << 1), halves);
    output += step;
    *output = dcsr_scale_doubled_full(&scale, odd_start + (dcsr_smlal_odd_sum(sums) << 1), halves);
    output += step;
  }
}

void dcsr_smlal_requantize_clamped(const uint32_t* sums, const uint32_t* end, int8_t* output,
                                   const DcsrSmlalRow* row) {
  requantize(sums, end, output, row, false);
}

void dcsr_smlal_requantize_halves(const uint32_t* sums, const uint32_t* end, int8_t* output,
                                  const DcsrSmlalRow* row) {
  requantize(sums, end, output, row, true);
}

#endif
