// Requantization of sums of one row to contiguous outputs with MVE (Cortex-M55, M85).
//
// Input:   sums, int32, and the scales of the row (requantize_plane_mve.h).
// Output:  int8.
// Scratch: none; 164 bytes of stack.
// Cycles:  27 for 16 outputs, 37 with rounding of halves below zero and clamping.
//
// VLD4 brings 16 sums into the order in which VQMOVN puts them together.

#include "tflm_kernels/mve/requantize_plane_mve.h"

#include <string.h>

#include "tflm_kernels/common/compiler.h"
#include "tflm_kernels/common/requantize.h"

#if DCSR_HAS_MVE

#include <arm_mve.h>

_Static_assert(offsetof(DcsrPlaneOutputs, steps) == 8 && offsetof(DcsrPlaneOutputs, factor) == 20,
               "assembly");
_Static_assert(offsetof(DcsrPlaneOutputs, full) == 28 && offsetof(DcsrPlaneOutputs, rounding) == 32,
               "assembly");
_Static_assert(offsetof(DcsrPlaneOutputs, max) == 36 && offsetof(DcsrPlaneOutputs, min) == 52,
               "assembly");

// A step requantizes 16 sums and loads the next ones. Without `full` the zero point and the lowest
// output are -128, and VQMOVUN clamps to 0 .. 255. VQDMLAH by 1 subtracts 1 from negative numbers.
//
// M, I and L name the pipe of a vector instruction: multiplication, integer, loads and stores. A
// pipe takes a vector instruction every second cycle, so neighbours should differ.
__asm__(
    ".syntax unified\n"
    ".section .text.dcsr_requantize_plane_mve, \"ax\", %progbits\n"
    ".p2align 2\n"
    ".global dcsr_requantize_plane_mve\n"
    ".global dcsr_requantize_plane_mve_entered\n"
    ".thumb_func\n"
    ".type dcsr_requantize_plane_mve, %function\n"
    "dcsr_requantize_plane_mve:\n"
    "push {r4-r11, lr}\n"
    "vpush {d8-d15}\n"
    "mov r9, r0\n"
    // The end of another function in assembly that has pushed the same registers. r9 is the
    // outputs.
    ".thumb_func\n"
    ".type dcsr_requantize_plane_mve_entered, %function\n"
    "dcsr_requantize_plane_mve_entered:\n"
    "ldrd r0, r1, [r9]\n"
    "ldrd r8, r2, [r9, #8]\n"
    "ldrd r3, r4, [r9, #16]\n"
    "ldrd r5, r6, [r9, #24]\n"
    "ldr r12, [r9, #32]\n"
    "vld40.32 {q4, q5, q6, q7}, [r0]\n"
    "vld41.32 {q4, q5, q6, q7}, [r0]\n"
    "cmp r6, #0\n"
    "vld42.32 {q4, q5, q6, q7}, [r0]\n"
    "vld43.32 {q4, q5, q6, q7}, [r0]!\n"
    "wls lr, r8, 4f\n"
    "bne 3f\n"
    ".p2align 2\n"
    "2:\n"
    "vadd.i32 q0, q4, r2\n"               // I
    "vqrdmulh.s32 q0, q0, r3\n"           // M
    "vadd.i32 q2, q6, r2\n"               // I
    "vqrdmulh.s32 q2, q2, r3\n"           // M
    "vadd.i32 q1, q5, r2\n"               // I
    "vqrdmulh.s32 q1, q1, r3\n"           // M
    "vadd.i32 q3, q7, r2\n"               // I
    "vqrdmulh.s32 q0, q0, r4\n"           // M
    "vld42.32 {q4, q5, q6, q7}, [r0]\n"   // L
    "vqrdmulh.s32 q1, q1, r4\n"           // M
    "vqmovnb.s32 q0, q0\n"                // I
    "vqrdmulh.s32 q2, q2, r4\n"           // M
    "vqmovnb.s32 q1, q1\n"                // I
    "vqrdmulh.s32 q3, q3, r3\n"           // M
    "vqmovnt.s32 q0, q2\n"                // I
    "vqrdmulh.s32 q3, q3, r4\n"           // M
    "vld40.32 {q4, q5, q6, q7}, [r0]\n"   // L
    "vqmovnt.s32 q1, q3\n"                // I
    "vld41.32 {q4, q5, q6, q7}, [r0]\n"   // L
    "vqmovunb.s16 q0, q0\n"               // I
    "vld43.32 {q4, q5, q6, q7}, [r0]!\n"  // L
    "vqmovunt.s16 q0, q1\n"               // I
    "vadd.i8 q0, q0, r5\n"                // I
    "vstrb.8 q0, [r1], #16\n"             // L
    "le lr, 2b\n"
    "b 4f\n"
    ".p2align 2\n"
    "3:\n"
    "vadd.i32 q0, q4, r2\n"               // I
    "vqrdmulh.s32 q0, q0, r3\n"           // M
    "vadd.i32 q3, q7, r2\n"               // I
    "vqdmlah.s32 q0, q0, r12\n"           // M
    "vqrdmulh.s32 q0, q0, r4\n"           // M
    "vadd.i32 q2, q6, r2\n"               // I
    "vqrdmulh.s32 q2, q2, r3\n"           // M
    "vadd.i32 q1, q5, r2\n"               // I
    "vqdmlah.s32 q2, q2, r12\n"           // M
    "vqmovnb.s32 q0, q0\n"                // I
    "vqrdmulh.s32 q2, q2, r4\n"           // M
    "vqrdmulh.s32 q1, q1, r3\n"           // M
    "vqmovnt.s32 q0, q2\n"                // I
    "vqrdmulh.s32 q3, q3, r3\n"           // M
    "vld40.32 {q4, q5, q6, q7}, [r0]\n"   // L
    "vqdmlah.s32 q1, q1, r12\n"           // M
    "vqadd.s16 q0, q0, r5\n"              // I
    "vqrdmulh.s32 q1, q1, r4\n"           // M
    "vqmovnb.s16 q0, q0\n"                // I
    "vqdmlah.s32 q3, q3, r12\n"           // M
    "vqmovnb.s32 q1, q1\n"                // I
    "vqrdmulh.s32 q3, q3, r4\n"           // M
    "vld41.32 {q4, q5, q6, q7}, [r0]\n"   // L
    "vqmovnt.s32 q1, q3\n"                // I
    "vld42.32 {q4, q5, q6, q7}, [r0]\n"   // L
    "vqadd.s16 q1, q1, r5\n"              // I
    "vldrb.8 q2, [r9, #36]\n"             // L
    "vqmovnt.s16 q0, q1\n"                // I
    "vldrb.8 q3, [r9, #52]\n"             // L
    "vmin.s8 q0, q0, q2\n"                // I
    "vld43.32 {q4, q5, q6, q7}, [r0]!\n"  // L
    "vmax.s8 q0, q0, q3\n"                // I
    "vstrb.8 q0, [r1], #16\n"             // L
    "le lr, 3b\n"
    "4:\n"
    "vpop {d8-d15}\n"
    "pop {r4-r11, pc}\n"
    ".size dcsr_requantize_plane_mve, . - dcsr_requantize_plane_mve\n"
    ".text\n");

