// 1x1 convolution with MVE (Cortex-M55, M85), any encoding.
//
// Input:   [batches, input_height, input_width, cols], int8.
// Output:  [batches, output_height, output_width, rows], int8.
// Scratch: a block of activations, one decoded row, row lists (plan_conv1x1_mve.h).
// Cycles:  docs/kernels.md#what-bounds-it.
//
// Multiplies one weight at a time with eight pixels, which are adjacent in a block x[cols][32]
// (pictured in docs/kernels.md). Rows are decoded once, to row lists (`program` in the code), which
// hold the address in x of the activations of each nonzero, and its weight (row_words_mve.h). Then
// each block is transposed to x, and the row lists are run on it. If scratch does not hold the row
// lists of all rows, the kernel takes as many rows at a time as fit.
//
// A sum is a pair of int16 lanes: sum = 256 * hi + lo. After each group of nonzeros the kernel
// computes `hi += lo >> 8; lo &= 255` (VQDMLAH with 128, which is exact, and VBIC). The |weight| of
// a group add up to kDcsrMostMagnitude at most. lo cannot overflow with |x| <= 128 and a remainder
// of 255: 128 * 254 + 255 = 2^15 - 1.
//
// The number of nonzeros before each group indexes a table of code addresses. So a group may be as
// long as its weights allow, and needs no loop.

#include <stdint.h>
#include <string.h>

#include "tflm_kernels/common/compiler.h"
#include "tflm_kernels/common/pixels.h"
#include "tflm_kernels/common/requantize.h"
#include "tflm_kernels/mve/mve.h"
#include "tflm_kernels/mve/row_words_mve.h"
#include "tflm_kernels/planning/plan_conv1x1_mve.h"

#if DCSR_HAS_MVE
#include <arm_mve.h>
#endif

enum {
  kLanes = kDcsrMveLanes,
  kBlockPixels = kDcsrMveBlockPixels,
  // Up to these limits 256 * hi + lo fits int16 lanes: a sum without bias is greater than -2^22 and
  // at most 2^22. The bias is below kDcsrMveMostHighBias.
  kMostHighTerms = 256,
  kMostHighGroups = 128,
};

// Header of a row list, in the order in which the assembly loads it. The last field is the first
// number of the row list.
typedef struct {
  int32_t bias_low;  // the row's number if `code` is kSlowRow
  int32_t bias_high;
  int32_t multiplier;
  int32_t shift;
  uint32_t code;
} RowHeader;

_Static_assert(sizeof(RowHeader) == kDcsrMveHeaderWords * sizeof(uint32_t), "plan_conv1x1_mve.h");

enum {
  kHeaderWords = kDcsrMveHeaderWords,
  kFirstGroup = 16,  // added to the first number of a row
  // Codes other than numbers of nonzeros.
  kEndOfRows = 23,
  kSlowRow = 31,  // followed by its row list with the first number
};

// Values shared by all rows, in the order in which the assembly loads them.
typedef struct {
  int32_t zero_point;
  uint32_t output_step;     // bytes of eight pixels
  uint16_t offset[kLanes];  // of the outputs of eight pixels
  int16_t min[kLanes];
  int16_t max[kLanes];
  uint32_t full;  // 0: skip the rounding of halves below zero, and clamping
} LayerArguments;

// ----- Transposition -----

// Maps pixel numbers to addresses.
typedef struct {
  const int8_t* input;
  const DcsrLayer* layer;
  const DcsrConvShape* shape;
  bool contiguous;
} PixelMap;

static const int8_t* pixel_address(const PixelMap* map, size_t pixel) {
  const size_t cols = map->layer->cols;
  if (map->contiguous) return map->input + pixel * cols;
  const size_t width = (size_t)map->shape->output_width;
  const size_t height = (size_t)map->shape->output_height;
  const size_t x = pixel % width * map->layer->stride_w;
  const size_t y = pixel / width % height * map->layer->stride_h;
  const size_t batch = pixel / width / height;
  return map->input +
         ((batch * (size_t)map->shape->input_height + y) * (size_t)map->shape->input_width + x) *
             cols;
}

#if DCSR_HAS_MVE
enum { kPartPixels = 4, kPartCols = 16 };

