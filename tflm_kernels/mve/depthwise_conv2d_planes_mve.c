// Depthwise convolution on planes with MVE (Cortex-M55, M85): any filter, stride, dilation and
// padding.
//
// Input:   planes, int8 (DcsrLayout).
// Output:  planes, int8.
// Scratch: shifted copies of a plane, addresses of taps (plan_depthwise_conv2d_planes_mve.h).
// Cycles:  docs/kernels.md#planes-with-mve.
//
// Computes one channel after the other, 24 pixels at a time: three vectors of the lower parts of
// sums and three of the upper ones, as in conv1x1_mve: sum = 256 * hi + lo. A tap of the filter is
// a multiplication of each vector by the weight.
//
// The plane is copied once for each column of the filter, shifted by it, with the input zero point
// outside of the map. In a copy all output pixels read a tap at the same distance from their own
// number. So the pixels of the output are one run, whatever the padding and the stride, which also
// divides the rows of a copy into phases. If the output is as large as the input, a copy is the
// plane, moved by some bytes, and pads are restored afterwards; else the pixels are gathered.
//
// After some taps the kernel computes `hi += lo >> 8; lo &= 255`. The |weight| in between add up to
// 254 at most, so lo cannot overflow: 128 * 254 + 255 = 2^15 - 1. That is always true of pairs of
// taps. Most 3x3 filters allow a flush per row, or per column: then only twice. Rows with a weight
// of -128 are computed in C.

#include <string.h>

#include "tflm_kernels/common/compiler.h"
#include "tflm_kernels/common/conv_geometry.h"
#include "tflm_kernels/common/layout.h"
#include "tflm_kernels/common/requantize.h"
#include "tflm_kernels/mve/mve.h"
#include "tflm_kernels/planning/plan_depthwise_conv2d_planes_mve.h"

#if DCSR_HAS_MVE

#include <arm_mve.h>

enum { kLanes = kDcsrMveLanes };

// A channel, in the order in which the assembly loads it.
typedef struct {
  const int8_t* copies;
  int8_t* output;
  uint32_t steps;  // of 24 or 8 pixels
  int32_t back;    // from the end of the last step to the end of the pixels, at most 0
  int32_t multiplier;
  int32_t factor;  // 2^(31 - right shift), at most 2^31 - 1
  int32_t zero_point;
  uint32_t full;     // 0: skip the rounding of halves below zero, and clamping
  int32_t bias_low;  // modulo 256
  int32_t bias_high;
  int32_t group[2];  // 3x3: from the first group of three taps to the second one, and the third
  int32_t tap[2];    // 3x3: from a tap of a group to the next one
  const int32_t* offset;  // of each tap, in `copies`
  const int32_t* weight;  // of each tap, in triples also column by column
  uint32_t pairs;         // of taps
  int32_t max;
  int32_t min;
} Channel;

_Static_assert(offsetof(Channel, back) == 12 && offsetof(Channel, multiplier) == 16, "assembly");
_Static_assert(offsetof(Channel, zero_point) == 24 && offsetof(Channel, full) == 28, "assembly");
_Static_assert(offsetof(Channel, bias_low) == 32 && offsetof(Channel, group) == 40, "assembly");
_Static_assert(offsetof(Channel, tap) == 48 && offsetof(Channel, offset) == 56, "assembly");
_Static_assert(offsetof(Channel, weight) == 60 && offsetof(Channel, pairs) == 64, "assembly");
_Static_assert(offsetof(Channel, max) == 68 && offsetof(Channel, min) == 72, "assembly");

