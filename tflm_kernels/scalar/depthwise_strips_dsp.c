// The inner loops of depthwise_conv2d_dense_dsp in assembly (depthwise_strips_dsp.h).
//
// A loop computes two columns of two rows: e0 and e1 of the even row, o0 and o1 of the odd row. A
// word x of a plane has the pixels of two rows, so that one SMLAD multiplies two taps of a column
// of the filter. Which taps of a pair of weights meet which row depends on the pair row. 3x3,
// stride 1:
//
//   pair row 0   x = (row 0, row 1)   e += x * (w0, w1)            o += x.high * w0
//   pair row 1   x = (row 2, row 3)   e += x.low * w2              o += x * (w1, w2)
//
// Twelve registers hold four sums, weights and words, so each word that is loaded serves up to six
// products, and no register is left for the rest: it is loaded from the strip for each step.

#include "tflm_kernels/scalar/depthwise_strips_dsp.h"

#if DCSR_HAS_DEPTHWISE_STRIPS

#include <stddef.h>

// Constants that the assembly uses as numbers: offsets from `sums`.
#define OFFSET_FROM_SUMS(field) \
  ((int)offsetof(DcsrDepthwiseStrip, field) - (int)offsetof(DcsrDepthwiseStrip, sums))
_Static_assert(OFFSET_FROM_SUMS(is_odd) == -32 && OFFSET_FROM_SUMS(multiplier) == -28, "");
_Static_assert(OFFSET_FROM_SUMS(output) == -16 && OFFSET_FROM_SUMS(end) == -4, "");
_Static_assert(OFFSET_FROM_SUMS(pitch) == 16 && OFFSET_FROM_SUMS(weights) == 20, "");

// r0 words, r1 strip, r2-r5 sums e0, e1, o0, o1, r6 pitch; the others are words and weights.
#define E0 "r2"
#define E1 "r3"
#define O0 "r4"
#define O1 "r5"
#define MULTIPLY(sum, x, w) "smlad " sum ", " x ", " w ", " sum "\n"
#define MULTIPLY_HIGH_LOW(sum, x, w) "smlatb " sum ", " x ", " w ", " sum "\n"
#define MULTIPLY_LOW_HIGH(sum, x, w) "smlabt " sum ", " x ", " w ", " sum "\n"

#define BEGIN                   \
  ".syntax unified\n"           \
  "push {r4-r11, lr}\n"         \
  "1:\n" /* next two columns */ \
  "ldmia r1!, {r2-r6}\n"

// Requantizes a sum as row_scale.h does. r7 multiplier, r8 offset, r9 shift.
#define REQUANTIZE(sum)  \
  "add r6, r8, " sum     \
  ", asr #31\n"          \
  "smmlar " sum ", " sum \
  ", r7, r6\n"           \
  "asr " sum ", " sum    \
  ", r9\n"               \
  "ssat " sum ", #8, " sum "\n"

// Stores the outputs and continues. `back` are the bytes from the end of the weights to
// `multiplier`, `column` those of a column of words. The odd row is stored first: if there is none,
// its outputs have the addresses of the even row. An odd last column is computed together with the
// one before it, for the second time.
#define END(back, column) \
  "sub r1, #" #back "\n"                                \
  "ldmia r1!, {r7-r12, lr}\n"                           \
  REQUANTIZE(O0) REQUANTIZE(O1) REQUANTIZE(E0) REQUANTIZE(E1) \
  "add r6, r10, r12\n"                                  \
  "strb r4, [r6]\n"                                     \
  "strb r5, [r6, r11]\n"                                \
  "strb r2, [r10]\n"                                    \
  "strb r3, [r10, r11]\n"                               \
  "add r10, r10, r11, lsl #1\n"                         \
  "str r10, [r1, #-16]\n"                               \
  "cmp r0, lr\n"                                        \
  "bne 1b\n"                                            \
  "ldr r7, [r1, #-32]\n"                                \
  "cbz r7, 2f\n"                                        \
  "movs r7, #0\n"                                       \
  "str r7, [r1, #-32]\n"                                \
  "sub r0, #" #column "\n"                              \
  "add lr, #" #column "\n"                              \
  "str lr, [r1, #-4]\n"                                 \
  "sub r10, r11\n"                                      \
  "str r10, [r1, #-16]\n"                               \
  "b 1b\n"                                              \
  "2:\n"                                                \
  "pop {r4-r11, pc}\n"