// Transposes `count` times four pixels to x[column][pitch]. All but the first four are contiguous.
// VST4 interleaves the bytes of four pixels to words of a column, which are then scattered. Needs
// at least kPartCols columns: the last part overlaps the previous one.
static void transpose_pixels(const int8_t* const pixel[kPartPixels], size_t count, size_t cols,
                             size_t pitch, int8_t* x) {
  const int8_t* pixel0 = pixel[0];
  const int8_t* pixel1 = pixel[1];
  const int8_t* pixel2 = pixel[2];
  const int8_t* pixel3 = pixel[3];
  int8_t words[kPartPixels * kPartCols] __attribute__((aligned(16)));
  const uint32x4_t offsets0 = vmulq_n_u32(vidupq_n_u32(0, 1), (uint32_t)pitch);
  const uint32x4_t offsets1 = vaddq_n_u32(offsets0, (uint32_t)pitch * 4);
  const uint32x4_t offsets2 = vaddq_n_u32(offsets0, (uint32_t)pitch * 8);
  const uint32x4_t offsets3 = vaddq_n_u32(offsets0, (uint32_t)pitch * 12);
  // Constants that the assembly loads from the stack.
  const uint32_t constants[] = {
      (uint32_t)cols, (uint32_t)(cols / kPartCols), (uint32_t)(kPartCols - cols % kPartCols),
      (uint32_t)((kPartCols - cols % kPartCols) * pitch), (uint32_t)(cols * pitch - kPartPixels)};
  const size_t step = pitch * kPartCols;
  const int8_t* end = pixel3 + cols;
  uint32_t t, u;
  __asm__ volatile(
      "1:\n"
      "ldr lr, [%[constants], #4]\n"
      "dls lr, lr\n"
      "2:\n"
      "vldrb.8 q0, [%[pixel0]], #16\n"
      "vldrb.8 q1, [%[pixel1]], #16\n"
      "vldrb.8 q2, [%[pixel2]], #16\n"
      "vldrb.8 q3, [%[pixel3]], #16\n"
      "vst40.8 {q0, q1, q2, q3}, [%[words]]\n"
      "vst41.8 {q0, q1, q2, q3}, [%[words]]\n"
      "vst42.8 {q0, q1, q2, q3}, [%[words]]\n"
      "vst43.8 {q0, q1, q2, q3}, [%[words]]\n"
      "vldrw.32 q0, [%[words]]\n"
      "vldrw.32 q1, [%[words], #16]\n"
      "vldrw.32 q2, [%[words], #32]\n"
      "vldrw.32 q3, [%[words], #48]\n"
      "vstrw.32 q0, [%[x], %q[offsets0]]\n"
      "vstrw.32 q1, [%[x], %q[offsets1]]\n"
      "vstrw.32 q2, [%[x], %q[offsets2]]\n"
      "vstrw.32 q3, [%[x], %q[offsets3]]\n"
      "add %[x], %[x], %[step]\n"
      "le lr, 2b\n"
      // Repeat for the last kPartCols columns, unless pixel3 is at its end.
      "ldrd %[t], %[u], [%[constants], #8]\n"
      "cmp %[pixel3], %[end]\n"
      "beq 3f\n"
      "sub %[pixel0], %[pixel0], %[t]\n"
      "sub %[pixel1], %[pixel1], %[t]\n"
      "sub %[pixel2], %[pixel2], %[t]\n"
      "sub %[pixel3], %[pixel3], %[t]\n"
      "sub %[x], %[x], %[u]\n"
      "mov lr, #1\n"
      "b 2b\n"
      "3:\n"
      // The next four pixels follow the fourth.
      "ldr %[t], [%[constants]]\n"
      "ldr %[u], [%[constants], #16]\n"
      "mov %[pixel0], %[pixel3]\n"
      "add %[pixel1], %[pixel0], %[t]\n"
      "add %[pixel2], %[pixel1], %[t]\n"
      "add %[pixel3], %[pixel2], %[t]\n"
      "add %[end], %[pixel3], %[t]\n"
      "sub %[x], %[x], %[u]\n"
      "subs %[count], %[count], #1\n"
      "bne 1b\n"
      : [pixel0] "+r"(pixel0), [pixel1] "+r"(pixel1), [pixel2] "+r"(pixel2), [pixel3] "+r"(pixel3),
        [x] "+r"(x), [count] "+r"(count), [end] "+r"(end), [t] "=&r"(t), [u] "=&r"(u)
      : [words] "r"(words), [constants] "r"(constants), [step] "r"(step), [offsets0] "w"(offsets0),
        [offsets1] "w"(offsets1), [offsets2] "w"(offsets2), [offsets3] "w"(offsets3)
      : "q0", "q1", "q2", "q3", "lr", "cc", "memory");
}

