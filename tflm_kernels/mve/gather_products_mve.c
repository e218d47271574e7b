// Products of offset groups with up to five pixels by gathers, with MVE (Cortex-M55, M85).
//
// Input:   a run, or rows, of offset groups; up to five evenly spaced pixels, int8.
// Output:  int32 sums [row][pixel].
// Scratch: none.
// Cycles:  3 * pixels + 4 instructions per group (docs/kernels.md#few-pixels-with-mve).
//
// Each iteration of a tail-predicated loop multiplies one group. It loads the offsets and weights
// once, then gathers and multiplies 16 activations for each pixel. Lanes past the last element are
// predicated: nothing is gathered for them. The sum of each pixel is in an even register, as
// VMLADAVA requires. A pixel's address is the address of the previous pixel plus the stride.

#include "tflm_kernels/mve/gather_products_mve.h"

#include "tflm_kernels/common/compiler.h"

#if DCSR_HAS_MVE

#include "tflm_kernels/format/row_reader.h"

// Constants and layouts that the assembly uses as numbers.
_Static_assert(kDcsrGroupLanes == 16 && kDcsrStepBytes == 2 && kDcsrStepShift == 4, "");
_Static_assert(offsetof(DcsrOffsetRun, elements) == 12, "");
_Static_assert(offsetof(DcsrIndexRows, lengths) == 12, "");
_Static_assert(offsetof(DcsrGatherPixels, x) == 4, "");
_Static_assert(offsetof(DcsrGatherPixels, sum_stride) == 8, "");

// r0, r2, r4, r6, r8: sums; r1, r3, r5: index, offset, weight; r10: stride; r11: address of the
// base's column, or x; r9: the same for a further pixel; r12: address of the sums; r7: address of
// the next row's length.

// Reads the base, step or descriptor and the weights of a group. A vector load takes the load pipe
// for 2 cycles, so a scalar instruction stands behind it. Instructions of 2 bytes would move those
// after them off the 4 bytes boundary, hence ADD.W.
#define DCSR_NEXT_BASE       \
  "ldr r9, [r1], #4\n"       \
  "vldrb.u8 q1, [r5], #16\n" \
  "add.w r9, r9, r11\n"
#define DCSR_NEXT_STEP       \
  "ldrh r9, [r1], #2\n"      \
  "vldrb.u8 q1, [r5], #16\n" \
  "add.w r11, r11, r9\n"
#define DCSR_NEXT_DESCRIPTOR \
  "ldrsh r9, [r1], #2\n"     \
  "vldrb.u8 q1, [r5], #16\n" \
  "add.w r11, r11, r9, asr #4\n"

#define DCSR_LOAD_OFFSETS "vldrb.u8 q0, [r3], #16\n"
#define DCSR_LOAD_NEXT_OFFSETS "vldrb.u8 q0, [r3, #16]!\n"

// Adds the products of the group. A gather takes the load pipe for 8 cycles or more. The address of
// the next one is computed beside it, and its result is multiplied beside the next one. The last
// result is there a cycle after the load pipe is free, which is when `between` issues.
#define DCSR_GATHER_FIRST(first) "vldrb.u8 q2, [" first ", q0]\n"
#define DCSR_GATHER_NEXT(before, result, sum, last) \
  "add.w r9, " before                               \
  ", r10\n"                                         \
  "vldrb.u8 " result ", [r9, q0]\n" DCSR_MULTIPLY(sum, last)