// 3x3, stride 1. Weights: (w0, w1) of three columns, (w1, w2) of three columns.
__attribute__((naked, noinline)) void dcsr_depthwise_strip_3x3(const uint32_t* x
                                                               __attribute__((unused)),
                                                               uint32_t* sums
                                                               __attribute__((unused))) {
  // r7-r10 words, r11, r12 and lr weights.
  __asm__ volatile(BEGIN
                   "ldmia r0, {r7-r10}\n"
                   "ldmia r1!, {r11, r12, lr}\n"
                   MULTIPLY(E0, "r7", "r11") MULTIPLY(E1, "r8", "r11")
                   MULTIPLY_HIGH_LOW(O0, "r7", "r11") MULTIPLY_HIGH_LOW(O1, "r8", "r11")
                   MULTIPLY(E0, "r8", "r12") MULTIPLY(E1, "r9", "r12")
                   MULTIPLY_HIGH_LOW(O0, "r8", "r12") MULTIPLY_HIGH_LOW(O1, "r9", "r12")
                   MULTIPLY(E0, "r9", "lr") MULTIPLY(E1, "r10", "lr")
                   MULTIPLY_HIGH_LOW(O0, "r9", "lr") MULTIPLY_HIGH_LOW(O1, "r10", "lr")
                   "add r6, r0\n"
                   "adds r0, #8\n"
                   "ldmia r6, {r7-r10}\n"
                   "ldmia r1!, {r11, r12, lr}\n"
                   MULTIPLY_LOW_HIGH(E0, "r7", "r11") MULTIPLY_LOW_HIGH(E1, "r8", "r11")
                   MULTIPLY(O0, "r7", "r11") MULTIPLY(O1, "r8", "r11")
                   MULTIPLY_LOW_HIGH(E0, "r8", "r12") MULTIPLY_LOW_HIGH(E1, "r9", "r12")
                   MULTIPLY(O0, "r8", "r12") MULTIPLY(O1, "r9", "r12")
                   MULTIPLY_LOW_HIGH(E0, "r9", "lr") MULTIPLY_LOW_HIGH(E1, "r10", "lr")
                   MULTIPLY(O0, "r9", "lr") MULTIPLY(O1, "r10", "lr")
                   END(72, 4));
}

// 3x3, stride 2. Weights as above. The first pair row has taps of the even row only, the last of
// the odd row only.
__attribute__((naked, noinline)) void dcsr_depthwise_strip_3x3_stride_2(const uint32_t* x
                                                                        __attribute__((unused)),
                                                                        uint32_t* sums
                                                                        __attribute__((unused))) {
  // r7-r9 words 0 to 2 of five, later 3 and 4 in r7 and r8; r10-r12 weights.
  __asm__ volatile(BEGIN
                   "ldmia r1!, {r10, r11, r12}\n"
                   "ldmia r0!, {r7-r9}\n"
                   MULTIPLY(E0, "r7", "r10") MULTIPLY(E0, "r8", "r11") MULTIPLY(E0, "r9", "r12")
                   "ldmia r0!, {r7, r8}\n"
                   MULTIPLY(E1, "r9", "r10") MULTIPLY(E1, "r7", "r11") MULTIPLY(E1, "r8", "r12")
                   "add r0, r6\n"
                   "ldmia r0!, {r7-r9}\n"
                   MULTIPLY(O0, "r7", "r10") MULTIPLY(O0, "r8", "r11") MULTIPLY(O0, "r9", "r12")
                   "ldmia r0!, {r7, r8}\n"
                   MULTIPLY(O1, "r9", "r10") MULTIPLY(O1, "r7", "r11") MULTIPLY(O1, "r8", "r12")
                   "ldmia r1!, {r10, r11, r12}\n"
                   MULTIPLY_LOW_HIGH(E1, "r9", "r10") MULTIPLY_LOW_HIGH(E1, "r7", "r11")
                   MULTIPLY_LOW_HIGH(E1, "r8", "r12")
                   "ldrd r7, r8, [r0, #-20]\n"
                   MULTIPLY_LOW_HIGH(E0, "r7", "r10") MULTIPLY_LOW_HIGH(E0, "r8", "r11")
                   MULTIPLY_LOW_HIGH(E0, "r9", "r12")
                   "add r0, r6\n"
                   "ldmia r0!, {r7-r9}\n"
                   MULTIPLY_LOW_HIGH(O0, "r7", "r10") MULTIPLY_LOW_HIGH(O0, "r8", "r11")
                   MULTIPLY_LOW_HIGH(O0, "r9", "r12")
                   "ldmia r0!, {r7, r8}\n"
                   MULTIPLY_LOW_HIGH(O1, "r9", "r10") MULTIPLY_LOW_HIGH(O1, "r7", "r11")
                   MULTIPLY_LOW_HIGH(O1, "r8", "r12")
                   "sub r0, r0, r6, lsl #1\n"
                   "subs r0, #44\n"
                   END(72, 8));
}

