// The loops of depthwise_columns_dsp.h, in assembly for cores with the DSP extension.
//
// A word of four pixels of a row becomes two words of int16: (x0, x2) and (x1, x3). Then SMLAD
// multiplies the outer two taps of a row of the filter, and another instruction the one between:
//
//   output 0 += (x0, x2) * (w0, w2) + x1 * w1        output 1 += (x1, x3) * (w0, w2) + x2 * w1
//
// A row of pixels is loaded once for the three rows of outputs that it belongs to: it ends the sums
// of the row before, continues those of its own, and begins those of the next one. Two pairs of
// sums change their roles from row to row, so the loop has two rows.
//
// With stride 2 each output has a word of its own, two pixels behind the one before. Every second
// row of pixels continues the sums of a row of outputs. The others end them and begin those of the
// next.

#include "tflm_kernels/scalar/depthwise_columns_dsp.h"

#if defined(__ARM_FEATURE_DSP) && defined(__thumb2__) && !defined(DCSR_NO_ASSEMBLY)

#include <stddef.h>

// Constants that the assembly uses as numbers: offsets from `middle_outer`.
_Static_assert(offsetof(DcsrDepthwiseColumns, middle_outer) == 24, "");
_Static_assert(offsetof(DcsrDepthwiseColumns, end) == 24 + 20, "");
_Static_assert(offsetof(DcsrDepthwiseColumns, last) == 24 + 28, "");
_Static_assert(offsetof(DcsrDepthwiseColumns, bottom) == 24 + 36, "");
_Static_assert(offsetof(DcsrDepthwiseColumns, has_top) == 24 + 48, "");

// r0 columns from `middle_outer` on, r1 pixels, r2-r5 sums, r6 (x0, x2), r7 (x1, x3); r8-r12 and lr
// are loaded twice for each row.
#define LOAD_PIXELS         \
  "ldr r6, [r1]\n"          \
  "sxtb16 r7, r6, ror #8\n" \
  "sxtb16 r6, r6\n"
#define LOAD_LAST "ldmdb r0, {r8-r12, lr}\n"
#define LOAD_OTHERS "ldmia r0, {r8-r12, lr}\n"

// Multiplies the last row of the filter, the middle one or the first one. `begin` is the sum before
// the first product.
#define MULTIPLY_LAST(s0, s1)  \
  "smlad " s0 ", r6, r8, " s0  \
  "\n"                         \
  "smlad " s1 ", r7, r8, " s1  \
  "\n"                         \
  "smlabb " s0 ", r7, r9, " s0 \
  "\n"                         \
  "smlatb " s1 ", r6, r9, " s1 "\n"
#define MULTIPLY_MIDDLE(s0, s1, begin0, begin1) \
  "smlad " s0 ", r6, r8, " begin0               \
  "\n"                                          \
  "smlad " s1 ", r7, r8, " begin1               \
  "\n"                                          \
  "smlabt " s0 ", r7, r10, " s0                 \
  "\n"                                          \
  "smlatt " s1 ", r6, r10, " s1 "\n"
#define MULTIPLY_FIRST(s0, s1)  \
  "smlad " s0                   \
  ", r6, r9, r11\n"             \
  "smlad " s1                   \
  ", r7, r9, r11\n"             \
  "smlabb " s0 ", r7, r10, " s0 \
  "\n"                          \
  "smlatb " s1 ", r6, r10, " s1 "\n"

// r10 multiplier, r11 offset, r12 shift.
#define SCALE_CLAMPED(sum) \
  "smmlar " sum ", " sum   \
  ", r10, r11\n"           \
  "asr " sum ", " sum      \
  ", r12\n"                \
  "ssat " sum ", #8, " sum "\n"
// The same with the correction of halves.
#define SCALE_HALVES(sum) \
  "add r8, r11, " sum     \
  ", asr #31\n"           \
  "smmlar " sum ", " sum  \
  ", r10, r8\n"           \
  "asr " sum ", " sum     \
  ", r12\n"               \
  "ssat " sum ", #8, " sum "\n"