// All functions: r12 128, r10 multiplier, r11 2^(31 - right shift), r3 output. Vectors: lo, then
// hi; q6, q7 are temporary. Stack: 36 bytes of weights, at 36 `back`, at 40 the zero point and 1,
// at 48 initial lo, at 64 initial hi, at 80 the maximum, at 96 the minimum, at 176 the channel.
//
// M, I and L name the pipe of a vector instruction: multiplication, integer, loads and stores. A
// pipe takes a vector instruction every second cycle, so neighbours should differ.
__asm__(
    ".syntax unified\n"
    // Fills the stack and the registers. r0 is the channel.
    ".macro dcsr_planes_begin name\n"
    ".section .text.\\name, \"ax\", %progbits\n"
    ".p2align 2\n"
    ".thumb_func\n"
    ".type \\name, %function\n"
    "\\name:\n"
    "push {r0, r4-r11, lr}\n"
    "vpush {d8-d15}\n"
    "sub sp, #112\n"
    "ldrd r4, r5, [r0, #68]\n"
    "vdup.8 q0, r4\n"
    "vdup.8 q1, r5\n"
    "vstrw.32 q0, [sp, #80]\n"
    "vstrw.32 q1, [sp, #96]\n"
    "ldrd r4, r5, [r0, #32]\n"
    "vdup.16 q0, r4\n"
    "vdup.16 q1, r5\n"
    "vstrw.32 q0, [sp, #48]\n"
    "vstrw.32 q1, [sp, #64]\n"
    "ldr r4, [r0, #24]\n"
    "movs r5, #1\n"
    "strd r4, r5, [sp, #40]\n"
    "ldrd r10, r11, [r0, #16]\n"
    "ldr r3, [r0, #4]\n"
    "mov r12, #128\n"
    ".endm\n"
    ".macro dcsr_planes_end name\n"
    "add sp, #112\n"
    "vpop {d8-d15}\n"
    "pop {r0, r4-r11, pc}\n"
    ".size \\name, . - \\name\n"
    ".endm\n"

    // Multiplies 24 pixels at r4 by a weight.
    ".macro dcsr_planes_tap address, weight\n"
    "vldrb.s16 q7, [\\address]\n"
    "vmla.s16 q0, q7, \\weight\n"
    "vldrb.s16 q6, [\\address, #8]\n"
    "vmla.s16 q1, q6, \\weight\n"
    "vldrb.s16 q7, [\\address, #16]\n"
    "vmla.s16 q2, q7, \\weight\n"
    ".endm\n"
    ".macro dcsr_planes_flush\n"
    "vqdmlah.s16 q3, q0, r12\n"  // M
    "vbic.i16 q0, #0xff00\n"     // I
    "vqdmlah.s16 q4, q1, r12\n"  // M
    "vbic.i16 q1, #0xff00\n"     // I
    "vqdmlah.s16 q5, q2, r12\n"  // M
    "vbic.i16 q2, #0xff00\n"     // I
    ".endm\n"
    // The initial sums.
    ".macro dcsr_planes_clear\n"
    "vldrw.32 q0, [sp, #48]\n"
    "vldrw.32 q3, [sp, #64]\n"
    "vldrw.32 q1, [sp, #48]\n"
    "vldrw.32 q4, [sp, #64]\n"
    "vldrw.32 q2, [sp, #48]\n"
    "vldrw.32 q5, [sp, #64]\n"
    ".endm\n"

    // Requantizes and stores 24 sums, as conv1x1_mve does (docs/kernels.md#schedules), and loads
    // the initial sums of the next 24. VQDMLAH by 128 subtracts 1 from negative numbers above
    // -2^24.
    ".macro dcsr_planes_requantize\n"
    "vqdmlah.s16 q3, q0, r12\n"  // M
    "ldrd r5, r6, [sp, #40]\n"
    "vsli.16 q0, q3, #8\n"        // I
    "vqdmulh.s16 q3, q3, r12\n"   // M
    "vmul.i32 q6, q0, r6\n"       // M
    "vsli.32 q0, q3, #16\n"       // I
    "vqdmlah.s16 q4, q1, r12\n"   // M
    "vsri.32 q3, q6, #16\n"       // I
    "vqdmlah.s16 q5, q2, r12\n"   // M
    "vsli.16 q1, q4, #8\n"        // I
    "vqdmulh.s16 q4, q4, r12\n"   // M
    "vsli.16 q2, q5, #8\n"        // I
    "vmul.i32 q6, q1, r6\n"       // M
    "vsli.32 q1, q4, #16\n"       // I
    "vmul.i32 q7, q2, r6\n"       // M
    "vsri.32 q4, q6, #16\n"       // I
    "vqdmulh.s16 q5, q5, r12\n"   // M
    "vqrdmulh.s32 q1, q1, r10\n"  // M
    "vsli.32 q2, q5, #16\n"       // I
    "vqrdmulh.s32 q0, q0, r10\n"  // M
    "vsri.32 q5, q7, #16\n"       // I
    "vqrdmulh.s32 q2, q2, r10\n"  // M
    "vqrdmulh.s32 q1, q1, r11\n"  // M
    "vqrdmulh.s32 q0, q0, r11\n"  // M
    "vqmovnb.s32 q1, q1\n"        // I
    "vqrdmulh.s32 q3, q3, r10\n"  // M
    "vqmovnb.s32 q0, q0\n"        // I
    "vqrdmulh.s32 q3, q3, r11\n"  // M
    "vqrdmulh.s32 q4, q4, r10\n"  // M
    "vqmovnt.s32 q0, q3\n"        // I
    "vqrdmulh.s32 q2, q2, r11\n"  // M
    "vldrw.32 q3, [sp, #64]\n"    // L
    "vqmovnb.s32 q2, q2\n"        // I
    "vqrdmulh.s32 q5, q5, r10\n"  // M
    "vqadd.s16 q0, q0, r5\n"      // I
    "vqrdmulh.s32 q4, q4, r11\n"  // M
    "vqmovnb.s16 q0, q0\n"        // I
    "vqrdmulh.s32 q5, q5, r11\n"  // M
    "vqmovnt.s32 q1, q4\n"        // I
    "vstrb.16 q0, [r3], #8\n"     // L
    "vqmovnt.s32 q2, q5\n"        // I
    "vldrw.32 q4, [sp, #64]\n"    // L
    "vqadd.s16 q1, q1, r5\n"      // I
    "vldrw.32 q0, [sp, #48]\n"    // L
    "vqmovnb.s16 q1, q1\n"        // I
    "vldrw.32 q5, [sp, #64]\n"    // L
    "vqadd.s16 q2, q2, r5\n"      // I
    "vstrb.16 q1, [r3], #8\n"     // L
    "vqmovnb.s16 q2, q2\n"        // I
    "vldrw.32 q1, [sp, #48]\n"    // L
    "vstrb.16 q2, [r3], #8\n"     // L
    "vldrw.32 q2, [sp, #48]\n"    // L
    ".endm\n"
    // The same with rounding of halves below zero, and clamping.
    ".macro dcsr_planes_requantize_full\n"
    "vqdmlah.s16 q3, q0, r12\n"  // M
    "ldrd r5, r6, [sp, #40]\n"
    "vsli.16 q0, q3, #8\n"        // I
    "vqdmlah.s16 q4, q1, r12\n"   // M
    "vmul.i32 q6, q0, r6\n"       // M
    "vsli.16 q1, q4, #8\n"        // I
    "vqdmulh.s16 q3, q3, r12\n"   // M
    "vqdmlah.s16 q5, q2, r12\n"   // M
    "vsli.32 q0, q3, #16\n"       // I
    "vmul.i32 q7, q1, r6\n"       // M
    "vsri.32 q3, q6, #16\n"       // I
    "vqdmulh.s16 q4, q4, r12\n"   // M
    "vsli.16 q2, q5, #8\n"        // I
    "vqdmulh.s16 q5, q5, r12\n"   // M
    "vsli.32 q1, q4, #16\n"       // I
    "vmul.i32 q6, q2, r6\n"       // M
    "vsli.32 q2, q5, #16\n"       // I
    "vqrdmulh.s32 q1, q1, r10\n"  // M
    "vsri.32 q4, q7, #16\n"       // I
    "vqrdmulh.s32 q0, q0, r10\n"  // M
    "vsri.32 q5, q6, #16\n"       // I
    "vqrdmulh.s32 q2, q2, r10\n"  // M
    "vqdmlah.s32 q0, q0, r12\n"   // M
    "vqrdmulh.s32 q4, q4, r10\n"  // M
    "vqrdmulh.s32 q0, q0, r11\n"  // M
    "vqdmlah.s32 q1, q1, r12\n"   // M
    "vqmovnb.s32 q0, q0\n"        // I
    "vqrdmulh.s32 q3, q3, r10\n"  // M
    "vqdmlah.s32 q3, q3, r12\n"   // M
    "vqdmlah.s32 q2, q2, r12\n"   // M
    "vqrdmulh.s32 q2, q2, r11\n"  // M
    "vqrdmulh.s32 q3, q3, r11\n"  // M
    "vqmovnb.s32 q2, q2\n"        // I
    "vqrdmulh.s32 q1, q1, r11\n"  // M
    "vqmovnt.s32 q0, q3\n"        // I
    "vqrdmulh.s32 q5, q5, r10\n"  // M
    "vqmovnb.s32 q1, q1\n"        // I
    "vqdmlah.s32 q4, q4, r12\n"   // M
    "vqadd.s16 q0, q0, r5\n"      // I
    "vqrdmulh.s32 q4, q4, r11\n"  // M
    "vqmovnb.s16 q0, q0\n"        // I
    "vqdmlah.s32 q5, q5, r12\n"   // M
    "vqmovnt.s32 q1, q4\n"        // I
    "vqrdmulh.s32 q5, q5, r11\n"  // M
    "vldrb.8 q3, [sp, #80]\n"     // L
    "vqmovnt.s32 q2, q5\n"        // I
    "vldrb.8 q4, [sp, #80]\n"     // L
    "vqadd.s16 q1, q1, r5\n"      // I
    "vldrb.8 q5, [sp, #80]\n"     // L
    "vqmovnb.s16 q1, q1\n"        // I
    "vqadd.s16 q2, q2, r5\n"      // I
    "vqmovnb.s16 q2, q2\n"        // I
    "vmin.s8 q0, q0, q3\n"        // I
    "vldrb.8 q3, [sp, #96]\n"     // L
    "vmin.s8 q2, q2, q5\n"        // I
    "vldrb.8 q5, [sp, #96]\n"     // L
    "vmin.s8 q1, q1, q4\n"        // I
    "vldrb.8 q4, [sp, #96]\n"     // L
    "vmax.s8 q1, q1, q4\n"        // I
    "vldrw.32 q4, [sp, #64]\n"    // L
    "vmax.s8 q0, q0, q3\n"        // I
    "vldrw.32 q3, [sp, #64]\n"    // L
    "vmax.s8 q2, q2, q5\n"        // I
    "vstrb.16 q0, [r3], #8\n"     // L
    "vstrb.16 q1, [r3], #8\n"     // L
    "vstrb.16 q2, [r3], #8\n"     // L
    "vldrw.32 q2, [sp, #48]\n"    // L
    "vldrw.32 q0, [sp, #48]\n"    // L
    "vldrw.32 q1, [sp, #48]\n"    // L
    "vldrw.32 q5, [sp, #64]\n"    // L
    ".endm\n"
    // The same for 8 sums, lo q0, hi q1.
    ".macro dcsr_planes_requantize8\n"
    "ldrd r5, r6, [sp, #40]\n"
    "vqdmlah.s16 q1, q0, r12\n"   // M
    "vsli.16 q0, q1, #8\n"        // I
    "vqdmulh.s16 q1, q1, r12\n"   // M
    "vmul.i32 q6, q0, r6\n"       // M
    "vsli.32 q0, q1, #16\n"       // I
    "vqrdmulh.s32 q0, q0, r10\n"  // M
    "vsri.32 q1, q6, #16\n"       // I
    "vqdmlah.s32 q0, q0, r12\n"   // M
    "vqrdmulh.s32 q0, q0, r11\n"  // M
    "vqrdmulh.s32 q1, q1, r10\n"  // M
    "vqmovnb.s32 q0, q0\n"        // I
    "vqdmlah.s32 q1, q1, r12\n"   // M
    "vqrdmulh.s32 q1, q1, r11\n"  // M
    "vqmovnt.s32 q0, q1\n"        // I
    "vldrb.8 q1, [sp, #80]\n"     // L
    "vqadd.s16 q0, q0, r5\n"      // I
    "vqmovnb.s16 q0, q0\n"        // I
    "vmin.s8 q0, q0, q1\n"        // I
    "vldrb.8 q1, [sp, #96]\n"     // L
    "vmax.s8 q0, q0, q1\n"        // I
    "vldrw.32 q1, [sp, #64]\n"    // L
    "vstrb.16 q0, [r3], #8\n"     // L
    "vldrw.32 q0, [sp, #48]\n"    // L
    ".endm\n"

    // A row or column of three taps. r4 is free.
    ".macro dcsr_planes_triple pointer, weights, last\n"
    "ldrd r5, r6, [sp, #\\weights]\n"
    "vldrb.s16 q7, [\\pointer, #16]\n"
    "ldr r7, [sp, #\\weights + 8]\n"
    "vmla.s16 q2, q7, r5\n"
    "vldrb.s16 q6, [\\pointer, #8]\n"
    "vmla.s16 q1, q6, r5\n"
    "add r4, \\pointer, r8\n"
    "vldrb.s16 q7, [\\pointer], #24\n"
    "vmla.s16 q0, q7, r5\n"
    "dcsr_planes_tap r4, r6\n"
    "add r4, r4, r9\n"
    "dcsr_planes_tap r4, r7\n"
    ".if !\\last\n"
    "dcsr_planes_flush\n"
    ".endif\n"
    ".endm\n"

    // A channel of a 3x3 filter with a flush per row or column, 24 pixels at a time. r0, r1, r2 the
    // pixels at the first taps of the rows or columns, r8, r9 from one of their taps to the next
    // one.
    "dcsr_planes_begin dcsr_depthwise_planes_mve_triples\n"
    "ldr r4, [r0, #60]\n"
    "vldrw.32 q0, [r4]\n"
    "vldrw.32 q1, [r4, #16]\n"
    "ldr r5, [r4, #32]\n"
    "vstrw.32 q0, [sp]\n"
    "vstrw.32 q1, [sp, #16]\n"
    "str r5, [sp, #32]\n"
    "ldrd lr, r6, [r0, #8]\n"
    "str r6, [sp, #36]\n"
    "ldr r7, [r0, #28]\n"
    "ldrd r4, r5, [r0, #40]\n"
    "ldrd r8, r9, [r0, #48]\n"
    "ldr r0, [r0]\n"
    "add r1, r0, r4\n"
    "add r2, r0, r5\n"
    "dcsr_planes_clear\n"
    "1:\n"
    "cmp r7, #0\n"  // no instruction of the loop sets flags
    "dls lr, lr\n"
    ".p2align 2\n"
    "2:\n"
    "dcsr_planes_triple r0, 0, 0\n"
    "dcsr_planes_triple r1, 12, 0\n"
    "dcsr_planes_triple r2, 24, 1\n"
    "bne 4f\n"
    "dcsr_planes_requantize\n"
    "le lr, 2b\n"
    // Another step if pixels are left, which begins before the end of those so far.
    "3:\n"
    "ldr r5, [sp, #36]\n"
    "ldr r4, [sp, #176]\n"
    "cbz r5, 5f\n"
    "movs r6, #0\n"
    "str r6, [sp, #36]\n"
    "ldr r7, [r4, #28]\n"
    "add r0, r0, r5\n"
    "add r1, r1, r5\n"
    "add r2, r2, r5\n"
    "add r3, r3, r5\n"
    "mov lr, #1\n"
    "b 1b\n"
    "5:\n"
    "dcsr_planes_end dcsr_depthwise_planes_mve_triples\n"
    ".p2align 2\n"
    "4:\n"
    "dcsr_planes_requantize_full\n"
    "le lr, 2b\n"
    "b 3b\n"

    // A channel of any filter with a flush per pair of taps. r0 the pixels in the first copy, r1
    // the channel, r2 steps left, r4, r5 addresses, r6, r7 weights, r8 offsets, r9 weights.
    ".macro dcsr_planes_pairs name, pixels\n"
    "dcsr_planes_begin \\name\n"
    "mov r1, r0\n"
    "ldrd r2, r4, [r1, #8]\n"
    "str r4, [sp, #36]\n"
    "ldr r0, [r1]\n"
    ".if \\pixels == 24\n"
    "dcsr_planes_clear\n"
    ".else\n"
    "vldrw.32 q0, [sp, #48]\n"
    "vldrw.32 q1, [sp, #64]\n"
    ".endif\n"
    "2:\n"
    "ldrd r8, r9, [r1, #56]\n"
    "ldr lr, [r1, #64]\n"
    "wls lr, lr, 4f\n"
    ".p2align 2\n"
    "3:\n"
    "ldrd r4, r5, [r8], #8\n"
    "ldrd r6, r7, [r9], #8\n"
    "add r4, r4, r0\n"
    "add r5, r5, r0\n"
    ".if \\pixels == 24\n"
    "dcsr_planes_tap r4, r6\n"
    "dcsr_planes_tap r5, r7\n"
    "dcsr_planes_flush\n"
    ".else\n"
    "vldrb.s16 q7, [r4]\n"
    "vmla.s16 q0, q7, r6\n"
    "vldrb.s16 q6, [r5]\n"
    "vmla.s16 q0, q6, r7\n"
    "vqdmlah.s16 q1, q0, r12\n"
    "vbic.i16 q0, #0xff00\n"
    ".endif\n"
    "le lr, 3b\n"
    "4:\n"
    // The last tap; of an even number, one of weight 0.
    "ldr r4, [r8]\n"
    "ldr r6, [r9]\n"
    "add r4, r4, r0\n"
    ".if \\pixels == 24\n"
    "dcsr_planes_tap r4, r6\n"
    "dcsr_planes_requantize_full\n"
    ".else\n"
    "vldrb.s16 q7, [r4]\n"
    "vmla.s16 q0, q7, r6\n"
    "dcsr_planes_requantize8\n"
    ".endif\n"
    "add r0, r0, #\\pixels\n"
    "subs r2, r2, #1\n"
    "bne 2b\n"
    "ldr r5, [sp, #36]\n"
    "cbz r5, 5f\n"
    "str r2, [sp, #36]\n"
    "add r0, r0, r5\n"
    "add r3, r3, r5\n"
    "movs r2, #1\n"
    "b 2b\n"
    "5:\n"
    "dcsr_planes_end \\name\n"
    ".endm\n"
    "dcsr_planes_pairs dcsr_depthwise_planes_mve_pairs24, 24\n"
    "dcsr_planes_pairs dcsr_depthwise_planes_mve_pairs8, 8\n"
    ".text\n");

