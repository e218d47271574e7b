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
// Each group begins with the address of the instructions that multiply it. So a group may be as
// long as its weights allow, and needs no loop.

#include "tflm_kernels/mve/conv1x1_mve.h"

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

// Header of a row list, in the order in which the assembly loads it. The last field is the code of
// the first group, as the first one of a row. A slow row, and one with a single group, has the code
// of the group behind the header.
typedef struct {
  int32_t bias_low;  // the row's number if the row is slow
  int32_t bias_high;
  int32_t multiplier;
  uint32_t right_factor;  // 2^(31 - right shift)
  uint32_t code;
} RowHeader;

_Static_assert(sizeof(RowHeader) == kDcsrMveHeaderWords * sizeof(uint32_t), "plan_conv1x1_mve.h");

enum { kHeaderWords = kDcsrMveHeaderWords };

#if DCSR_HAS_MVE
// Instructions for the other codes of a header.
extern const uint8_t dcsr_mve_single_group[];
extern const uint8_t dcsr_mve_slow_row[];
extern const uint8_t dcsr_mve_end_of_rows[];

static uint32_t code_of(const uint8_t* instructions) {
  return (uint32_t)(uintptr_t)instructions + 1;
}

// The code of a row's first group, from that of a group; 0 for the last group of a row.
static uint32_t first_group_code(uint32_t code) { return dcsr_group_code(code)->first; }

static uint32_t single_group_code(void) { return code_of(dcsr_mve_single_group); }

static uint32_t slow_row_code(void) { return code_of(dcsr_mve_slow_row); }

static uint32_t end_of_rows_code(void) { return code_of(dcsr_mve_end_of_rows); }
#else
// Without MVE all rows are slow.
static uint32_t first_group_code(uint32_t code) {
  (void)code;
  return 0;
}

static uint32_t single_group_code(void) { return 0; }

static uint32_t slow_row_code(void) { return 16; }

static uint32_t end_of_rows_code(void) { return 17; }
#endif

// Values shared by all rows, in the order in which the assembly loads them.
typedef struct {
  int32_t zero_point;
  uint32_t output_step;     // NHWC: bytes of eight pixels; planes: bytes of a plane
  uint16_t offset[kLanes];  // of the outputs of eight pixels, unused for planes
  int8_t min[2 * kLanes];
  int8_t max[2 * kLanes];
} LayerArguments;

// ----- Transposition -----

// Returns the address of an output pixel's input.
static const int8_t* strided_address(const DcsrMveActivations* activations, size_t pixel) {
  const DcsrLayer* layer = activations->layer;
  const DcsrConvShape* shape = activations->shape;
  const size_t width = (size_t)shape->output_width;
  const size_t height = (size_t)shape->output_height;
  const size_t x = pixel % width * layer->stride_w;
  const size_t y = pixel / width % height * layer->stride_h;
  const size_t batch = pixel / width / height;
  return activations->input +
         ((batch * (size_t)shape->input_height + y) * (size_t)shape->input_width + x) * layer->cols;
}

#if DCSR_HAS_MVE
enum { kPartPixels = kDcsrMvePartPixels, kPartCols = 16 };

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
      ".p2align 2\n"
      "1:\n"
      "ldr.w lr, [%[constants], #4]\n"
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

#endif

void dcsr_transpose_pixels_mve(const int8_t* const pixel[kDcsrMvePartPixels], size_t cols,
                               size_t pitch, int8_t* x) {
#if DCSR_HAS_MVE
  if (cols >= kPartCols) {
    transpose_pixels(pixel, 1, cols, pitch, x);
    return;
  }
#endif
  for (size_t c = 0; c < cols; ++c) {
    for (size_t i = 0; i < kDcsrMvePartPixels; ++i) x[c * pitch + i] = pixel[i][c];
  }
}

void dcsr_fill_from_nhwc_mve(const DcsrMveActivations* activations, size_t first, uint32_t width,
                             size_t pitch, int8_t* x) {
  const DcsrLayer* layer = activations->layer;
  const size_t cols = layer->cols;
  const bool contiguous = layer->stride_h == 1 && layer->stride_w == 1;
  for (size_t p = 0; p < width; p += kDcsrMvePartPixels) {
    const int8_t* pixel[kDcsrMvePartPixels];
    for (size_t i = 0; i < kDcsrMvePartPixels; ++i) {
      const size_t number = first + p + i;
      pixel[i] =
          contiguous ? activations->input + number * cols : strided_address(activations, number);
    }
#if DCSR_HAS_MVE
    if (contiguous && cols >= kPartCols) {
      transpose_pixels(pixel, width / kPartPixels, cols, pitch, x);
      return;
    }
#endif
    dcsr_transpose_pixels_mve(pixel, cols, pitch, x + p);
  }
}

// ----- Products -----

#if DCSR_HAS_MVE

// Constants and layouts that the assembly uses as numbers.
_Static_assert(kLanes == 8 && kBlockPixels == 32, "");
_Static_assert(kDcsrMostGroup == 6 && kDcsrGroupHalf == 3, "dcsr_mve_function");
_Static_assert(offsetof(DcsrGroupCode, first) == 0 && offsetof(DcsrGroupCode, last) == 4 &&
                   offsetof(DcsrGroupCode, count) == 8 && offsetof(DcsrGroupCode, narrow) == 12 &&
                   sizeof(DcsrGroupCode) == 20,
               "dcsr_mve_group");
_Static_assert(offsetof(RowHeader, code) == 16, "dcsr_mve_begin");
_Static_assert(offsetof(LayerArguments, output_step) == 4, "");
_Static_assert(offsetof(LayerArguments, offset) == 8, "");
_Static_assert(offsetof(LayerArguments, min) == 24, "");
_Static_assert(offsetof(LayerArguments, max) == 40, "");