#define DCSR_MULTIPLY(sum, result) "vmladava.s8 " sum ", " result ", q1\n"
#define DCSR_GATHERED_2(first) DCSR_GATHER_FIRST(first) DCSR_GATHER_NEXT(first, "q3", "r0", "q2")
#define DCSR_GATHERED_3(first) DCSR_GATHERED_2(first) DCSR_GATHER_NEXT("r9", "q2", "r2", "q3")
#define DCSR_GATHERED_4(first) DCSR_GATHERED_3(first) DCSR_GATHER_NEXT("r9", "q3", "r4", "q2")
#define DCSR_GATHERED_5(first) DCSR_GATHERED_4(first) DCSR_GATHER_NEXT("r9", "q2", "r6", "q3")
#define DCSR_GATHER_1(first, between) DCSR_GATHER_FIRST(first) between DCSR_MULTIPLY("r0", "q2")
#define DCSR_GATHER_2(first, between) DCSR_GATHERED_2(first) between DCSR_MULTIPLY("r2", "q3")
#define DCSR_GATHER_3(first, between) DCSR_GATHERED_3(first) between DCSR_MULTIPLY("r4", "q2")
#define DCSR_GATHER_4(first, between) DCSR_GATHERED_4(first) between DCSR_MULTIPLY("r6", "q3")
#define DCSR_GATHER_5(first, between) DCSR_GATHERED_5(first) between DCSR_MULTIPLY("r8", "q2")

// Sets the sums to 0. Two instructions of 2 bytes may share a cycle.
#define DCSR_ZERO_1 "mov.w r0, #0\n"
#define DCSR_ZERO_2 \
  "movs r0, #0\n"   \
  "movs r2, #0\n"
#define DCSR_ZERO_3 \
  "movs r0, #0\n"   \
  "movs r2, #0\n"   \
  "mov.w r4, #0\n"
#define DCSR_ZERO_4 \
  "movs r0, #0\n"   \
  "movs r2, #0\n"   \
  "movs r4, #0\n"   \
  "movs r6, #0\n"
#define DCSR_ZERO_5 \
  "movs r0, #0\n"   \
  "movs r2, #0\n"   \
  "movs r4, #0\n"   \
  "movs r6, #0\n"   \
  "mov.w r8, #0\n"

// LDM and STM need at least two registers.
#define DCSR_LOAD_1(base) "ldr.w r0, [" base "]\n"
#define DCSR_LOAD_2(base) "ldm " base ", {r0, r2}\n"
#define DCSR_LOAD_3(base) "ldm " base ", {r0, r2, r4}\n"
#define DCSR_LOAD_4(base) "ldm " base ", {r0, r2, r4, r6}\n"
#define DCSR_LOAD_5(base) "ldm " base ", {r0, r2, r4, r6, r8}\n"
#define DCSR_STORE_1 "str r0, [r12]\n"
#define DCSR_STORE_2 "stm r12, {r0, r2}\n"
#define DCSR_STORE_3 "stm r12, {r0, r2, r4}\n"
#define DCSR_STORE_4 "stm r12, {r0, r2, r4, r6}\n"
#define DCSR_STORE_5 "stm r12, {r0, r2, r4, r6, r8}\n"

// Naked functions: their parameters are in r0 to r3.
#define DCSR_RUN_PRODUCT(count)                                                              \
  __attribute__((naked)) static void run_product_##count(                                    \
      const DcsrOffsetRun* run __attribute__((unused)),                                      \
      const DcsrGatherPixels* pixels __attribute__((unused)),                                \
      const int32_t* start __attribute__((unused)), int32_t* sums __attribute__((unused))) { \
    __asm__ volatile(".p2align 2\n"                                       \
                     "push {r4, r5, r6, r8, r9, r10, r11, lr}\n"          \
                     "mov.w r12, r3\n"                                    \
                     "ldrd r10, r11, [r1]\n"                              \
                     "ldm r0, {r1, r3, r5, lr}\n"                         \
                     DCSR_LOAD_##count("r2")                              \
                     "dlstp.8 lr, lr\n"                                   \
                     "1:\n"                                               \
                     DCSR_LOAD_OFFSETS                                    \
                     DCSR_NEXT_BASE DCSR_GATHER_##count("r9", "")         \
                     "letp lr, 1b\n"                                      \
                     DCSR_STORE_##count                                   \
                     "pop {r4, r5, r6, r8, r9, r10, r11, pc}\n");                  \
  }