static void transpose_block(const PixelMap* map, size_t first, size_t width, size_t pitch,
                            int8_t* x) {
  const size_t cols = map->layer->cols;
  const bool at_once = map->contiguous && cols >= kPartCols;
  for (size_t p = 0; p < width; p += kPartPixels) {
    const int8_t* pixel[kPartPixels];
    for (size_t i = 0; i < kPartPixels; ++i) pixel[i] = pixel_address(map, first + p + i);
    if (cols >= kPartCols) {
      transpose_pixels(pixel, at_once ? width / kPartPixels : 1, cols, pitch, x + p);
      if (at_once) return;
      continue;
    }
    for (size_t c = 0; c < cols; ++c) {
      for (size_t i = 0; i < kPartPixels; ++i) x[c * pitch + p + i] = pixel[i][c];
    }
  }
}
#else
static void transpose_block(const PixelMap* map, size_t first, size_t width, size_t pitch,
                            int8_t* x) {
  for (size_t p = 0; p < width; ++p) {
    const int8_t* pixel = pixel_address(map, first + p);
    for (size_t c = 0; c < map->layer->cols; ++c) x[c * pitch + p] = pixel[c];
  }
}
#endif

// ----- Products -----

#if DCSR_HAS_MVE

// Runs row lists with their headers on a block of 32, 16 or 8 pixels. Arguments: r0 layer
// arguments, r1 row lists, r2 output. Returns the end of the header whose code is kEndOfRows or
// kSlowRow.
//
// Registers: r0 output of eight pixels, r1 output of the row, r2 code table, r3 128, r4-r9
// addresses and weights of a group, r10 multiplier, r11 shift, r12 number of the next group, lr row
// list. Vectors: lo from q0 on, then hi; q7 is temporary. Stack: the last of four hi, the
// arguments.
__asm__(
    ".syntax unified\n"
    ".macro dcsr_mve_multiply n, address, weight\n"
    "vldrb.s16 q7, [\\address]\n"
    "vmla.s16 q0, q7, \\weight\n"
    ".if \\n > 1\n"
    "vldrb.s16 q7, [\\address, #8]\n"
    "vmla.s16 q1, q7, \\weight\n"
    ".endif\n"
    ".if \\n > 2\n"
    "vldrb.s16 q7, [\\address, #16]\n"
    "vmla.s16 q2, q7, \\weight\n"
    "vldrb.s16 q7, [\\address, #24]\n"
    "vmla.s16 q3, q7, \\weight\n"
    ".endif\n"
    ".endm\n"

    ".macro dcsr_mve_flush n\n"
    ".if \\n == 4\n"
    "vldrw.32 q7, [sp]\n"
    "vqdmlah.s16 q4, q0, r3\n"
    "vqdmlah.s16 q5, q1, r3\n"
    "vqdmlah.s16 q6, q2, r3\n"
    "vqdmlah.s16 q7, q3, r3\n"
    "vbic.i16 q0, #0xff00\n"
    "vbic.i16 q1, #0xff00\n"
    "vbic.i16 q2, #0xff00\n"
    "vbic.i16 q3, #0xff00\n"
    "vstrw.32 q7, [sp]\n"
    ".elseif \\n == 2\n"
    "vqdmlah.s16 q2, q0, r3\n"
    "vqdmlah.s16 q3, q1, r3\n"
    "vbic.i16 q0, #0xff00\n"
    "vbic.i16 q1, #0xff00\n"
    ".else\n"
    "vqdmlah.s16 q1, q0, r3\n"
    "vbic.i16 q0, #0xff00\n"
    ".endif\n"
    "ldr pc, [r2, r12, lsl #2]\n"
    ".endm\n"

    // Stores the outputs of eight pixels: the first eight at r1, later ones at r0 + r5. r4 is the
    // zero point.
    ".macro dcsr_mve_requantize lo, hi, t, offsets, first, full\n"
    // Even sums in lo, odd ones in hi.
    "vsli.16 \\lo, \\hi, #8\n"
    "vshr.s16 \\hi, \\hi, #8\n"
    "vmov \\t, \\lo\n"
    "vsli.32 \\lo, \\hi, #16\n"
    "vsri.32 \\hi, \\t, #16\n"
    "vqrdmulh.s32 \\lo, \\lo, r10\n"
    "vqrdmulh.s32 \\hi, \\hi, r10\n"
    ".if \\full\n"
    "vshr.s32 \\t, \\lo, #31\n"
    "vadd.i32 \\lo, \\lo, \\t\n"
    "vshr.s32 \\t, \\hi, #31\n"
    "vadd.i32 \\hi, \\hi, \\t\n"
    ".endif\n"
    "vrshl.s32 \\lo, r11\n"
    "vrshl.s32 \\hi, r11\n"
    "vqmovnb.s32 \\lo, \\lo\n"
    "vqmovnt.s32 \\lo, \\hi\n"
    "vqadd.s16 \\lo, \\lo, r4\n"
    ".if \\full\n"
    "vldrh.16 \\t, [sp, #40]\n"
    "vmax.s16 \\lo, \\lo, \\t\n"
    "vldrh.16 \\t, [sp, #56]\n"
    "vmin.s16 \\lo, \\lo, \\t\n"
    ".endif\n"
    "vqmovnb.s16 \\lo, \\lo\n"
    ".if \\first\n"
    "vldrh.16 \\offsets, [sp, #24]\n"
    "vstrb.16 \\lo, [r1, \\offsets]\n"
    ".else\n"
    "add r0, r5\n"
    "vstrb.16 \\lo, [r0, \\offsets]\n"
    ".endif\n"
    ".endm\n"

    // Flushes the lo that the last group left. An empty row leaves nothing.
    ".macro dcsr_mve_end n, full\n"
    "mov r0, r1\n"
    "ldrd r4, r5, [sp, #16]\n"
    ".if \\n == 4\n"
    "vqdmlah.s16 q4, q0, r3\n"
    "vqdmlah.s16 q5, q1, r3\n"
    "vqdmlah.s16 q6, q2, r3\n"
    "dcsr_mve_requantize q0, q4, q7, q7, 1, \\full\n"
    "dcsr_mve_requantize q1, q5, q0, q7, 0, \\full\n"
    "dcsr_mve_requantize q2, q6, q0, q7, 0, \\full\n"
    "vldrw.32 q4, [sp]\n"
    "vqdmlah.s16 q4, q3, r3\n"
    "dcsr_mve_requantize q3, q4, q0, q7, 0, \\full\n"
    ".elseif \\n == 2\n"
    "vqdmlah.s16 q2, q0, r3\n"
    "vqdmlah.s16 q3, q1, r3\n"
    "dcsr_mve_requantize q0, q2, q6, q7, 1, \\full\n"
    "dcsr_mve_requantize q1, q3, q6, q7, 0, \\full\n"
    ".else\n"
    "vqdmlah.s16 q1, q0, r3\n"
    "dcsr_mve_requantize q0, q1, q6, q7, 1, \\full\n"
    ".endif\n"
    "adds r1, #1\n"
    ".endm\n"

    // A group of `k` nonzeros: label `k`, and label 10 + k for the last group of a row, which jumps
    // to the end without a flush. `next` receives the number of the next group. It is empty for the
    // last group.
    ".macro dcsr_mve_one n, next:vararg\n"
    "ldm lr!, {r4, r5 \\next}\n"
    "dcsr_mve_multiply \\n, r4, r5\n"
    ".endm\n"
    ".macro dcsr_mve_two n, next:vararg\n"
    "ldm lr!, {r4-r7 \\next}\n"
    "dcsr_mve_multiply \\n, r4, r6\n"
    "dcsr_mve_multiply \\n, r5, r7\n"
    ".endm\n"
    ".macro dcsr_mve_three n, next:vararg\n"
    "ldm lr!, {r4-r9 \\next}\n"
    "dcsr_mve_multiply \\n, r4, r7\n"
    "dcsr_mve_multiply \\n, r5, r8\n"
    "dcsr_mve_multiply \\n, r6, r9\n"
    ".endm\n"
    ".macro dcsr_mve_group n, k, rest, three\n"
    "\\k\\():\n"
    ".if \\three\n"
    "dcsr_mve_three \\n\n"
    ".endif\n"
    "\\rest \\n, , r12\n"
    "dcsr_mve_flush \\n\n"
    "1\\k\\():\n"
    ".if \\three\n"
    "dcsr_mve_three \\n\n"
    ".endif\n"
    "\\rest \\n\n"
    "ldr pc, [r2]\n"
    ".endm\n"

    ".macro dcsr_mve_begin\n"
    "ldm lr!, {r8-r12}\n"
    "ldr pc, [r2, r12, lsl #2]\n"
    ".endm\n"

    ".macro dcsr_mve_clear n\n"
    "vdup.16 q0, r8\n"
    ".if \\n == 4\n"
    "vdup.16 q1, r8\n"
    "vdup.16 q2, r8\n"
    "vdup.16 q3, r8\n"
    "vdup.16 q4, r9\n"
    "vdup.16 q5, r9\n"
    "vdup.16 q6, r9\n"
    "vstrw.32 q4, [sp]\n"
    ".elseif \\n == 2\n"
    "vdup.16 q1, r8\n"
    "vdup.16 q2, r9\n"
    "vdup.16 q3, r9\n"
    ".else\n"
    "vdup.16 q1, r9\n"
    ".endif\n"
    ".endm\n"

    // The same for the first of several groups of a row, in blocks of 32 pixels. It initialises the
    // sums, with the bias from r8 and r9.
    ".macro dcsr_mve_multiply_first address, weight\n"
    "vdup.16 q7, \\weight\n"
    "vldrb.s16 q0, [\\address]\n"
    "vldrb.s16 q1, [\\address, #8]\n"
    "vldrb.s16 q2, [\\address, #16]\n"
    "vldrb.s16 q3, [\\address, #24]\n"
    "vmlas.u16 q0, q7, r8\n"
    "vmlas.u16 q1, q7, r8\n"
    "vmlas.u16 q2, q7, r8\n"
    "vmlas.u16 q3, q7, r8\n"
    ".endm\n"
    ".macro dcsr_mve_first_one n, next:vararg\n"
    "ldm lr!, {r4, r5 \\next}\n"
    "dcsr_mve_multiply_first r4, r5\n"
    ".endm\n"
    ".macro dcsr_mve_first_two n, next:vararg\n"
    "ldm lr!, {r4-r7 \\next}\n"
    "dcsr_mve_multiply_first r4, r6\n"
    "dcsr_mve_multiply 4, r5, r7\n"
    ".endm\n"
    // Moves the bias out of the registers of two weights.
    ".macro dcsr_mve_first_three n, next:vararg\n"
    "mov r12, r8\n"
    "mov r0, r9\n"
    "ldm lr!, {r4-r9}\n"
    "vdup.16 q7, r7\n"
    "vldrb.s16 q0, [r4]\n"
    "vldrb.s16 q1, [r4, #8]\n"
    "vldrb.s16 q2, [r4, #16]\n"
    "vldrb.s16 q3, [r4, #24]\n"
    "vmlas.u16 q0, q7, r12\n"
    "vmlas.u16 q1, q7, r12\n"
    "vmlas.u16 q2, q7, r12\n"
    "vmlas.u16 q3, q7, r12\n"
    "dcsr_mve_multiply 4, r5, r8\n"
    "dcsr_mve_multiply 4, r6, r9\n"
    ".ifnb \\next\n"
    "ldr r12, [lr], #4\n"
    ".endif\n"
    ".endm\n"
    ".macro dcsr_mve_first_group k, rest, three, bias\n"
    "4\\k\\():\n"
    ".if \\three\n"
    "dcsr_mve_first_three 4\n"
    ".endif\n"
    "\\rest 4, , r12\n"
    "vshr.s16 q4, q0, #8\n"
    "vshr.s16 q5, q1, #8\n"
    "vshr.s16 q6, q2, #8\n"
    "vshr.s16 q7, q3, #8\n"
    "vadd.i16 q4, q4, \\bias\n"
    "vadd.i16 q5, q5, \\bias\n"
    "vadd.i16 q6, q6, \\bias\n"
    "vadd.i16 q7, q7, \\bias\n"
    "vbic.i16 q0, #0xff00\n"
    "vbic.i16 q1, #0xff00\n"
    "vbic.i16 q2, #0xff00\n"
    "vbic.i16 q3, #0xff00\n"
    "vstrw.32 q7, [sp]\n"
    "ldr pc, [r2, r12, lsl #2]\n"
    ".endm\n"

    // Entries for groups, then for last groups of a row, then for first groups.
    ".macro dcsr_mve_table n, end\n"
    ".word \\end + 1, 1b + 1, 2b + 1, 3b + 1, 4b + 1, 5b + 1, 6b + 1, 0\n"
    ".word 0, 11b + 1, 12b + 1, 13b + 1, 14b + 1, 15b + 1, 16b + 1, 0\n"
    ".if \\n == 4\n"
    ".word 21b + 1, 41b + 1, 42b + 1, 43b + 1, 44b + 1, 45b + 1, 46b + 1, 9b + 1\n"
    ".else\n"
    ".word 21b + 1, 21b + 1, 21b + 1, 21b + 1, 21b + 1, 21b + 1, 21b + 1, 9b + 1\n"
    ".endif\n"
    ".word 0, 21b + 1, 21b + 1, 21b + 1, 21b + 1, 21b + 1, 21b + 1, 9b + 1\n"
    ".endm\n"

    ".macro dcsr_mve_function n\n"
    ".section .text.dcsr_conv1x1_mve_rows\\n, \"ax\", %progbits\n"
    ".p2align 2\n"
    ".thumb\n"
    ".thumb_func\n"
    ".type dcsr_conv1x1_mve_rows\\n, %function\n"
    "dcsr_conv1x1_mve_rows\\n:\n"
    "push {r4-r11, lr}\n"
    "vpush {d8-d15}\n"
    "sub sp, #76\n"
    "mov lr, r1\n"
    "mov r1, r2\n"
    "ldm r0!, {r4, r5}\n"
    "strd r4, r5, [sp, #16]\n"
    "vldrw.32 q0, [r0]\n"
    "vldrw.32 q1, [r0, #16]\n"
    "vldrw.32 q2, [r0, #32]\n"
    "vstrw.32 q0, [sp, #24]\n"
    "vstrw.32 q1, [sp, #40]\n"
    "vstrw.32 q2, [sp, #56]\n"
    "ldr r3, [r0, #48]\n"
    "adr r2, 30f\n"
    "cbz r3, 20f\n"
    "adr r2, 31f\n"
    "20:\n"
    "movs r3, #128\n"
    "dcsr_mve_begin\n"
    // A row with at most one group.
    "21:\n"
    "dcsr_mve_clear \\n\n"
    "sub r12, #16\n"
    "ldr pc, [r2, r12, lsl #2]\n"
    "dcsr_mve_group \\n, 1, dcsr_mve_one, 0\n"
    "dcsr_mve_group \\n, 2, dcsr_mve_two, 0\n"
    "dcsr_mve_group \\n, 3, dcsr_mve_three, 0\n"
    "dcsr_mve_group \\n, 4, dcsr_mve_one, 1\n"
    "dcsr_mve_group \\n, 5, dcsr_mve_two, 1\n"
    "dcsr_mve_group \\n, 6, dcsr_mve_three, 1\n"
    ".if \\n == 4\n"
    "dcsr_mve_first_group 1, dcsr_mve_first_one, 0, r9\n"
    "dcsr_mve_first_group 2, dcsr_mve_first_two, 0, r9\n"
    "dcsr_mve_first_group 3, dcsr_mve_first_three, 0, r0\n"
    "dcsr_mve_first_group 4, dcsr_mve_one, 1, r0\n"
    "dcsr_mve_first_group 5, dcsr_mve_two, 1, r0\n"
    "dcsr_mve_first_group 6, dcsr_mve_three, 1, r0\n"
    ".endif\n"
    "7:\n"
    "dcsr_mve_end \\n, 0\n"
    "dcsr_mve_begin\n"
    "8:\n"
    "dcsr_mve_end \\n, 1\n"
    "dcsr_mve_begin\n"
    "9:\n"
    "mov r0, lr\n"
    "add sp, #76\n"
    "vpop {d8-d15}\n"
    "pop {r4-r11, pc}\n"
    ".p2align 2\n"
    "30:\n"
    "dcsr_mve_table \\n, 7b\n"
    "31:\n"
    "dcsr_mve_table \\n, 8b\n"
    ".size dcsr_conv1x1_mve_rows\\n, . - dcsr_conv1x1_mve_rows\\n\n"
    ".endm\n"

    "dcsr_mve_function 4\n"
    "dcsr_mve_function 2\n"
    "dcsr_mve_function 1\n"
    ".text\n");