// Runs row lists with their headers on a block of 32, 16 or 8 pixels. Arguments: r0 layer
// arguments, r1 row lists, r2 output, r3 the end of a row, which stores to NHWC or to planes.
// Returns the end of the header whose code is that of a slow row or of the end of rows.
//
// Registers: r0 output of eight pixels, r1 output of the row, r2 the end of a row, r3 128, r4-r9
// addresses and weights of a group, r10 multiplier, r11 2^(31 - right shift), r12 code of the next
// group, lr row list. Vectors: lo from q0 on, then hi; q7 is temporary. Stack: the last of
// four hi, the arguments.
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

    // Schedules: docs/kernels.md#schedules. Each comment M, I or L names the pipe of a vector
    // instruction: multiplication, integer, loads and stores. A pipe takes a vector instruction
    // every second cycle, so neighbours should differ.

    // M alternates with I and L: a sum is shifted to hi while the remainder of the one before is
    // kept. The last hi is on the stack: it is first, so that it can be stored in the middle. The
    // remainder of q2 is left to the next group, which has nothing else to do until its addresses
    // are loaded (dcsr_mve_keep).
    ".macro dcsr_mve_flush_loaded\n"
    "vqdmlah.s16 q7, q3, r3\n"  // M
    "vbic.i16 q3, #0xff00\n"    // I
    "vqdmlah.s16 q4, q0, r3\n"  // M
    "vstrw.32 q7, [sp]\n"       // L
    "vqdmlah.s16 q5, q1, r3\n"  // M
    "vbic.i16 q0, #0xff00\n"    // I
    "vqdmlah.s16 q6, q2, r3\n"  // M
    "vbic.i16 q1, #0xff00\n"    // I
    ".endm\n"
    // Jumps to the next group. Narrower blocks have instructions of their own.
    ".macro dcsr_mve_next n\n"
    ".if \\n == 4\n"
    "bx r12\n"
    ".elseif \\n == 2\n"
    "ldr pc, [r12, #-9]\n"
    ".else\n"
    "ldr pc, [r12, #-5]\n"
    ".endif\n"
    ".endm\n"
    ".macro dcsr_mve_flush n\n"
    ".if \\n == 4\n"
    "vldrw.32 q7, [sp]\n"  // L
    "dcsr_mve_flush_loaded\n"
    ".elseif \\n == 2\n"
    "vqdmlah.s16 q2, q0, r3\n"
    "vbic.i16 q0, #0xff00\n"
    "vqdmlah.s16 q3, q1, r3\n"
    ".else\n"
    "vqdmlah.s16 q1, q0, r3\n"
    ".endif\n"
    "dcsr_mve_next \\n\n"
    ".endm\n"

    // Requantization of eight sums, lo and hi, to eight outputs in lo:
    //
    //   vqdmlah.s16  hi, lo, r3      M  hi += lo >> 8: the last group leaves lo without a flush
    //   vsli.16      lo, hi, #8      I  lower halves of the sums
    //   vqdmulh.s16  hi, hi, r3      M  upper halves, hi >> 8; VSHR does the same on I
    //   vmul.i32     t, lo, r6       M  a copy
    //   vsli.32      lo, hi, #16     I  even sums
    //   vsri.32      hi, t, #16      I  odd sums
    //   vqrdmulh.s32 lo, lo, r10     M  both by the multiplier
    //   vqdmlah.s32  lo, lo, r6      M  both: subtracts 1 from negative numbers, only if `full`
    //   vqrdmulh.s32 lo, lo, r11     M  both by 2^(31 - right shift)
    //   vqmovnb.s32  lo, lo          I
    //   vqmovnt.s32  lo, hi          I
    //   vqadd.s16    lo, lo, r4      I  zero point
    //   vqmovnb.s16  lo, lo          I  then clamps, if `full`
    //
    // r3 128, r4 zero point, r5 bytes of eight outputs, r6 1, r10 multiplier, r11 2^(31 - shift). A
    // number n below zero needs n - 1 in place of n, as VQRDMULH rounds halves up, and TFLM away
    // from zero. VQDMLAH by 1 adds the upper half of 2 * n, which is -1 or 0.

    // Stores a vector, of planes at r0 + 8 * `vector`.
    ".macro dcsr_mve_store planes, lo, t, vector\n"
    ".if \\planes\n"
    "vstrb.16 \\lo, [r0, #8 * \\vector]\n"  // L
    ".else\n"
    "vstrb.16 \\lo, [r0, \\t]\n"  // L
    ".endif\n"
    ".endm\n"

    // Requantizes two vectors, and stores at r0 and r0 + r5, of planes at r0 and r0 + 8. The
    // multiplications of one vector run beside the narrowing of the other.
    ".macro dcsr_mve_requantize2 planes, lo0, hi0, lo1, hi1, t, full\n"
    "vqdmlah.s16 \\hi0, \\lo0, r3\n"  // M
    "vqdmlah.s16 \\hi1, \\lo1, r3\n"  // M
    "vsli.16 \\lo0, \\hi0, #8\n"      // I
    ".if \\full\n"
    "vshr.s16 \\hi0, \\hi0, #8\n"  // I
    ".else\n"
    "vqdmulh.s16 \\hi0, \\hi0, r3\n"  // M
    ".endif\n"
    "vmul.i32 \\t, \\lo0, r6\n"         // M
    "vsli.32 \\lo0, \\hi0, #16\n"       // I
    "vqrdmulh.s32 \\lo0, \\lo0, r10\n"  // M
    "vsri.32 \\hi0, \\t, #16\n"         // I
    ".if \\full\n"
    "vqdmlah.s32 \\lo0, \\lo0, r6\n"  // M
    ".endif\n"
    "vsli.16 \\lo1, \\hi1, #8\n"        // I
    "vmul.i32 \\t, \\lo1, r6\n"         // M
    "vshr.s16 \\hi1, \\hi1, #8\n"       // I
    "vqrdmulh.s32 \\lo0, \\lo0, r11\n"  // M
    "vsli.32 \\lo1, \\hi1, #16\n"       // I
    "vqrdmulh.s32 \\hi0, \\hi0, r10\n"  // M
    "vsri.32 \\hi1, \\t, #16\n"         // I
    ".if \\full\n"
    "vqdmlah.s32 \\hi0, \\hi0, r6\n"  // M
    ".endif\n"
    "vqmovnb.s32 \\lo0, \\lo0\n"        // I
    "vqrdmulh.s32 \\hi0, \\hi0, r11\n"  // M
    ".if !\\planes\n"
    "vldrh.16 \\t, [sp, #24]\n"  // L
    ".endif\n"
    "vqrdmulh.s32 \\lo1, \\lo1, r10\n"  // M
    "vqmovnt.s32 \\lo0, \\hi0\n"        // I
    ".if \\full\n"
    "vqdmlah.s32 \\lo1, \\lo1, r6\n"  // M
    "vldrb.8 \\hi0, [sp, #40]\n"      // L
    ".endif\n"
    "vqrdmulh.s32 \\lo1, \\lo1, r11\n"  // M
    "vqadd.s16 \\lo0, \\lo0, r4\n"      // I
    "vqrdmulh.s32 \\hi1, \\hi1, r10\n"  // M
    "vqmovnb.s32 \\lo1, \\lo1\n"        // I
    ".if \\full\n"
    "vqdmlah.s32 \\hi1, \\hi1, r6\n"  // M
    ".endif\n"
    "vqmovnb.s16 \\lo0, \\lo0\n"        // I
    "vqrdmulh.s32 \\hi1, \\hi1, r11\n"  // M
    ".if \\full\n"
    // Clamps both vectors in one: those of lo1 are the upper bytes of its halfwords.
    "vqmovnt.s32 \\lo1, \\hi1\n"     // I
    "vldrb.8 \\hi1, [sp, #56]\n"     // L
    "vqadd.s16 \\lo1, \\lo1, r4\n"   // I
    "vqmovnt.s16 \\lo0, \\lo1\n"     // I
    "vmax.s8 \\lo0, \\lo0, \\hi0\n"  // I
    "vmin.s8 \\lo0, \\lo0, \\hi1\n"  // I
    "dcsr_mve_store \\planes, \\lo0, \\t, 0\n"
    "vshr.u16 \\lo0, \\lo0, #8\n"  // I
    ".if !\\planes\n"
    "add r0, r0, r5\n"
    ".endif\n"
    "dcsr_mve_store \\planes, \\lo0, \\t, 1\n"
    ".else\n"
    "dcsr_mve_store \\planes, \\lo0, \\t, 0\n"
    "vqmovnt.s32 \\lo1, \\hi1\n"  // I
    ".if !\\planes\n"
    "add r0, r0, r5\n"
    ".endif\n"
    "vqadd.s16 \\lo1, \\lo1, r4\n"  // I
    "vqmovnb.s16 \\lo1, \\lo1\n"    // I
    "dcsr_mve_store \\planes, \\lo1, \\t, 1\n"
    ".endif\n"
    ".endm\n"

    // The same for one vector, without anything to run beside it.
    ".macro dcsr_mve_requantize1 planes, lo, hi, t, full\n"
    "vqdmlah.s16 \\hi, \\lo, r3\n"
    "vsli.16 \\lo, \\hi, #8\n"
    "vqdmulh.s16 \\hi, \\hi, r3\n"
    "vmul.i32 \\t, \\lo, r6\n"
    "vsli.32 \\lo, \\hi, #16\n"
    "vqrdmulh.s32 \\lo, \\lo, r10\n"
    "vsri.32 \\hi, \\t, #16\n"
    "vqrdmulh.s32 \\hi, \\hi, r10\n"
    ".if \\full\n"
    "vqdmlah.s32 \\lo, \\lo, r6\n"
    "vqdmlah.s32 \\hi, \\hi, r6\n"
    ".endif\n"
    "vqrdmulh.s32 \\lo, \\lo, r11\n"
    ".if !\\planes\n"
    "vldrh.16 \\t, [sp, #24]\n"
    ".endif\n"
    "vqrdmulh.s32 \\hi, \\hi, r11\n"
    "vqmovnb.s32 \\lo, \\lo\n"
    "vqmovnt.s32 \\lo, \\hi\n"
    "vqadd.s16 \\lo, \\lo, r4\n"
    "vqmovnb.s16 \\lo, \\lo\n"
    ".if \\full\n"
    "vldrb.8 \\hi, [sp, #40]\n"
    "vmax.s8 \\lo, \\lo, \\hi\n"
    "vldrb.8 \\hi, [sp, #56]\n"
    "vmin.s8 \\lo, \\lo, \\hi\n"
    ".endif\n"
    "dcsr_mve_store \\planes, \\lo, \\t, 0\n"
    ".endm\n"

    // Requantizes four vectors without `full`: the sums of q0 to q3, the last hi on the stack. M
    // and I have 28 instructions each, which alternate. While the products of a vector are on M,
    // the one before it is narrowed and the one after it is put together on I. Registers: q7 is the
    // copy of all vectors, one after the other; the last hi takes q4, the offsets take q5, after
    // the odd sums of the first two vectors have left them.
    ".macro dcsr_mve_requantize4 planes\n"
    "mov.w r6, #1\n"
    "vqdmlah.s16 q5, q1, r3\n"  // M
    "ldrd r4, r5, [sp, #16]\n"
    "vqdmlah.s16 q4, q0, r3\n"    // M
    "vsli.16 q1, q5, #8\n"        // I
    "vqdmulh.s16 q5, q5, r3\n"    // M
    "vsli.16 q0, q4, #8\n"        // I
    "vmul.i32 q7, q1, r6\n"       // M
    "vsli.32 q1, q5, #16\n"       // I
    "vqdmulh.s16 q4, q4, r3\n"    // M
    "vsri.32 q5, q7, #16\n"       // I
    "vmul.i32 q7, q0, r6\n"       // M
    "vsli.32 q0, q4, #16\n"       // I
    "vqrdmulh.s32 q0, q0, r10\n"  // M
    "vsri.32 q4, q7, #16\n"       // I
    "vqrdmulh.s32 q0, q0, r11\n"  // M
    ".if !\\planes\n"
    "add r0, r1, r5\n"
    ".endif\n"
    "vqrdmulh.s32 q4, q4, r10\n"  // M
    "vqmovnb.s32 q0, q0\n"        // I
    "vqrdmulh.s32 q4, q4, r11\n"  // M
    "vqdmlah.s16 q6, q2, r3\n"    // M
    "vqmovnt.s32 q0, q4\n"        // I
    "vqrdmulh.s32 q1, q1, r10\n"  // M
    "vsli.16 q2, q6, #8\n"        // I
    "vqdmulh.s16 q6, q6, r3\n"    // M
    "vldrw.32 q4, [sp]\n"         // L
    "vmul.i32 q7, q2, r6\n"       // M
    "vsli.32 q2, q6, #16\n"       // I
    "vqdmlah.s16 q4, q3, r3\n"    // M
    "vsri.32 q6, q7, #16\n"       // I
    "vqrdmulh.s32 q2, q2, r10\n"  // M
    "vsli.16 q3, q4, #8\n"        // I
    "vmul.i32 q7, q3, r6\n"       // M
    "vqadd.s16 q0, q0, r4\n"      // I
    "vqdmulh.s16 q4, q4, r3\n"    // M
    "vqmovnb.s16 q0, q0\n"        // I
    "vqrdmulh.s32 q1, q1, r11\n"  // M
    "vsli.32 q3, q4, #16\n"       // I
    "vqrdmulh.s32 q2, q2, r11\n"  // M
    "vqmovnb.s32 q1, q1\n"        // I
    "vqrdmulh.s32 q5, q5, r10\n"  // M
    "vsri.32 q4, q7, #16\n"       // I
    "vqrdmulh.s32 q5, q5, r11\n"  // M
    "vqmovnb.s32 q2, q2\n"        // I
    "vqrdmulh.s32 q3, q3, r10\n"  // M
    "vqmovnt.s32 q1, q5\n"        // I
    "vqrdmulh.s32 q6, q6, r10\n"  // M
    ".if !\\planes\n"
    "vldrh.16 q5, [sp, #24]\n"  // L
    ".endif\n"
    "vqrdmulh.s32 q3, q3, r11\n"  // M
    "vqadd.s16 q1, q1, r4\n"      // I
    "vqrdmulh.s32 q6, q6, r11\n"  // M
    "vqmovnb.s32 q3, q3\n"        // I
    "vqrdmulh.s32 q4, q4, r10\n"  // M
    "vqmovnb.s16 q1, q1\n"        // I
    "vqrdmulh.s32 q4, q4, r11\n"  // M
    "vqmovnt.s32 q2, q6\n"        // I
    ".if \\planes\n"
    "vstrb.16 q0, [r1]\n"  // L
    ".else\n"
    "vstrb.16 q0, [r1, q5]\n"  // L
    ".endif\n"
    "vqmovnt.s32 q3, q4\n"  // I
    ".if \\planes\n"
    "vstrb.16 q1, [r1, #8]\n"  // L
    ".else\n"
    "vstrb.16 q1, [r0, q5]\n"  // L
    ".endif\n"
    "vqadd.s16 q2, q2, r4\n"  // I
    ".if !\\planes\n"
    "add r0, r0, r5\n"
    ".endif\n"
    "vqmovnb.s16 q2, q2\n"    // I
    "ldm lr!, {r8-r12}\n"     // the header of the next row
    "vqadd.s16 q3, q3, r4\n"  // I
    ".if \\planes\n"
    "vstrb.16 q2, [r1, #16]\n"  // L
    "vqmovnb.s16 q3, q3\n"      // I
    "vstrb.16 q3, [r1, #24]\n"  // L
    "add r1, r1, r5\n"
    ".else\n"
    "vstrb.16 q2, [r0, q5]\n"  // L
    "vqmovnb.s16 q3, q3\n"     // I
    "add r0, r0, r5\n"
    "add r1, r1, #1\n"
    "vstrb.16 q3, [r0, q5]\n"  // L
    ".endif\n"
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

    // Begins a row whose header is loaded. Blocks of 32 pixels are cleared by the first group.
    ".macro dcsr_mve_begin n\n"
    ".if \\n < 4\n"
    "dcsr_mve_clear \\n\n"
    ".endif\n"
    "dcsr_mve_next \\n\n"
    ".endm\n"

    // The end of a row, which is `name`. Loads the header of the next one.
    ".macro dcsr_mve_end name, n, full, planes\n"
    ".p2align 2\n"
    ".global \\name\n"
    "\\name:\n"
    ".if \\n == 4 && !\\full\n"
    "dcsr_mve_requantize4 \\planes\n"
    ".else\n"
    "ldrd r4, r5, [sp, #16]\n"
    "mov.w r6, #1\n"
    "mov.w r0, r1\n"
    ".if \\n == 4\n"
    "dcsr_mve_requantize2 \\planes, q0, q4, q1, q5, q7, \\full\n"
    "vldrw.32 q0, [sp]\n"
    ".if \\planes\n"
    "add r0, r0, #16\n"
    ".else\n"
    "add r0, r0, r5\n"
    ".endif\n"
    "dcsr_mve_requantize2 \\planes, q2, q6, q3, q0, q7, \\full\n"
    ".elseif \\n == 2\n"
    "dcsr_mve_requantize2 \\planes, q0, q2, q1, q3, q7, \\full\n"
    ".else\n"
    "dcsr_mve_requantize1 \\planes, q0, q1, q7, \\full\n"
    ".endif\n"
    "ldm lr!, {r8-r12}\n"
    ".if \\planes\n"
    "add r1, r1, r5\n"
    ".else\n"
    "add r1, r1, #1\n"
    ".endif\n"
    ".endif\n"
    "dcsr_mve_begin \\n\n"
    ".endm\n"

    ".macro dcsr_mve_keep n\n"
    ".if \\n == 4\n"
    "vbic.i16 q2, #0xff00\n"
    ".elseif \\n == 2\n"
    "vbic.i16 q1, #0xff00\n"
    ".else\n"
    "vbic.i16 q0, #0xff00\n"
    ".endif\n"
    ".endm\n"

    // A group of `k` nonzeros: .Lgroup<n>_<k>, and .Llast<n>_<k> for the last group of a row, which
    // jumps to the end without a flush. `next` receives the code of the next group. It is empty for
    // the last group. The second half of a group is loaded before the last nonzero of the first
    // half, whose registers it spares, so that the addresses are there in time; only six nonzeros
    // need all registers.
    ".macro dcsr_mve_one n, next:vararg\n"
    "ldm lr!, {r4, r5 \\next}\n"
    "dcsr_mve_keep \\n\n"
    "dcsr_mve_multiply \\n, r4, r5\n"
    ".endm\n"
    ".macro dcsr_mve_two n, next:vararg\n"
    "ldm lr!, {r4-r7 \\next}\n"
    "dcsr_mve_keep \\n\n"
    "dcsr_mve_multiply \\n, r4, r6\n"
    "dcsr_mve_multiply \\n, r5, r7\n"
    ".endm\n"
    ".macro dcsr_mve_three n, next:vararg\n"
    "ldm lr!, {r4-r9 \\next}\n"
    "dcsr_mve_keep \\n\n"
    "dcsr_mve_multiply \\n, r4, r7\n"
    "dcsr_mve_multiply \\n, r5, r8\n"
    "dcsr_mve_multiply \\n, r6, r9\n"
    ".endm\n"
    ".macro dcsr_mve_second_one n, next:vararg\n"
    "ldm lr!, {r4, r5 \\next}\n"
    "dcsr_mve_multiply \\n, r6, r9\n"
    "dcsr_mve_multiply \\n, r4, r5\n"
    ".endm\n"
    ".macro dcsr_mve_second_two n, next:vararg\n"
    "ldm lr!, {r4, r5, r7, r8 \\next}\n"
    "dcsr_mve_multiply \\n, r6, r9\n"
    "dcsr_mve_multiply \\n, r4, r7\n"
    "dcsr_mve_multiply \\n, r5, r8\n"
    ".endm\n"
    ".macro dcsr_mve_second_three n, next:vararg\n"
    "dcsr_mve_multiply \\n, r6, r9\n"
    "ldm lr!, {r4-r9 \\next}\n"
    "dcsr_mve_multiply \\n, r4, r7\n"
    "dcsr_mve_multiply \\n, r5, r8\n"
    "dcsr_mve_multiply \\n, r6, r9\n"
    ".endm\n"
    ".macro dcsr_mve_first_half n, three\n"
    ".if \\three\n"
    "ldm lr!, {r4-r9}\n"
    "dcsr_mve_keep \\n\n"
    "dcsr_mve_multiply \\n, r4, r7\n"
    "dcsr_mve_multiply \\n, r5, r8\n"
    ".endif\n"
    ".endm\n"
    // The instructions for blocks of 32 pixels stand behind a DcsrGroupCode.
    ".macro dcsr_mve_group n, k, rest, three\n"
    ".p2align 2\n"
    ".if \\n == 4\n"
    ".word .Lfirst4_\\k + 1, .Llast4_\\k + 1, \\k, .Lgroup2_\\k + 1, .Lgroup1_\\k + 1\n"
    ".global dcsr_mve_group\\k\n"
    "dcsr_mve_group\\k\\():\n"
    ".endif\n"
    ".Lgroup\\n\\()_\\k\\():\n"
    "dcsr_mve_first_half \\n, \\three\n"
    "\\rest \\n, , r12\n"
    "dcsr_mve_flush \\n\n"
    ".p2align 2\n"
    ".if \\n == 4\n"
    ".word 0, .Llast4_\\k + 1, \\k, .Llast2_\\k + 1, .Llast1_\\k + 1\n"
    ".endif\n"
    ".Llast\\n\\()_\\k\\():\n"
    "dcsr_mve_first_half \\n, \\three\n"
    "\\rest \\n\n"
    "bx r2\n"
    ".endm\n"

    // The first of several groups of a row, in blocks of 32 pixels. It initialises the sums with
    // the bias: lo from r8 by its first multiplication, hi from r9 between the loads (L) and
    // multiplications (M), as VDUP is on I.
    ".macro dcsr_mve_multiply_first address, weight, low, high\n"
    "vdup.16 q4, \\high\n"              // I
    "vldrb.s16 q0, [\\address]\n"       // L
    "vdup.16 q7, \\weight\n"            // I
    "vmlas.u16 q0, q7, \\low\n"         // M
    "vldrb.s16 q1, [\\address, #8]\n"   // L
    "vmlas.u16 q1, q7, \\low\n"         // M
    "vdup.16 q5, \\high\n"              // I
    "vldrb.s16 q2, [\\address, #16]\n"  // L
    "vmlas.u16 q2, q7, \\low\n"         // M
    "vdup.16 q6, \\high\n"              // I
    "vldrb.s16 q3, [\\address, #24]\n"  // L
    "vmlas.u16 q3, q7, \\low\n"         // M
    ".endm\n"
    ".macro dcsr_mve_first_one n, next:vararg\n"
    "ldm lr!, {r4, r5 \\next}\n"
    "dcsr_mve_multiply_first r4, r5, r8, r9\n"
    ".endm\n"
    ".macro dcsr_mve_first_two n, next:vararg\n"
    "ldm lr!, {r4-r7 \\next}\n"
    "dcsr_mve_multiply_first r4, r6, r8, r9\n"
    "dcsr_mve_multiply 4, r5, r7\n"
    ".endm\n"
    // Moves the bias out of the registers of two weights.
    ".macro dcsr_mve_first_first_half\n"
    "mov r12, r8\n"
    "mov r0, r9\n"
    "ldm lr!, {r4-r9}\n"
    "dcsr_mve_multiply_first r4, r7, r12, r0\n"
    "dcsr_mve_multiply 4, r5, r8\n"
    ".endm\n"
    ".macro dcsr_mve_first_three n, next:vararg\n"
    "dcsr_mve_first_first_half\n"
    "dcsr_mve_multiply 4, r6, r9\n"
    "ldr r12, [lr], #4\n"
    ".endm\n"
    ".macro dcsr_mve_first_group k, rest, three, bias\n"
    ".p2align 2\n"
    ".word .Lgroup2_\\k + 1, .Lgroup1_\\k + 1\n"
    ".Lfirst4_\\k\\():\n"
    ".if \\three\n"
    "dcsr_mve_first_first_half\n"
    ".endif\n"
    "\\rest 4, , r12\n"
    // A flush whose last hi is still the bias.
    "vdup.16 q7, \\bias\n"
    "dcsr_mve_flush_loaded\n"
    "bx r12\n"
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
    "mov r2, r3\n"
    "movs r3, #128\n"
    "ldm lr!, {r8-r12}\n"
    "dcsr_mve_begin \\n\n"
    // A row with a single group, whose code stands behind the header.
    ".p2align 2\n"
    ".if \\n == 4\n"
    ".word .Lsingle2 + 1, .Lsingle1 + 1\n"
    ".global dcsr_mve_single_group\n"
    "dcsr_mve_single_group:\n"
    ".endif\n"
    ".Lsingle\\n\\():\n"
    "ldr r12, [lr], #4\n"
    ".if \\n == 4\n"
    "dcsr_mve_clear 4\n"
    ".endif\n"
    "dcsr_mve_next \\n\n"
    // A row without nonzeros.
    ".p2align 2\n"
    ".if \\n == 4\n"
    ".word 0, .Lempty4 + 1, 0, .Lempty2 + 1, .Lempty1 + 1\n"
    ".global dcsr_mve_empty_row\n"
    "dcsr_mve_empty_row:\n"
    ".endif\n"
    ".Lempty\\n\\():\n"
    "bx r2\n"
    "dcsr_mve_group \\n, 1, dcsr_mve_one, 0\n"
    "dcsr_mve_group \\n, 2, dcsr_mve_two, 0\n"
    "dcsr_mve_group \\n, 3, dcsr_mve_three, 0\n"
    "dcsr_mve_group \\n, 4, dcsr_mve_second_one, 1\n"
    "dcsr_mve_group \\n, 5, dcsr_mve_second_two, 1\n"
    "dcsr_mve_group \\n, 6, dcsr_mve_second_three, 1\n"
    ".if \\n == 4\n"
    "dcsr_mve_first_group 1, dcsr_mve_first_one, 0, r9\n"
    "dcsr_mve_first_group 2, dcsr_mve_first_two, 0, r9\n"
    "dcsr_mve_first_group 3, dcsr_mve_first_three, 0, r0\n"
    "dcsr_mve_first_group 4, dcsr_mve_second_one, 1, r0\n"
    "dcsr_mve_first_group 5, dcsr_mve_second_two, 1, r0\n"
    "dcsr_mve_first_group 6, dcsr_mve_second_three, 1, r0\n"
    ".endif\n"
    "dcsr_mve_end dcsr_mve_end\\n\\()_0, \\n, 0, 0\n"
    "dcsr_mve_end dcsr_mve_end\\n\\()_1, \\n, 1, 0\n"
    ".p2align 2\n"
    ".if \\n == 4\n"
    ".word .Lreturn2 + 1, .Lreturn1 + 1\n"
    ".global dcsr_mve_slow_row\n"
    "dcsr_mve_slow_row:\n"
    "b .Lreturn4\n"
    ".p2align 2\n"
    ".word .Lreturn2 + 1, .Lreturn1 + 1\n"
    ".global dcsr_mve_end_of_rows\n"
    "dcsr_mve_end_of_rows:\n"
    ".endif\n"
    ".Lreturn\\n\\():\n"
    "mov r0, lr\n"
    "add sp, #76\n"
    "vpop {d8-d15}\n"
    "pop {r4-r11, pc}\n"
    ".size dcsr_conv1x1_mve_rows\\n, . - dcsr_conv1x1_mve_rows\\n\n"
    ".endm\n"

    "dcsr_mve_function 4\n"
    "dcsr_mve_function 2\n"
    "dcsr_mve_function 1\n"

    // Only a firmware with layers in planes links these ends.
    ".section .text.dcsr_mve_plane_ends, \"ax\", %progbits\n"
    "dcsr_mve_end dcsr_mve_plane_end4_0, 4, 0, 1\n"
    "dcsr_mve_end dcsr_mve_plane_end4_1, 4, 1, 1\n"
    "dcsr_mve_end dcsr_mve_plane_end2_0, 2, 0, 1\n"
    "dcsr_mve_end dcsr_mve_plane_end2_1, 2, 1, 1\n"
    "dcsr_mve_end dcsr_mve_plane_end1_0, 1, 0, 1\n"
    "dcsr_mve_end dcsr_mve_plane_end1_1, 1, 1, 1\n"
    ".text\n");

