// Products of a run of offset groups with up to five pixels on cores with MVE (Helium).
//
// One group an iteration of a tail-predicated loop: its offsets and weights are loaded once, then
// for each pixel 16 activations are gathered and multiplied. Lanes behind the last element are
// predicated: nothing is gathered for them. A sum of each pixel is in an even register, as
// VMLADAVA demands, and a pixel's address is that of the one before and the stride.

#include "tflm_kernels/gather_products_mve.h"

#if defined(__ARM_FEATURE_MVE)

// r0, r2, r4, r6, r8: sums; r1, r3, r5: index, offset, weight; r10, r11: stride, x; r9: address of
// the pixel; r12: where the sums go. r7, which compilers may have for a frame, is left alone.
#define DCSR_GATHER_BEGIN(sums)               \
  "push {r4, r5, r6, r8, r9, r10, r11, lr}\n" \
  "mov r12, r3\n"                             \
  "ldrd r10, r11, [r1]\n"                     \
  "ldm r0, {r1, r3, r5, lr}\n"                \
  "ldm r2, {" sums                            \
  "}\n"                                       \
  "dlstp.8 lr, lr\n"                          \
  "1:\n"

#define DCSR_GATHER_END(sums) \
  "letp lr, 1b\n"             \
  "stm r12, {" sums           \
  "}\n"                       \
  "pop {r4, r5, r6, r8, r9, r10, r11, pc}\n"

// The address of the first pixel's base in r9.
#define DCSR_GATHER_BASE     \
  "ldr r9, [r1], #4\n"       \
  "vldrb.u8 q0, [r3], #16\n" \
  "add r9, r9, r11\n"        \
  "vldrb.u8 q1, [r5], #16\n"
#define DCSR_GATHER_STEP     \
  "ldrh r9, [r1], #2\n"      \
  "vldrb.u8 q0, [r3], #16\n" \
  "add r11, r11, r9\n"       \
  "vldrb.u8 q1, [r5], #16\n"

// A gather is used two instructions after it.
#define DCSR_GATHER_1(first) \
  "vldrb.u8 q2, [" first     \
  ", q0]\n"                  \
  "vmladava.s8 r0, q2, q1\n"
#define DCSR_GATHER_2(first) \
  "vldrb.u8 q2, [" first     \
  ", q0]\n"                  \
  "add r9, " first           \
  ", r10\n"                  \
  "vldrb.u8 q3, [r9, q0]\n"  \
  "vmladava.s8 r0, q2, q1\n" \
  "vmladava.s8 r2, q3, q1\n"
#define DCSR_GATHER_3(first) \
  "vldrb.u8 q2, [" first     \
  ", q0]\n"                  \
  "add r9, " first           \
  ", r10\n"                  \
  "vldrb.u8 q3, [r9, q0]\n"  \
  "vmladava.s8 r0, q2, q1\n" \
  "add r9, r9, r10\n"        \
  "vldrb.u8 q2, [r9, q0]\n"  \
  "vmladava.s8 r2, q3, q1\n" \
  "vmladava.s8 r4, q2, q1\n"
#define DCSR_GATHER_4(first) \
  "vldrb.u8 q2, [" first     \
  ", q0]\n"                  \
  "add r9, " first           \
  ", r10\n"                  \
  "vldrb.u8 q3, [r9, q0]\n"  \
  "vmladava.s8 r0, q2, q1\n" \
  "add r9, r9, r10\n"        \
  "vldrb.u8 q2, [r9, q0]\n"  \
  "vmladava.s8 r2, q3, q1\n" \
  "add r9, r9, r10\n"        \
  "vldrb.u8 q3, [r9, q0]\n"  \
  "vmladava.s8 r4, q2, q1\n" \
  "vmladava.s8 r6, q3, q1\n"