typedef const uint32_t* RunRows(const LayerArguments* arguments, const uint32_t* program,
                                int8_t* output);
RunRows dcsr_conv1x1_mve_rows4;
RunRows dcsr_conv1x1_mve_rows2;
RunRows dcsr_conv1x1_mve_rows1;

static RunRows* rows_of_width(uint32_t width) {
  return width == kBlockPixels       ? dcsr_conv1x1_mve_rows4
         : width == kBlockPixels / 2 ? dcsr_conv1x1_mve_rows2
                                     : dcsr_conv1x1_mve_rows1;
}

static const int8_t* nonzero_address(const int8_t* x, uint32_t word) {
  (void)x;
  return (const int8_t*)(uintptr_t)word;
}

#else

static const int8_t* nonzero_address(const int8_t* x, uint32_t word) { return x + word; }

#endif

// Adds the products of `count` nonzeros, whose addresses stand before their weights. Returns their
// end.
static const uint32_t* add_half(const uint32_t* program, uint32_t count, const int8_t* x,
                                uint32_t width, uint32_t sums[kBlockPixels]) {
  for (uint32_t i = 0; i < count; ++i) {
    const int8_t* pixel = nonzero_address(x, program[i]);
    const int32_t weight = (int16_t)(program[count + i] & 0xFFFF);
    for (uint32_t p = 0; p < width; ++p) sums[p] += (uint32_t)(weight * pixel[p]);
  }
  return program + 2 * count;
}