// The end of a row for blocks of 32, 16 or 8 pixels, without and with rounding in full.
extern const uint8_t dcsr_mve_end4_0[];
extern const uint8_t dcsr_mve_end4_1[];
extern const uint8_t dcsr_mve_end2_0[];
extern const uint8_t dcsr_mve_end2_1[];
extern const uint8_t dcsr_mve_end1_0[];
extern const uint8_t dcsr_mve_end1_1[];
extern const uint8_t dcsr_mve_plane_end4_0[];
extern const uint8_t dcsr_mve_plane_end4_1[];
extern const uint8_t dcsr_mve_plane_end2_0[];
extern const uint8_t dcsr_mve_plane_end2_1[];
extern const uint8_t dcsr_mve_plane_end1_0[];
extern const uint8_t dcsr_mve_plane_end1_1[];

const DcsrMveEnds kDcsrMveNhwcEnds = {{{dcsr_mve_end1_0, dcsr_mve_end2_0, dcsr_mve_end4_0},
                                       {dcsr_mve_end1_1, dcsr_mve_end2_1, dcsr_mve_end4_1}}};
const DcsrMveEnds kDcsrMvePlaneEnds = {
    {{dcsr_mve_plane_end1_0, dcsr_mve_plane_end2_0, dcsr_mve_plane_end4_0},
     {dcsr_mve_plane_end1_1, dcsr_mve_plane_end2_1, dcsr_mve_plane_end4_1}}};