#define STORE(s0, s1) \
  "bfi " s0 ", " s1   \
  ", #8, #8\n"        \
  "strh " s0 ", [r1, lr]\n"

#define NEXT_ROW  \
  "add r1, r12\n" \
  "cmp r1, lr\n"

// Ends the sums e0 and e1, which then hold those of the next row.
#define ROW(scale, e0, e1, m0, m1)                                              \
  LOAD_PIXELS LOAD_LAST MULTIPLY_LAST(e0, e1) scale(e0) scale(e1) STORE(e0, e1) \
      LOAD_OTHERS MULTIPLY_MIDDLE(m0, m1, m0, m1) MULTIPLY_FIRST(e0, e1) NEXT_ROW

#define COLUMNS(scale) \
  __asm__ volatile(                                               \
      ".syntax unified\n"                                         \
      "push {r4-r11, lr}\n"                                       \
      "adds r0, #24\n"                                            \
      "ldr r1, [r0, #24]\n"                                       \
      "1:\n" /* next strip: the first row, below the padding */   \
      LOAD_PIXELS LOAD_OTHERS                                     \
      "ldr r2, [r0, #32]\n"                                       \
      MULTIPLY_MIDDLE("r4", "r5", "r2", "r2")                     \
      MULTIPLY_FIRST("r2", "r3") NEXT_ROW                         \
      "beq 3f\n"                                                  \
      "2:\n" /* next two rows */                                  \
      ROW(scale, "r4", "r5", "r2", "r3")                          \
      "beq 4f\n"                                                  \
      ROW(scale, "r2", "r3", "r4", "r5")                          \
      "bne 2b\n"                                                  \
      "3:\n"                                                      \
      "mov r2, r4\n"                                              \
      "mov r3, r5\n"                                              \
      "4:\n" /* the last row, above the padding */                \
      LOAD_LAST                                                   \
      "ldr r6, [r0, #36]\n"                                       \
      "add r2, r6\n"                                              \
      "add r3, r6\n"                                              \
      scale("r2") scale("r3") STORE("r2", "r3")                   \
      "ldrd r6, r1, [r0, #20]\n"                                  \
      "adds r6, #2\n"                                             \
      "adds r1, #2\n"                                             \
      "strd r6, r1, [r0, #20]\n"                                  \
      "ldr r6, [r0, #28]\n"                                       \
      "cmp r1, r6\n"                                              \
      "bne 1b\n"                                                  \
      "pop {r4-r11, pc}\n")

__attribute__((naked, noinline)) void dcsr_depthwise_columns_clamped(DcsrDepthwiseColumns* columns
                                                                     __attribute__((unused))) {
  COLUMNS(SCALE_CLAMPED);
}

__attribute__((naked, noinline)) void dcsr_depthwise_columns_halves(DcsrDepthwiseColumns* columns
                                                                    __attribute__((unused))) {
  COLUMNS(SCALE_HALVES);
}

// The same for stride 2: r2 and r3 sums, r4 and r5 the words of output 0, r6 and r7 of output 1.
#define LOAD_PIXELS_2       \
  "ldr r4, [r1]\n"          \
  "ldr r6, [r1, #2]\n"      \
  "sxtb16 r5, r4, ror #8\n" \
  "sxtb16 r4, r4\n"         \
  "sxtb16 r7, r6, ror #8\n" \
  "sxtb16 r6, r6\n"
#define MULTIPLY_LAST_2     \
  "smlad r2, r4, r8, r2\n"  \
  "smlad r3, r6, r8, r3\n"  \
  "smlabb r2, r5, r9, r2\n" \
  "smlabb r3, r7, r9, r3\n"
#define MULTIPLY_MIDDLE_2    \
  "smlad r2, r4, r8, r2\n"   \
  "smlad r3, r6, r8, r3\n"   \
  "smlabt r2, r5, r10, r2\n" \
  "smlabt r3, r7, r10, r3\n"