typedef void RunChannel(const Channel* channel);
RunChannel dcsr_depthwise_planes_mve_triples;
RunChannel dcsr_depthwise_planes_mve_pairs24;
RunChannel dcsr_depthwise_planes_mve_pairs8;

// ----- Copies -----

// A layer and its scratch.
typedef struct {
  const DcsrLayer* layer;
  DcsrPlaneCopies copies;
  int32_t pixels;  // of the output
  int32_t input_pixels;
  int8_t* first;       // first pixel of the first copy
  int8_t* shifted[3];  // where the three columns of a filter move the plane to; NULL: others
  int32_t* offset;     // of each tap from `first`
  int32_t* weight;     // of each tap
  uint16_t* pad;       // places of the pads that are overwritten, in the copies
  uint32_t pads;
  uint16_t* source;  // places of all pixels of the copies in the plane; NULL: shifted
  bool has_triples;  // 3x3, steps of 24 pixels
  Channel channel;
} Work;

// Copies `count` > 0 bytes.
static inline void copy_bytes(const int8_t* from, int8_t* to, int32_t count) {
  int8x16_t bytes;
  __asm__ volatile(
      "dlstp.8 lr, %[count]\n"
      ".p2align 2\n"
      "1:\n"
      "vldrb.8 %q[bytes], [%[from]], #16\n"
      "vstrb.8 %q[bytes], [%[to]], #16\n"
      "letp lr, 1b\n"
      : [bytes] "=&w"(bytes), [from] "+l"(from), [to] "+l"(to)
      : [count] "r"(count)
      : "lr", "memory");
}