DcsrPlaneOutputs dcsr_plane_outputs(const DcsrLayer* layer, int32_t* sums) {
  DcsrPlaneOutputs outputs;
  memset(&outputs, 0, sizeof(outputs));
  outputs.sums = sums;
  outputs.zero_point = layer->output_zero_point;
  outputs.full = dcsr_conv1x1_mve_rounds_in_full(layer);
  memset(outputs.max, layer->activation_max, sizeof(outputs.max));
  memset(outputs.min, layer->activation_min, sizeof(outputs.min));
  return outputs;
}

// Adds the bias to sums, and shifts them to the left.
static void shift_sums(const DcsrRowTail* tail, uint32_t count, int32_t* sums) {
  for (int32_t left = (int32_t)count; left > 0; left -= 4, sums += 4) {
    const mve_pred16_t lanes = vctp32q((uint32_t)left);
    const int32x4_t acc = vaddq_n_s32(vldrwq_z_s32(sums, lanes), tail->bias);
    vstrwq_p_s32(sums, vshlq_r_s32(acc, tail->shift), lanes);
  }
}

void dcsr_requantize_plane(const DcsrLayer* layer, const DcsrRowTail* tail, uint32_t count,
                           const int8_t* end, DcsrPlaneOutputs* outputs) {
  int8_t* output = outputs->output;
  int32_t* const sums = outputs->sums;
  if (!dcsr_plane_row_fits(tail)) {
    for (uint32_t p = 0; p < count; ++p) {
      const uint32_t acc = (uint32_t)tail->bias + (uint32_t)sums[p];
      output[p] = dcsr_requantize_by(layer, tail->multiplier, tail->shift, acc);
    }
    return;
  }
  if (tail->shift > 0) {
    shift_sums(tail, count, sums);
    outputs->bias = 0;
  }
  outputs->steps = (uint32_t)dcsr_plane_steps(count);
  const bool is_last = !dcsr_plane_steps_fit(count, output, end);
  if (is_last) --outputs->steps;
  dcsr_requantize_plane_mve(outputs);
  if (is_last) {
    // The last step would reach behind the end.
    const uint32_t done = outputs->steps * kDcsrRequantizedSums;
    int8_t last[kDcsrRequantizedSums];
    outputs->sums = sums + done;
    outputs->output = last;
    outputs->steps = 1;
    dcsr_requantize_plane_mve(outputs);
    memcpy(output + done, last, count - done);
    outputs->sums = sums;
    outputs->output = output;
  }
}

#endif  // DCSR_HAS_MVE