typedef const uint32_t* RunRows(const LayerArguments* arguments, const uint32_t* program,
                                int8_t* output, uint32_t end);
RunRows dcsr_conv1x1_mve_rows4;
RunRows dcsr_conv1x1_mve_rows2;
RunRows dcsr_conv1x1_mve_rows1;

static RunRows* rows_of_width(uint32_t width) {
  return width == kBlockPixels       ? dcsr_conv1x1_mve_rows4
         : width == kBlockPixels / 2 ? dcsr_conv1x1_mve_rows2
                                     : dcsr_conv1x1_mve_rows1;
}

// Returns the code of the end of a row of a layer, for blocks of `width` pixels.
static uint32_t end_code(const DcsrMveActivations* activations, uint32_t width) {
  const bool full = dcsr_conv1x1_mve_rounds_in_full(activations->layer);
  return code_of(activations->ends->end[full ? 1 : 0][width / (2 * kLanes)]);
}

static const int8_t* nonzero_address(const int8_t* x, uint32_t word) {
  (void)x;
  return (const int8_t*)(uintptr_t)word;
}

#else

const DcsrMveEnds kDcsrMveNhwcEnds = {{{NULL, NULL, NULL}, {NULL, NULL, NULL}}};
const DcsrMveEnds kDcsrMvePlaneEnds = {{{NULL, NULL, NULL}, {NULL, NULL, NULL}}};

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
DCSR_NOINLINE static const uint32_t* run_slow_row(const DcsrMveActivations* activations,
                                                  uint32_t row, const uint32_t* program,
                                                  const int8_t* x, uint32_t width, int8_t* output) {
  const DcsrLayer* layer = activations->layer;
  uint32_t sums[kBlockPixels];
  const DcsrRowTail tail = dcsr_row_tail(layer, row);
  for (uint32_t p = 0; p < width; ++p) sums[p] = (uint32_t)tail.bias;
  uint32_t code;
  do {
    code = *program++;
    const uint32_t count = dcsr_group_count(code);
    const uint32_t half = count < kDcsrGroupHalf ? count : (uint32_t)kDcsrGroupHalf;
    program = add_half(program, half, x, width, sums);
    program = add_half(program, count - half, x, width, sums);
  } while (!dcsr_is_last_group(code));
  for (uint32_t p = 0; p < width; ++p) {
    output[p * activations->pixel_bytes] =
        dcsr_requantize_by(layer, tail.multiplier, tail.shift, sums[p]);
  }
  return program;
}