#define MULTIPLY_FIRST_2     \
  "smlad r2, r4, r9, r11\n"  \
  "smlad r3, r6, r9, r11\n"  \
  "smlabb r2, r5, r10, r2\n" \
  "smlabb r3, r7, r10, r3\n"
#define STORE_2          \
  "bfi r2, r3, #8, #8\n" \
  "strh r2, [lr]\n"

#define COLUMNS_STRIDE_2(scale)                                                 \
  __asm__ volatile(                                                             \
      ".syntax unified\n"                                                       \
      "push {r4-r11, lr}\n"                                                     \
      "adds r0, #24\n"                                                          \
      "1:\n" /* next strip */                                                   \
      "ldrd r3, r4, [r0, #44]\n"                                                \
      "str r3, [r0, #-4]\n"                                                     \
      "ldr r1, [r0, #24]\n"                                                     \
      "ldr r2, [r0, #32]\n"                                                     \
      "mov r3, r2\n" LOAD_OTHERS "cbnz r4, 2f\n" LOAD_PIXELS_2 MULTIPLY_FIRST_2 \
      "add r1, r12\n"                                                           \
      "2:\n" /* the middle row of the filter */                                 \
      LOAD_PIXELS_2 MULTIPLY_MIDDLE_2 NEXT_ROW                                  \
      "beq 3f\n" /* the last row of one output, the first one of the next */    \
      LOAD_PIXELS_2 LOAD_LAST MULTIPLY_LAST_2 scale("r2") scale("r3") STORE_2   \
      "ldr r8, [r0, #40]\n"                                                     \
      "add lr, r8\n"                                                            \
      "str lr, [r0, #-4]\n" LOAD_OTHERS MULTIPLY_FIRST_2                        \
      "add r1, r12\n"                                                           \
      "b 2b\n"                                                                  \
      "3:\n" /* the last row, above the padding */                              \
      LOAD_LAST                                                                 \
      "ldr r4, [r0, #36]\n"                                                     \
      "add r2, r4\n"                                                            \
      "add r3, r4\n" scale("r2") scale("r3") STORE_2                            \
      "ldrd r4, r5, [r0, #20]\n"                                                \
      "adds r4, #4\n"                                                           \
      "adds r5, #4\n"                                                           \
      "strd r4, r5, [r0, #20]\n"                                                \
      "ldr r6, [r0, #44]\n"                                                     \
      "adds r6, #2\n"                                                           \
      "str r6, [r0, #44]\n"                                                     \
      "ldr r6, [r0, #28]\n"                                                     \
      "cmp r5, r6\n"                                                            \
      "bne 1b\n"                                                                \
      "pop {r4-r11, pc}\n")

__attribute__((naked,
               noinline)) void dcsr_depthwise_columns_stride_2_clamped(DcsrDepthwiseColumns* columns
                                                                       __attribute__((unused))) {
  COLUMNS_STRIDE_2(SCALE_CLAMPED);
}

__attribute__((naked, noinline)) void dcsr_depthwise_columns_stride_2_halves(
    DcsrDepthwiseColumns* columns __attribute__((unused))) {
  COLUMNS_STRIDE_2(SCALE_HALVES);
}

#else

#include <stdbool.h>

#include "tflm_kernels/common/dsp.h"
#include "tflm_kernels/common/row_scale.h"

// Returns the sum of output 0 or 1 with the products of a row of the filter.
static uint32_t multiply(const int8_t* pixels, uint32_t output, uint32_t outer, uint32_t center,
                         uint32_t sum) {
  const uint32_t word = dcsr_dsp_load(pixels);
  const uint32_t even = dcsr_dsp_even(word);
  const uint32_t odd = dcsr_dsp_odd(word);
  const int32_t between = output == 0 ? (int16_t)odd : (int16_t)(even >> 16);
  return dcsr_dsp_smlad(output == 0 ? even : odd, outer, sum) +
         (uint32_t)(between * (int16_t)center);
}