// Runs one row list on a block in C, with any requantization. Returns the end of the row list.
DCSR_NOINLINE static const uint32_t* run_slow_row(const DcsrLayer* layer, uint32_t row,
                                                  const uint32_t* program, const int8_t* x,
                                                  uint32_t width, int8_t* output) {
  uint32_t sums[kBlockPixels];
  for (uint32_t p = 0; p < width; ++p) sums[p] = (uint32_t)layer->bias[row];
  uint32_t code;
  do {
    code = *program++;
    const uint32_t count = code % kDcsrLastGroup;
    const uint32_t half = count < kDcsrGroupHalf ? count : (uint32_t)kDcsrGroupHalf;
    program = add_half(program, half, x, width, sums);
    program = add_half(program, count - half, x, width, sums);
  } while (code != 0 && code < kDcsrLastGroup);
  for (uint32_t p = 0; p < width; ++p) {
    output[p * layer->rows] = dcsr_requantize(layer, row, sums[p]);
  }
  return program;
}

// Runs the row lists of the rows from `row` on. `output` is that of row 0.
static void run_rows(const DcsrLayer* layer, const LayerArguments* arguments,
                     const uint32_t* program, uint32_t row, const int8_t* x, uint32_t width,
                     int8_t* output) {
#if DCSR_HAS_MVE
  RunRows* const run = rows_of_width(width);
#else
  (void)arguments;
#endif
  for (;;) {
#if DCSR_HAS_MVE
    program = run(arguments, program, output + row);
#else
    program += kHeaderWords;
#endif
    if (program[-1] == kEndOfRows) return;
    row = program[-kHeaderWords];
    program = run_slow_row(layer, row, program, x, width, output + row);
    ++row;
  }
}