// Runs the row lists of the rows from `row` on. `output` is that of row 0.
static void run_rows(const DcsrMveActivations* activations, const LayerArguments* arguments,
                     const uint32_t* program, uint32_t row, const int8_t* x, uint32_t width,
                     int8_t* output) {
  const size_t row_bytes = activations->row_bytes;
#if DCSR_HAS_MVE
  RunRows* const run = rows_of_width(width);
  const uint32_t end = end_code(activations, width);
#else
  (void)arguments;
#endif
  for (;;) {
#if DCSR_HAS_MVE
    program = run(arguments, program, output + row * row_bytes, end);
#else
    program += kHeaderWords;
#endif
    if (program[-1] == end_of_rows_code()) return;
    row = program[-kHeaderWords];
    program = run_slow_row(activations, row, program, x, width, output + row * row_bytes);
    ++row;
  }
}

static uint32_t count_groups(const uint32_t* program) {
  uint32_t groups = 0;
  uint32_t code;
  do {
    code = *program;
    program += 1 + 2 * dcsr_group_count(code);
    ++groups;
  } while (!dcsr_is_last_group(code));
  return groups;
}

// Appends the row list of the next row.
static uint32_t* append_row(const DcsrLayer* layer, DcsrWordReader* reader, uint32_t elements,
                            uint32_t* program) {
  const uint32_t row = reader->row.row;
  const DcsrRowTail tail = dcsr_fast_row_tail(layer, row);
  RowHeader* header = (RowHeader*)(void*)program;
  header->bias_low = tail.bias & 0xFF;
  header->bias_high = tail.bias >> 8;
  header->multiplier = tail.multiplier;
  header->right_factor = tail.shift < 0 ? UINT32_C(1) << (31 + tail.shift) : 0;
  uint32_t* end = dcsr_next_row_program(reader, elements, &header->code);
  // Whether hi and lo hold every possible sum in int16 lanes.
  const bool has_high_part =
      dcsr_conv1x1_mve_requantizes(tail.bias, tail.shift) &&
      (elements <= kMostHighTerms || count_groups(&header->code) <= kMostHighGroups);
  const bool is_slow = !DCSR_HAS_MVE || !has_high_part;
  const uint32_t first = first_group_code(header->code);
  if (!is_slow && first != 0) {
    header->code = first;
    return end;
  }
  memmove(&header->code + 1, &header->code, (size_t)(end - &header->code) * sizeof(*end));
  if (is_slow) header->bias_low = (int32_t)row;
  header->code = is_slow ? slow_row_code() : single_group_code();
  return end + 1;
}