static void store(const DcsrDepthwiseColumns* columns, uint32_t doubled, bool halves,
                  int8_t* output) {
  const int32_t sum = (int32_t)doubled;
  const int32_t scaled = dcsr_multiply_high_add(sum, columns->multiplier, columns->offset);
  *output = dcsr_saturate_int8((scaled + (halves ? sum >> 31 : 0)) >> columns->right);
}

// Computes column `number` of a strip.
static void run_column(const DcsrDepthwiseColumns* columns, uint32_t number, bool halves) {
  const uint32_t middle_center = columns->centers >> 16;
  const int8_t* pixels = columns->start;
  uint32_t own = multiply(pixels, number, columns->middle_outer, middle_center, columns->top);
  uint32_t next = multiply(pixels, number, columns->first_outer, columns->centers, columns->sum);
  for (pixels += columns->pitch; pixels != columns->end; pixels += columns->pitch) {
    int8_t* output = (int8_t*)((intptr_t)pixels + columns->delta) + number;
    store(columns, multiply(pixels, number, columns->last_outer, columns->last_center, own), halves,
          output);
    own = multiply(pixels, number, columns->middle_outer, middle_center, next);
    next = multiply(pixels, number, columns->first_outer, columns->centers, columns->sum);
  }
  store(columns, own + columns->bottom, halves,
        (int8_t*)((intptr_t)pixels + columns->delta) + number);
}

static void run(DcsrDepthwiseColumns* columns, bool halves) {
  while (columns->start != columns->last) {
    run_column(columns, 0, halves);
    run_column(columns, 1, halves);
    columns->start += 2;
    columns->end += 2;
  }
}

void dcsr_depthwise_columns_clamped(DcsrDepthwiseColumns* columns) { run(columns, false); }

void dcsr_depthwise_columns_halves(DcsrDepthwiseColumns* columns) { run(columns, true); }

// Returns the sum of an output with the products of a row of the filter.
static uint32_t multiply_wide(const int8_t* pixels, uint32_t output, uint32_t outer,
                              uint32_t center, uint32_t sum) {
  return multiply(pixels + 2 * output, 0, outer, center, sum);
}

static void run_column_of_stride_2(const DcsrDepthwiseColumns* columns, uint32_t number,
                                   bool halves) {
  const uint32_t middle_center = columns->centers >> 16;
  const int8_t* pixels = columns->start;
  int8_t* output = columns->output + number;
  uint32_t sum = columns->top;
  if (columns->has_top == 0) {
    sum = multiply_wide(pixels, number, columns->first_outer, columns->centers, columns->sum);
    pixels += columns->pitch;
  }
  for (;;) {
    sum = multiply_wide(pixels, number, columns->middle_outer, middle_center, sum);
    pixels += columns->pitch;
    if (pixels == columns->end) break;
    sum = multiply_wide(pixels, number, columns->last_outer, columns->last_center, sum);
    store(columns, sum, halves, output);
    output += columns->output_pitch;
    sum = multiply_wide(pixels, number, columns->first_outer, columns->centers, columns->sum);
    pixels += columns->pitch;
  }
  store(columns, sum + columns->bottom, halves, output);
}

static void run_stride_2(DcsrDepthwiseColumns* columns, bool halves) {
  while (columns->start != columns->last) {
    run_column_of_stride_2(columns, 0, halves);
    run_column_of_stride_2(columns, 1, halves);
    columns->start += 4;
    columns->end += 4;
    columns->output += 2;
  }
}

void dcsr_depthwise_columns_stride_2_clamped(DcsrDepthwiseColumns* columns) {
  run_stride_2(columns, false);
}

void dcsr_depthwise_columns_stride_2_halves(DcsrDepthwiseColumns* columns) {
  run_stride_2(columns, true);
}

#endif
