// One channel of a depthwise convolution on planes with MVE (Cortex-M55, M85).
//
// Input:   shifted copies of a plane, weights, bias and scales (DcsrPlaneChannel).
// Output:  a plane, int8.
// Scratch: none; 184 bytes of stack.
// Cycles:  docs/kernels.md#planes-with-mve.
//
// depthwise_conv2d_planes_mve.c explains the sums, hi and lo, and their flushes.

#include "tflm_kernels/mve/depthwise_channel_mve.h"

#include <stddef.h>

#include "tflm_kernels/common/compiler.h"

#if DCSR_HAS_MVE

_Static_assert(offsetof(DcsrPlaneChannel, back) == 12 &&
                   offsetof(DcsrPlaneChannel, multiplier) == 16,
               "assembly");
_Static_assert(offsetof(DcsrPlaneChannel, zero_point) == 24 &&
                   offsetof(DcsrPlaneChannel, bias_low) == 28,
               "assembly");
_Static_assert(offsetof(DcsrPlaneChannel, offset) == 36 && offsetof(DcsrPlaneChannel, pairs) == 44,
               "assembly");
_Static_assert(offsetof(DcsrPlaneChannel, max) == 48 && offsetof(DcsrPlaneChannel, min) == 52,
               "assembly");

// Both functions: r12 128, r10 multiplier, r11 2^(31 - right shift), r3 output. Vectors: lo, then
// hi; q6, q7 are temporary. Stack: at 4 `back`, at 8 the zero point and 1, at 16 initial lo, at 32
// initial hi, at 48 the maximum, at 64 the minimum.
//
// M, I and L name the pipe of a vector instruction: multiplication, integer, loads and stores. A
// pipe takes a vector instruction every second cycle, so neighbours should differ.
__asm__(
    ".syntax unified\n"
    // Fills the stack and the registers. r0 is the channel.
    ".macro dcsr_planes_begin name\n"
    ".section .text.\\name, \"ax\", %progbits\n"
    ".p2align 2\n"
    ".global \\name\n"
    ".thumb_func\n"
    ".type \\name, %function\n"
    "\\name:\n"
    "push {r0, r4-r11, lr}\n"
    "vpush {d8-d15}\n"
    "sub sp, #80\n"
    "ldrd r4, r5, [r0, #48]\n"
    "vdup.8 q0, r4\n"
    "vdup.8 q1, r5\n"
    "vstrw.32 q0, [sp, #48]\n"
    "vstrw.32 q1, [sp, #64]\n"
    "ldrd r4, r5, [r0, #28]\n"
    "vdup.16 q0, r4\n"
    "vdup.16 q1, r5\n"
    "vstrw.32 q0, [sp, #16]\n"
    "vstrw.32 q1, [sp, #32]\n"
    "ldr r4, [r0, #24]\n"
    "movs r5, #1\n"
    "strd r4, r5, [sp, #8]\n"
    "ldrd r10, r11, [r0, #16]\n"
    "ldr r3, [r0, #4]\n"
    "mov r12, #128\n"
    ".endm\n"
    ".macro dcsr_planes_end name\n"
    "add sp, #80\n"
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
    "vldrw.32 q0, [sp, #16]\n"
    "vldrw.32 q3, [sp, #32]\n"
    "vldrw.32 q1, [sp, #16]\n"
    "vldrw.32 q4, [sp, #32]\n"
    "vldrw.32 q2, [sp, #16]\n"
    "vldrw.32 q5, [sp, #32]\n"
    ".endm\n"

    // Requantizes and stores 24 sums, as conv1x1_mve does (docs/kernels.md#schedules), and loads
    // the initial sums of the next 24. VQDMLAH by 128 rounds halves below zero: it subtracts 1 from
    // negative numbers above -2^24.
    ".macro dcsr_planes_requantize\n"
    "vqdmlah.s16 q3, q0, r12\n"  // M
    "ldrd r5, r6, [sp, #8]\n"
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
    "vldrb.8 q3, [sp, #48]\n"     // L
    "vqmovnt.s32 q2, q5\n"        // I
    "vldrb.8 q4, [sp, #48]\n"     // L
    "vqadd.s16 q1, q1, r5\n"      // I
    "vldrb.8 q5, [sp, #48]\n"     // L
    "vqmovnb.s16 q1, q1\n"        // I
    "vqadd.s16 q2, q2, r5\n"      // I
    "vqmovnb.s16 q2, q2\n"        // I
    "vmin.s8 q0, q0, q3\n"        // I
    "vldrb.8 q3, [sp, #64]\n"     // L
    "vmin.s8 q2, q2, q5\n"        // I
    "vldrb.8 q5, [sp, #64]\n"     // L
    "vmin.s8 q1, q1, q4\n"        // I
    "vldrb.8 q4, [sp, #64]\n"     // L
    "vmax.s8 q1, q1, q4\n"        // I
    "vldrw.32 q4, [sp, #32]\n"    // L
    "vmax.s8 q0, q0, q3\n"        // I
    "vldrw.32 q3, [sp, #32]\n"    // L
    "vmax.s8 q2, q2, q5\n"        // I
    "vstrb.16 q0, [r3], #8\n"     // L
    "vstrb.16 q1, [r3], #8\n"     // L
    "vstrb.16 q2, [r3], #8\n"     // L
    "vldrw.32 q2, [sp, #16]\n"    // L
    "vldrw.32 q0, [sp, #16]\n"    // L
    "vldrw.32 q1, [sp, #16]\n"    // L
    "vldrw.32 q5, [sp, #32]\n"    // L
    ".endm\n"
    // The same for 8 sums, lo q0, hi q1.
    ".macro dcsr_planes_requantize8\n"
    "ldrd r5, r6, [sp, #8]\n"
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
    "vldrb.8 q1, [sp, #48]\n"     // L
    "vqadd.s16 q0, q0, r5\n"      // I
    "vqmovnb.s16 q0, q0\n"        // I
    "vmin.s8 q0, q0, q1\n"        // I
    "vldrb.8 q1, [sp, #64]\n"     // L
    "vmax.s8 q0, q0, q1\n"        // I
    "vldrw.32 q1, [sp, #32]\n"    // L
    "vstrb.16 q0, [r3], #8\n"     // L
    "vldrw.32 q0, [sp, #16]\n"    // L
    ".endm\n"

    // A channel of any filter with a flush per pair of taps. r0 the pixels in the first copy, r1
    // the channel, r2 steps left, r4, r5 addresses, r6, r7 weights, r8 offsets, r9 weights.
    ".macro dcsr_planes_pairs name, pixels\n"
    "dcsr_planes_begin \\name\n"
    "mov r1, r0\n"
    "ldrd r2, r4, [r1, #8]\n"
    "str r4, [sp, #4]\n"
    "ldr r0, [r1]\n"
    ".if \\pixels == 24\n"
    "dcsr_planes_clear\n"
    ".else\n"
    "vldrw.32 q0, [sp, #16]\n"
    "vldrw.32 q1, [sp, #32]\n"
    ".endif\n"
    "2:\n"
    "ldrd r8, r9, [r1, #36]\n"
    "ldr lr, [r1, #44]\n"
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
    "dcsr_planes_requantize\n"
    ".else\n"
    "vldrb.s16 q7, [r4]\n"
    "vmla.s16 q0, q7, r6\n"
    "dcsr_planes_requantize8\n"
    ".endif\n"
    "add r0, r0, #\\pixels\n"
    "subs r2, r2, #1\n"
    "bne 2b\n"
    "ldr r5, [sp, #4]\n"
    "cbz r5, 5f\n"
    "str r2, [sp, #4]\n"
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

#endif  // DCSR_HAS_MVE