static LayerArguments make_arguments(const DcsrMveActivations* activations) {
  const DcsrLayer* layer = activations->layer;
  const bool is_nhwc = activations->row_bytes == 1;
  LayerArguments arguments;
  arguments.zero_point = layer->output_zero_point;
  arguments.output_step = (uint32_t)(is_nhwc ? layer->rows * kLanes : activations->row_bytes);
  for (uint32_t i = 0; i < kLanes; ++i) {
    arguments.offset[i] = (uint16_t)(layer->rows * i);
  }
  memset(arguments.min, layer->activation_min, sizeof(arguments.min));
  memset(arguments.max, layer->activation_max, sizeof(arguments.max));
  return arguments;
}

// Pixels of a map that are computed together.
typedef struct {
  size_t begin;
  uint32_t width;
} Block;

// Returns the block for the pixels from `first` on. If too few are left, it begins before `first`.
static Block block_from(size_t first, size_t pixels, uint32_t widest) {
  const uint32_t width = dcsr_conv1x1_mve_block_width(first, pixels, widest);
  const Block block = {pixels - first < width ? pixels - width : first, width};
  return block;
}

// Advances to the next block, but not to the one that begins at `kept`. `next`: the first pixel
// after the blocks so far. Returns false if there is none.
static bool next_block(size_t pixels, uint32_t widest, size_t kept, size_t* next, Block* block) {
  while (*next < pixels) {
    const Block found = block_from(*next, pixels, widest);
    *next = found.begin + found.width;
    if (found.begin != kept) {
      *block = found;
      return true;
    }
  }
  return false;
}