// The same to three places.
static inline void copy_bytes3(const int8_t* from, int8_t* const places[3], int32_t count) {
  int8x16_t bytes;
  int8_t* to0 = places[0];
  int8_t* to1 = places[1];
  int8_t* to2 = places[2];
  __asm__ volatile(
      "dlstp.8 lr, %[count]\n"
      ".p2align 2\n"
      "1:\n"
      "vldrb.8 %q[bytes], [%[from]], #16\n"
      "vstrb.8 %q[bytes], [%[to0]], #16\n"
      "vstrb.8 %q[bytes], [%[to1]], #16\n"
      "vstrb.8 %q[bytes], [%[to2]], #16\n"
      "letp lr, 1b\n"
      : [bytes] "=&w"(bytes), [from] "+l"(from), [to0] "+l"(to0), [to1] "+l"(to1), [to2] "+l"(to2)
      : [count] "r"(count)
      : "lr", "memory");
}

// Copies `count` > 0 pixels from the places `source`.
static inline void gather_bytes(const int8_t* from, const uint16_t* source, int8_t* to,
                                uint32_t count) {
  uint16x8_t places;
  int16x8_t bytes;
  __asm__ volatile(
      "dlstp.16 lr, %[count]\n"
      ".p2align 2\n"
      "1:\n"
      "vldrh.u16 %q[places], [%[source]], #16\n"
      "vldrb.u16 %q[bytes], [%[from], %q[places]]\n"
      "vstrb.16 %q[bytes], [%[to]], #8\n"
      "letp lr, 1b\n"
      : [places] "=&w"(places), [bytes] "=&w"(bytes), [source] "+l"(source), [to] "+l"(to)
      : [count] "r"(count), [from] "r"(from)
      : "lr", "memory");
}