// The words of a pair row of a 5x5 filter: r7-r9 are words 0 to 2, then r7 and r8 words 3 and 4,
// then r9 is word 5. `step(x0, x1, n)` multiplies column n of the filter with the words of columns
// 0 and 1 of the output, `load0` to `load4` load weights before the columns 0, 2 and 4.
#define PAIR_ROW_5(load0, load2, load4, step, w0, w1, w2, w3, w4)             \
  "ldmia r0!, {r7-r9}\n" load0 step("r7", "r8", w0)                           \
      step("r8", "r9", w1) "ldmia r0!, {r7, r8}\n" load2 step("r9", "r7", w2) \
          step("r7", "r8", w3) "ldr r9, [r0], #4\n" load4 step("r8", "r9", w4)

#define FIRST_5(x0, x1, w) \
  MULTIPLY(E0, x0, w) MULTIPLY(E1, x1, w) MULTIPLY_HIGH_LOW(O0, x0, w) MULTIPLY_HIGH_LOW(O1, x1, w)
// `pair` is A for weights in r10 and r11, B for r12 and lr.
#define MIDDLE_5(x0, x1, pair)  \
  MULTIPLY(E0, x0, EVEN_##pair) \
  MULTIPLY(E1, x1, EVEN_##pair) MULTIPLY(O0, x0, ODD_##pair) MULTIPLY(O1, x1, ODD_##pair)
#define EVEN_A "r10"
#define ODD_A "r11"
#define EVEN_B "r12"
#define ODD_B "lr"
#define LAST_5(x0, x1, w) \
  MULTIPLY_LOW_HIGH(E0, x0, w) MULTIPLY_LOW_HIGH(E1, x1, w) MULTIPLY(O0, x0, w) MULTIPLY(O1, x1, w)

// 5x5, stride 1. Weights: (w0, w1) of five columns; (w2, w3) and (w1, w2) of each of five columns;
// (w3, w4) of five columns.
__attribute__((naked, noinline)) void dcsr_depthwise_strip_5x5(const uint32_t* x
                                                               __attribute__((unused)),
                                                               uint32_t* sums
                                                               __attribute__((unused))) {
  // r7-r9 words, r10-r12 and lr weights.
  __asm__ volatile(BEGIN
                   PAIR_ROW_5("ldmia r1!, {r10-r12, lr}\n", "", "ldr r10, [r1], #4\n", FIRST_5,
                              "r10", "r11", "r12", "lr", "r10")
                   "add r0, r6\n"
                   PAIR_ROW_5("ldmia r1!, {r10-r12, lr}\n", "ldmia r1!, {r10-r12, lr}\n",
                              "ldmia r1!, {r10, r11}\n", MIDDLE_5, A, B, A, B,
                              A)
                   "add r0, r6\n"
                   PAIR_ROW_5("ldmia r1!, {r10-r12, lr}\n", "", "ldr r10, [r1], #4\n", LAST_5,
                              "r10", "r11", "r12", "lr", "r10")
                   "sub r0, r0, r6, lsl #1\n"
                   "subs r0, #64\n"
                   END(128, 4));
}

#endif  // DCSR_HAS_DEPTHWISE_STRIPS