// Stack: rows, end, sum_stride, x. `first` is the register with the address of the base's column in
// the first pixel.
//
// A gather waits until 4 cycles after the load of its offsets. So the offsets of a group are loaded
// at the end of the group before it, and those of the first group before the loop. These loads
// reach up to 16 bytes past the end of the offsets.
//
// The last group of a row advances r3 and r5 by 16 even if it is partial. Afterwards lr is the
// number of its elements, modulo 16, and both are moved back.
#define DCSR_ROWS_PRODUCT(name, next, first, count)                                         \
  __attribute__((naked)) static void name##_##count(                                        \
      DcsrIndexRows* rows __attribute__((unused)),                                          \
      const DcsrGatherPixels* pixels __attribute__((unused)),                               \
      const uint32_t* end __attribute__((unused)), int32_t* sums __attribute__((unused))) { \
    __asm__ volatile("push {r4, r5, r6, r7, r8, r9, r10, r11, lr}\n"   \
                     "mov r12, r3\n"                                   \
                     "ldm r1, {r10, r11}\n"                            \
                     "ldr r4, [r1, #8]\n"                              \
                     "push {r0, r2, r4, r11}\n"                        \
                     "ldm r0, {r1, r3, r5, r7}\n"                      \
                     ".p2align 2\n"                                    \
                     "1:\n"                                            \
                     "ldr lr, [r7], #4\n"                              \
                     "vldrb.u8 q0, [r3]\n"                             \
                     DCSR_ZERO_##count                                 \
                     "ldr.w r11, [sp, #12]\n"                          \
                     "wlstp.8 lr, lr, 3f\n"                            \
                     "2:\n"                                            \
                     next DCSR_GATHER_##count(first, DCSR_LOAD_NEXT_OFFSETS) \
                     "letp lr, 2b\n"                                   \
                     "3:\n"                                            \
                     "rsb r9, lr, #0\n"                                \
                     "ldrd lr, r11, [sp, #4]\n"                        \
                     DCSR_STORE_##count                                \
                     "add.w r12, r12, r11\n"                           \
                     "and r9, r9, #15\n"                               \
                     "sub.w r3, r3, r9\n"                              \
                     "sub.w r5, r5, r9\n"                              \
                     "cmp r7, lr\n"                                    \
                     "bne 1b\n"                                        \
                     "ldr r0, [sp]\n"                                  \
                     "stm r0, {r1, r3, r5}\n"                          \
                     "add sp, sp, #16\n"                               \
                     "pop {r4, r5, r6, r7, r8, r9, r10, r11, pc}\n");                    \
  }

#define DCSR_PRODUCTS(count)                                         \
  DCSR_RUN_PRODUCT(count)                                            \
  DCSR_ROWS_PRODUCT(base_rows_product, DCSR_NEXT_BASE, "r9", count)  \
  DCSR_ROWS_PRODUCT(step_rows_product, DCSR_NEXT_STEP, "r11", count) \
  DCSR_ROWS_PRODUCT(descriptor_rows_product, DCSR_NEXT_DESCRIPTOR, "r11", count)

DCSR_PRODUCTS(1)
DCSR_PRODUCTS(2)
DCSR_PRODUCTS(3)
DCSR_PRODUCTS(4)
DCSR_PRODUCTS(5)

DcsrRunProduct* const kDcsrRunProducts[kDcsrGatherPixels] = {
    run_product_1, run_product_2, run_product_3, run_product_4, run_product_5};
DcsrRowsProduct* const kDcsrBaseRowsProducts[kDcsrGatherPixels] = {
    base_rows_product_1, base_rows_product_2, base_rows_product_3, base_rows_product_4,
    base_rows_product_5};
DcsrRowsProduct* const kDcsrStepRowsProducts[kDcsrGatherPixels] = {
    step_rows_product_1, step_rows_product_2, step_rows_product_3, step_rows_product_4,
    step_rows_product_5};
DcsrRowsProduct* const kDcsrDescriptorRowsProducts[kDcsrGatherPixels] = {
    descriptor_rows_product_1, descriptor_rows_product_2, descriptor_rows_product_3,
    descriptor_rows_product_4, descriptor_rows_product_5};

#endif  // DCSR_HAS_MVE