// Sets `count` bytes at the places `pad`.
static inline void set_pads(int8_t* copies, const uint16_t* pad, uint32_t count, int32_t value) {
  const int16x8_t values = vdupq_n_s16((int16_t)value);
  uint16x8_t places;
  __asm__ volatile(
      "wlstp.16 lr, %[count], 2f\n"
      ".p2align 2\n"
      "1:\n"
      "vldrh.u16 %q[places], [%[pad]], #16\n"
      "vstrb.16 %q[values], [%[copies], %q[places]]\n"
      "letp lr, 1b\n"
      "2:\n"
      : [places] "=&w"(places), [pad] "+l"(pad)
      : [count] "r"(count), [copies] "r"(copies), [values] "w"(values)
      : "lr", "memory");
}

// Returns the place of the first pixel of the map in copy `k`, if it were not shifted.
static inline int8_t* shifted_copy(const Work* work, uint32_t k) {
  return work->first + k * work->copies.bytes + work->copies.top * work->copies.width;
}

// Fills the copies of a plane. A shifted copy overwrites pads with what leaves its row.
static void fill_copies(const Work* work, const int8_t* plane) {
  const DcsrLayer* layer = work->layer;
  int8_t* const copies = work->first - work->copies.guard;
  if (work->source != NULL) {
    gather_bytes(plane, work->source, copies, work->copies.count * work->copies.bytes);
  } else if (work->shifted[0] != NULL) {
    copy_bytes3(plane, work->shifted, work->input_pixels);
  } else {
    for (uint32_t k = 0; k < layer->filter_w; ++k) {
      const int32_t shift = dcsr_plane_shift(layer, &work->copies, k);
      if (!dcsr_plane_is_in_reach(&work->copies, shift)) continue;
      copy_bytes(plane, shifted_copy(work, k) - shift, work->input_pixels);
    }
  }
  set_pads(copies, work->pad, work->pads, layer->input_zero_point);
}