static uint32_t count_groups(const uint32_t* program) {
  uint32_t groups = 0;
  uint32_t code;
  do {
    code = *program;
    program += 1 + 2 * (code % kDcsrLastGroup);
    ++groups;
  } while (code != 0 && code < kDcsrLastGroup);
  return groups;
}

// Appends the row list of the next row.
static uint32_t* append_row(const DcsrLayer* layer, DcsrWordReader* reader, uint32_t elements,
                            bool full, uint32_t* program) {
  const uint32_t row = reader->row.row;
  const uint32_t i = row * layer->requantize_stride;
  const int32_t bias = layer->bias[row];
  RowHeader* header = (RowHeader*)(void*)program;
  header->bias_low = bias & 0xFF;
  header->bias_high = bias >> 8;
  header->multiplier = layer->multiplier[i];
  header->shift = layer->shift[i];
  uint32_t* end = dcsr_next_row_program(reader, elements, &header->code);
  // Whether hi and lo hold every possible sum in int16 lanes.
  const bool has_high_part =
      dcsr_conv1x1_mve_requantizes(bias, header->shift, full) &&
      (elements <= kMostHighTerms || count_groups(&header->code) <= kMostHighGroups);
  if (DCSR_HAS_MVE && has_high_part) {
    header->code += kFirstGroup;
    return end;
  }
  header->bias_low = (int32_t)row;
  memmove(&header->code + 1, &header->code, (size_t)(end - &header->code) * sizeof(*end));
  header->code = kSlowRow;
  return end + 1;
}