#define DCSR_GATHER_5(first) \
  "vldrb.u8 q2, [" first     \
  ", q0]\n"                  \
  "add r9, " first           \
  ", r10\n"                  \
  "vldrb.u8 q3, [r9, q0]\n"  \
  "vmladava.s8 r0, q2, q1\n" \
  "add r9, r9, r10\n"        \
  "vldrb.u8 q2, [r9, q0]\n"  \
  "vmladava.s8 r2, q3, q1\n" \
  "add r9, r9, r10\n"        \
  "vldrb.u8 q3, [r9, q0]\n"  \
  "vmladava.s8 r4, q2, q1\n" \
  "add r9, r9, r10\n"        \
  "vldrb.u8 q2, [r9, q0]\n"  \
  "vmladava.s8 r6, q3, q1\n" \
  "vmladava.s8 r8, q2, q1\n"

// Functions of assembly alone: their parameters are in r0 to r3.
#define DCSR_GATHER_PRODUCT(name, index, product, first, sums)                                    \
  __attribute__((naked)) static void name(const DcsrOffsetRun* run __attribute__((unused)),       \
                                          const DcsrGatherPixels* pixels __attribute__((unused)), \
                                          const int32_t* start __attribute__((unused)),           \
                                          int32_t* out __attribute__((unused))) {                 \
    __asm__ volatile(DCSR_GATHER_BEGIN(sums) index product(first) DCSR_GATHER_END(sums));         \
  }

DCSR_GATHER_PRODUCT(base_product_2, DCSR_GATHER_BASE, DCSR_GATHER_2, "r9", "r0, r2")
DCSR_GATHER_PRODUCT(base_product_3, DCSR_GATHER_BASE, DCSR_GATHER_3, "r9", "r0, r2, r4")
DCSR_GATHER_PRODUCT(base_product_4, DCSR_GATHER_BASE, DCSR_GATHER_4, "r9", "r0, r2, r4, r6")
DCSR_GATHER_PRODUCT(base_product_5, DCSR_GATHER_BASE, DCSR_GATHER_5, "r9", "r0, r2, r4, r6, r8")
DCSR_GATHER_PRODUCT(step_product_2, DCSR_GATHER_STEP, DCSR_GATHER_2, "r11", "r0, r2")
DCSR_GATHER_PRODUCT(step_product_3, DCSR_GATHER_STEP, DCSR_GATHER_3, "r11", "r0, r2, r4")
DCSR_GATHER_PRODUCT(step_product_4, DCSR_GATHER_STEP, DCSR_GATHER_4, "r11", "r0, r2, r4, r6")
DCSR_GATHER_PRODUCT(step_product_5, DCSR_GATHER_STEP, DCSR_GATHER_5, "r11", "r0, r2, r4, r6, r8")

// LDM and STM take two registers or more.
#define DCSR_GATHER_PRODUCT_1(name, index, first)                                                  \
  __attribute__((naked)) static void name(const DcsrOffsetRun* run __attribute__((unused)),        \
                                          const DcsrGatherPixels* pixels __attribute__((unused)),  \
                                          const int32_t* start __attribute__((unused)),            \
                                          int32_t* out __attribute__((unused))) {                  \
    __asm__ volatile("push {r4, r5, r6, r8, r9, r10, r11, lr}\n"                                 \
                     "mov r12, r3\n"                                                             \
                     "ldrd r10, r11, [r1]\n"                                                     \
                     "ldm r0, {r1, r3, r5, lr}\n"                                                \
                     "ldr r0, [r2]\n"                                                            \
                     "dlstp.8 lr, lr\n"                                                          \
                     "1:\n" index DCSR_GATHER_1(first)                                           \
                     "letp lr, 1b\n"                                                             \
                     "str r0, [r12]\n"                                                           \
                     "pop {r4, r5, r6, r8, r9, r10, r11, pc}\n"); \
  }

DCSR_GATHER_PRODUCT_1(base_product_1, DCSR_GATHER_BASE, "r9")
DCSR_GATHER_PRODUCT_1(step_product_1, DCSR_GATHER_STEP, "r11")

DcsrGatherProduct* const kDcsrGatherBaseProducts[kDcsrGatherPixels] = {
    base_product_1, base_product_2, base_product_3, base_product_4, base_product_5};
DcsrGatherProduct* const kDcsrGatherStepProducts[kDcsrGatherPixels] = {
    step_product_1, step_product_2, step_product_3, step_product_4, step_product_5};

#endif  // __ARM_FEATURE_MVE