// Lists the pads that shifted copies overwrite: the columns on one side, in one more row than the
// map has.
static void list_shifted_pads(const DcsrLayer* layer, const DcsrConvShape* shape, Work* work) {
  const DcsrPlaneCopies* copies = &work->copies;
  uint16_t* pad = work->pad;
  for (uint32_t k = 0; k < layer->filter_w; ++k) {
    const int32_t shift = dcsr_plane_shift(layer, copies, k);
    if (!dcsr_plane_is_in_reach(copies, shift)) continue;
    const int32_t columns = shift < 0 ? -shift : shift;
    int32_t place = (int32_t)(k * copies->bytes + copies->guard) + copies->top * copies->width;
    if (shift > 0) place -= shift;
    for (int32_t y = 0; y <= shape->input_height; ++y, place += copies->width) {
      for (int32_t x = 0; x < columns; ++x) *pad++ = (uint16_t)(place + x);
    }
  }
}

// Lists where each pixel of the copies is in the plane, and the pads.
static void list_sources(const DcsrLayer* layer, const DcsrConvShape* shape, Work* work) {
  const DcsrPlaneCopies* copies = &work->copies;
  uint16_t* pad = work->pad;
  uint16_t* source = work->source;
  for (uint32_t k = 0; k < layer->filter_w; ++k) {
    const int32_t shift = dcsr_plane_shift(layer, copies, k);
    for (uint32_t row = 0; row < copies->phases * copies->rows; ++row) {
      const int32_t y =
          (int32_t)(row % copies->rows * layer->stride_h + row / copies->rows) - copies->top;
      const bool is_inside = y >= 0 && y < shape->input_height;
      int32_t column = shift;
      for (int32_t x = 0; x < shape->output_width; ++x, column += (int32_t)layer->stride_w) {
        const bool is_pad = !is_inside || column < 0 || column >= copies->width;
        if (is_pad) *pad++ = (uint16_t)(source - work->source);
        *source++ = (uint16_t)(is_pad ? 0 : y * copies->width + column);
      }
    }
  }
}