void dcsr_run_conv1x1_mve(const DcsrPlan* plan, const DcsrMveActivations* activations,
                          void* scratch, DcsrWordStage* stage) {
  const DcsrLayer* layer = activations->layer;
  const size_t pixels = dcsr_pixel_count(activations->shape);
  const uint32_t widest = (uint32_t)plan->tile_pixels;
  const size_t block_bytes = dcsr_conv1x1_mve_block_bytes(layer->cols, widest);
  const size_t word_bytes = dcsr_word_reader_bytes(plan->longest_row);
  const size_t program_bytes = plan->scratch_bytes - block_bytes - word_bytes;
  const LayerArguments arguments = make_arguments(activations);
  int8_t* x = (int8_t*)scratch;
  uint32_t* const programs = (uint32_t*)(void*)(x + block_bytes + word_bytes);
  const uint32_t* const programs_end = programs + program_bytes / sizeof(*programs);
  DcsrWordReader reader =
      dcsr_word_reader(layer, stage, x, widest, plan->longest_row, x + block_bytes);
  Block block = {SIZE_MAX, 0};  // in x
  while (reader.row.row < layer->rows) {
    const uint32_t row = reader.row.row;
    uint32_t* program = programs;
    while (reader.row.row < layer->rows) {
      const uint32_t elements = dcsr_next_row_elements(&reader);
      if ((size_t)(programs_end - program) < dcsr_conv1x1_mve_row_words(elements)) break;
      program = append_row(layer, &reader, elements, program);
    }
    program[kHeaderWords - 1] = end_of_rows_code();
    // The first block is the one that is in x already.
    const size_t kept = block.begin;
    bool is_in_x = kept != SIZE_MAX;
    for (size_t next = 0; is_in_x || next_block(pixels, widest, kept, &next, &block);) {
      if (!is_in_x) activations->fill(activations, block.begin, block.width, widest, x);
      is_in_x = false;
      run_rows(activations, &arguments, programs, row, x, block.width,
               activations->output + block.begin * activations->pixel_bytes);
    }
  }
}