static LayerArguments make_arguments(const DcsrLayer* layer) {
  LayerArguments arguments;
  arguments.zero_point = layer->output_zero_point;
  arguments.output_step = layer->rows * kLanes;
  for (uint32_t i = 0; i < kLanes; ++i) {
    arguments.offset[i] = (uint16_t)(layer->rows * i);
    arguments.min[i] = (int16_t)layer->activation_min;
    arguments.max[i] = (int16_t)layer->activation_max;
  }
  arguments.full = dcsr_conv1x1_mve_rounds_in_full(layer);
  return arguments;
}

void dcsr_conv1x1_mve(const DcsrPlan* plan, const DcsrLayer* layer, const DcsrConvShape* shape,
                      const void* input_data, void* output_data, void* scratch) {
  const int8_t* input = (const int8_t*)input_data;
  int8_t* output = (int8_t*)output_data;
  const size_t pixels = dcsr_pixel_count(shape);
  const uint32_t widest = (uint32_t)plan->tile_pixels;
  const size_t block_bytes = dcsr_conv1x1_mve_block_bytes(layer->cols, widest);
  const size_t word_bytes = dcsr_word_reader_bytes(plan->longest_row);
  const size_t program_bytes = plan->scratch_bytes - block_bytes - word_bytes;
  const PixelMap map = {input, layer, shape, layer->stride_h == 1 && layer->stride_w == 1};
  const LayerArguments arguments = make_arguments(layer);
  int8_t* x = (int8_t*)scratch;
  uint32_t* const programs = (uint32_t*)(void*)(x + block_bytes + word_bytes);
  const uint32_t* const programs_end = programs + program_bytes / sizeof(*programs);
  DcsrWordReader reader = dcsr_word_reader(layer, x, widest, plan->longest_row, x + block_bytes);
  size_t in_x = SIZE_MAX;  // first pixel of the block in x
  while (reader.row.row < layer->rows) {
    const uint32_t row = reader.row.row;
    uint32_t* program = programs;
    while (reader.row.row < layer->rows) {
      const uint32_t elements = dcsr_next_row_elements(&reader);
      if ((size_t)(programs_end - program) < dcsr_conv1x1_mve_row_words(elements)) break;
      program = append_row(layer, &reader, elements, arguments.full != 0, program);
    }
    program[kHeaderWords - 1] = kEndOfRows;
    for (size_t first = 0; first < pixels;) {
      const uint32_t width = dcsr_conv1x1_mve_block_width(first, pixels, widest);
      const size_t begin = pixels - first < width ? pixels - width : first;
      if (begin != in_x) transpose_block(&map, begin, width, widest, x);
      in_x = begin;
      run_rows(layer, &arguments, programs, row, x, width, output + begin * layer->rows);
      first = begin + width;
    }
  }
}