static void list_taps(const DcsrLayer* layer, const DcsrConvShape* shape, Work* work) {
  int32_t* offset = work->offset;
  for (uint32_t y = 0; y < layer->filter_h; ++y) {
    const uint32_t row = y * layer->dilation_h;
    const uint32_t place = row % layer->stride_h * work->copies.rows + row / layer->stride_h;
    for (uint32_t x = 0; x < layer->filter_w; ++x) {
      *offset++ = (int32_t)(x * work->copies.bytes + place * (uint32_t)shape->output_width);
    }
  }
  *offset = 0;
}

// ----- Channels -----

// Computes a row with any weights and any requantization.
DCSR_NOINLINE static void run_slow_row(const Work* work, uint32_t row, int8_t* output) {
  const DcsrLayer* layer = work->layer;
  const int8_t* const weights = layer->values + (size_t)row * layer->cols;
  const DcsrRowTail tail = dcsr_row_tail(layer, row);
  for (int32_t p = 0; p < work->pixels; ++p) {
    uint32_t acc = (uint32_t)tail.bias;
    for (uint32_t t = 0; t < layer->cols; ++t) {
      acc += (uint32_t)(weights[t] * work->first[work->offset[t] + p]);
    }
    output[p] = dcsr_requantize_by(layer, tail.multiplier, tail.shift, acc);
  }
}

// Writes the weights of a row to work->weight. Returns the code that multiplies them, or NULL if
// one is -128.
static RunChannel* load_pairs(const Work* work, const int8_t* weights) {
  int32_t* out = work->weight;
  int32x4_t lowest = vdupq_n_s32(0);
  for (int32_t left = (int32_t)work->layer->cols; left > 0; left -= 4) {
    const int32x4_t four = vldrbq_z_s32(weights, vctp32q((uint32_t)left));
    vst1q_s32(out, four);
    lowest = vminq_s32(lowest, four);
    weights += 4;
    out += 4;
  }
  work->weight[work->layer->cols] = 0;
  if (vminvq_s32(0, lowest) == INT8_MIN) return NULL;
  return work->pixels < kDcsrPlaneStep ? dcsr_depthwise_planes_mve_pairs8
                                       : dcsr_depthwise_planes_mve_pairs24;
}

// Sets where the triples of a 3x3 filter begin, and the distances of their taps.
static inline void set_triples(Channel* channel, const int32_t* offset, uint32_t group,
                               uint32_t tap) {
  channel->group[0] = offset[group];
  channel->group[1] = offset[2 * group];
  channel->tap[0] = offset[tap];
  channel->tap[1] = offset[2 * tap] - offset[tap];
}

// The same for a 3x3 filter: in triples if the |weight| of each row, or of each column, allow it.
static RunChannel* load_triples(Work* work, const int8_t* weights) {
  const mve_pred16_t lanes = vctp32q(3);
  const int32x4_t row0 = vldrbq_z_s32(weights, lanes);
  const int32x4_t row1 = vldrbq_z_s32(weights + 3, lanes);
  const int32x4_t row2 = vldrbq_z_s32(weights + 6, lanes);
  const int32x4_t magnitude0 = vabsq_s32(row0);
  const int32x4_t magnitude1 = vabsq_s32(row1);
  const int32x4_t magnitude2 = vabsq_s32(row2);
  if (vaddvq_s32(magnitude0) <= kDcsrMveMostMagnitude &&
      vaddvq_s32(magnitude1) <= kDcsrMveMostMagnitude &&
      vaddvq_s32(magnitude2) <= kDcsrMveMostMagnitude) {
    vstrwq_s32(work->weight, row0);
    vstrwq_s32(work->weight + 3, row1);
    vstrwq_s32(work->weight + 6, row2);
    set_triples(&work->channel, work->offset, 3, 1);
    return dcsr_depthwise_planes_mve_triples;
  }
  const int32x4_t columns = vaddq_s32(vaddq_s32(magnitude0, magnitude1), magnitude2);
  if (vmaxvq_s32(0, columns) > kDcsrMveMostMagnitude) return load_pairs(work, weights);
  const uint32x4_t places = vmulq_n_u32(vidupq_n_u32(0, 4), 3);
  vstrwq_scatter_offset_p_s32(work->weight, places, row0, lanes);
  vstrwq_scatter_offset_p_s32(work->weight + 1, places, row1, lanes);
  vstrwq_scatter_offset_p_s32(work->weight + 2, places, row2, lanes);
  set_triples(&work->channel, work->offset, 1, 3);
  return dcsr_depthwise_planes_mve_triples;
}