DCSR_NOINLINE static void convolve(const DcsrPlan* plan, const DcsrLayer* layer,
                                   const DcsrConvShape* shape, const void* input, void* output,
                                   void* scratch, DcsrWordStage* stage) {
  const DcsrMveActivations activations = {
      layer,       shape, (const int8_t*)input,    (int8_t*)output,
      layer->rows, 1,     dcsr_fill_from_nhwc_mve, &kDcsrMveNhwcEnds};
  dcsr_run_conv1x1_mve(plan, &activations, scratch, stage);
}

// The kernel for the layers of one stage.
#define DCSR_PART(name, stage)                                                        \
  void name(const DcsrPlan* plan, const DcsrLayer* layer, const DcsrConvShape* shape, \
            const void* input, void* output, void* scratch) {                         \
    convolve(plan, layer, shape, input, output, scratch, stage);                      \
  }

DCSR_PART(dcsr_conv1x1_mve, dcsr_word_stage(layer))
DCSR_PART(dcsr_conv1x1_mve_groups, dcsr_mve_stage_none)
DCSR_PART(dcsr_conv1x1_mve_nibbles, dcsr_mve_stage_nibbles)
DCSR_PART(dcsr_conv1x1_mve_bytes, dcsr_mve_stage_bytes)
DCSR_PART(dcsr_conv1x1_mve_offset8, dcsr_mve_stage_offset8)
DCSR_PART(dcsr_conv1x1_mve_ones, dcsr_mve_stage_ones)