// Computes the outputs of a channel from the copies of its plane.
static void run_channel(Work* work, uint32_t row, int8_t* output) {
  const DcsrLayer* layer = work->layer;
  const int8_t* weights = layer->values + (size_t)row * layer->cols;
  const DcsrRowTail tail = dcsr_fast_row_tail(layer, row);
  RunChannel* const run =
      work->has_triples ? load_triples(work, weights) : load_pairs(work, weights);
  if (run == NULL || !dcsr_depthwise_mve_requantizes(layer, &tail)) {
    run_slow_row(work, row, output);
    return;
  }
  work->channel.output = output;
  work->channel.multiplier = tail.multiplier;
  work->channel.factor = tail.shift == 0 ? INT32_MAX : (int32_t)(UINT32_C(1) << (31 + tail.shift));
  work->channel.bias_low = tail.bias & 0xFF;
  work->channel.bias_high = tail.bias >> 8;
  run(&work->channel);
}

// Sets what all channels share.
static void set_channel(const DcsrLayer* layer, Work* work) {
  Channel* channel = &work->channel;
  const int32_t step = work->pixels < kDcsrPlaneStep ? kLanes : kDcsrPlaneStep;
  const int32_t rest = work->pixels % step;
  channel->copies = work->first;
  channel->steps = (uint32_t)(work->pixels / step);
  channel->back = rest == 0 ? 0 : rest - step;
  channel->zero_point = layer->output_zero_point;
  channel->full = dcsr_conv1x1_mve_rounds_in_full(layer);
  work->has_triples = layer->filter_h == 3 && layer->filter_w == 3 && step == kDcsrPlaneStep;
  channel->offset = work->offset;
  channel->weight = work->weight;
  channel->pairs = layer->cols / 2;
  channel->max = layer->activation_max;
  channel->min = layer->activation_min;
}

DCSR_NOINLINE static void begin(const DcsrLayer* layer, const DcsrConvShape* shape, void* scratch,
                                Work* work) {
  const size_t words = dcsr_planes_words(layer->cols);
  work->layer = layer;
  work->copies = dcsr_plane_copies(layer, shape);
  const DcsrPlaneCopies* copies = &work->copies;
  work->pixels = shape->output_height * shape->output_width;
  work->input_pixels = shape->input_height * shape->input_width;
  work->offset = (int32_t*)scratch;
  work->weight = work->offset + words;
  work->pad = (uint16_t*)(work->weight + words);
  work->pads = dcsr_plane_pads(layer, shape, copies);
  uint16_t* const end = work->pad + dcsr_plane_vectors(work->pads);
  work->source = copies->is_shifted ? NULL : end;
  int8_t* const memory = (int8_t*)(end + dcsr_plane_sources(copies));
  work->first = memory + copies->guard;
  memset(memory, layer->input_zero_point, (size_t)copies->bytes * copies->count);
  list_taps(layer, shape, work);
  if (copies->is_shifted) {
    list_shifted_pads(layer, shape, work);
  } else {
    list_sources(layer, shape, work);
  }
  work->shifted[0] = NULL;
  const int32_t last = dcsr_plane_shift(layer, copies, layer->filter_w - 1);
  if (layer->filter_w == 3 && dcsr_plane_is_in_reach(copies, last) &&
      dcsr_plane_is_in_reach(copies, copies->left)) {
    for (uint32_t k = 0; k < 3; ++k) {
      work->shifted[k] = shifted_copy(work, k) - dcsr_plane_shift(layer, copies, k);
    }
  }
  set_channel(layer, work);
}

void dcsr_depthwise_conv2d_planes_mve(const DcsrPlan* plan, const DcsrLayer* layer,
                                      const DcsrConvShape* shape, const void* input_data,
                                      void* output_data, void* scratch) {
  (void)plan;
  const int8_t* input = (const int8_t*)input_data;
  int8_t* output = (int8_t*)output_data;
  const size_t input_bytes = dcsr_input_steps(layer, shape).channel;
  const size_t output_bytes = dcsr_output_steps(layer, shape).channel;
  Work work;
  begin(layer, shape, scratch, &work);
  for (uint32_t row = 0; row < layer->rows; ++row) {
    fill_copies(&work, input);
    run_channel(&work, row, output);
    input += input_bytes;
    output += output_bytes;
  }
}

#endif  // DCSR_HAS_MVE
