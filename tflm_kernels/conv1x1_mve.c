// 1x1 convolution with vectors (MVE: Cortex-M55, M85), every encoding. Packed layer: docs/format.md.
//
// One weight at a time is multiplied with eight pixels at a time, which lie side by side in blocks
// x[cols][32] of a tile (docs/kernels.md has a picture). The nonzeros of a row are decoded once for
// a tile, to a list of words `offset of the column in a block << 16 | weight`: VMLA ignores the
// upper half of its scalar, and one ADD with a shift makes the address.
//
// Sums are int16 lanes, hi and lo: sum = 256 * hi + lo. After a group of nonzeros whose |weight| add
// up to kGroupWeight at most, `hi += lo >> 8; lo &= 255` (VQDMLAH with 128, which is exact, and
// VBIC). With |x| <= 128 and 255 left in lo that is safe: 128 * 254 + 255 = 2^15 - 1.
//
// The list is a program (row_words_mve.h): the number of words before a group is where a table says
// what code to jump to. So groups may be as long as their weights allow, and cost no loop.

#include "tflm_kernels/conv1x1_mve.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "tflm_kernels/compiler.h"
#include "tflm_kernels/pixels.h"
#include "tflm_kernels/row_reader.h"
#include "tflm_kernels/requantize.h"
#include "tflm_kernels/row_words_mve.h"

#if defined(__ARM_FEATURE_MVE) && (__ARM_FEATURE_MVE & 1)
#define DCSR_HAS_MVE 1
#include <arm_mve.h>
#else
#define DCSR_HAS_MVE 0
#endif

enum {
  kLanes = 8,
  kBlockPixels = 32,
  kMostRows = 9362,  // the offsets of eight pixels' outputs have 16 bits
  // Then 256 * hi + lo has room for bias and sum.
  kMostHighTerms = 256,
  kMostHighBias = 1 << 22,
};

// What the code for a row takes, in the order that it loads it.
typedef struct {
  int32_t multiplier;
  int32_t shift;
  int32_t zero_point;
  uint32_t output_step;  // bytes of eight pixels
  uint32_t bias_low;
  int32_t bias_high;
  const uint32_t* list;
  uint32_t first;           // number of words of the first group
  uint16_t offset[kLanes];  // of the outputs of eight pixels
  int16_t min[kLanes];
  int16_t max[kLanes];
} RowArguments;

// Blocks of one width that follow each other. The pixels of the last may overlap those before.
typedef struct Run Run;
struct Run {
  const int8_t* x;
  uint32_t step;       // bytes of a block
  const int8_t* last;  // the block that overlaps, else the end
  uint32_t overlap;    // bytes of output; 0 if none does
  uint32_t width;      // pixels of a block: 32, 16 or 8; 0: there are no more runs
  uint32_t blocks;
  size_t output;  // bytes from the tile's to the first block's
  void (*multiply)(const RowArguments* arguments, const Run* run, int8_t* output, bool full);
};

#if DCSR_HAS_MVE
void dcsr_conv1x1_mve_blocks4(const RowArguments* arguments, const Run* run, int8_t* output,
                              bool full);
void dcsr_conv1x1_mve_blocks2(const RowArguments* arguments, const Run* run, int8_t* output,
                              bool full);
void dcsr_conv1x1_mve_blocks1(const RowArguments* arguments, const Run* run, int8_t* output,
                              bool full);
#endif

enum { kMostRuns = 4 };

typedef struct {
  size_t tile_pixels;  // 0: scratch is too small
  size_t widest;       // pixels of a block
  size_t longest;    // elements of a row
  size_t list_bytes;
  size_t bytes;
} Plan;

static size_t longest_row(const DcsrLayer* layer) {
  uint32_t longest = 0;
#if DCSR_HAS_MVE
  if (layer->row_length_bytes == 1) {
    for (uint32_t row = 0; row < layer->rows; row += 16) {
      const mve_pred16_t rows = vctp8q(layer->rows - row);
      longest = vmaxvq_p_u8((uint8_t)longest, vldrbq_z_u8(layer->row_length + row, rows), rows);
    }
    return longest;
  }
#endif
  for (uint32_t row = 0; row < layer->rows; ++row) {
    const uint32_t length = dcsr_row_length(layer, row);
    if (length > longest) longest = length;
  }
  return longest;
}

// Blocks overlap instead of ending early, so a tile of `pixels` takes the bytes of whole vectors.
static size_t round_up(size_t value, size_t unit) { return (value + unit - 1) / unit * unit; }

static Plan make_plan(const DcsrLayer* layer, size_t pixels, size_t budget) {
  Plan plan = {0, 0, 0, 0, 0};
  if (pixels < kLanes || layer->cols > kDcsrWordCols || layer->rows > kMostRows) return plan;
  plan.longest = longest_row(layer);
  const size_t list_bytes = dcsr_word_reader_bytes(plan.longest);
  if (budget < list_bytes) return plan;
  const size_t vector_bytes = (size_t)layer->cols * kLanes;
  const size_t most = (budget - list_bytes) / vector_bytes * kLanes;
  if (most < kLanes) return plan;
  const size_t all = round_up(pixels, kLanes);
  if (most >= all) {
    plan.tile_pixels = all;
  } else {
    // As few tiles as possible, as each decodes the layer; then of about the same size.
    const size_t unit = most >= kBlockPixels ? kBlockPixels : most >= 16 ? 16 : kLanes;
    const size_t tiles = (pixels + most / unit * unit - 1) / (most / unit * unit);
    plan.tile_pixels = round_up((pixels + tiles - 1) / tiles, unit);
  }
  plan.list_bytes = list_bytes;
  plan.bytes = list_bytes + plan.tile_pixels * layer->cols;
  return plan;
}

// Cuts a tile of `pixels` >= kLanes into blocks, which are in `x`.
static void plan_runs(const DcsrLayer* layer, size_t pixels, const int8_t* x,
                      Run runs[kMostRuns + 1]) {
  size_t first = 0;
  for (uint32_t width = kBlockPixels; width >= kLanes; width /= 2) {
    // What is left of less than a vector is for the narrowest.
    const size_t least = width - kLanes;
    size_t blocks = (pixels - first) / width;
    if (pixels - first - blocks * width > least) ++blocks;
    if (blocks == 0 || pixels < width) continue;
    const size_t end = first + blocks * width;
    const size_t overlap = end > pixels ? end - pixels : 0;
    runs->x = x;
    runs->step = (uint32_t)(width * layer->cols);
    x += blocks * runs->step;
    runs->last = overlap > 0 ? x - runs->step : x;
    runs->overlap = (uint32_t)(overlap * layer->rows);
    runs->width = width;
    runs->blocks = (uint32_t)blocks;
    runs->output = first * layer->rows;
#if DCSR_HAS_MVE
    runs->multiply = width == kBlockPixels       ? dcsr_conv1x1_mve_blocks4
                     : width == kBlockPixels / 2 ? dcsr_conv1x1_mve_blocks2
                                                 : dcsr_conv1x1_mve_blocks1;
#else
    runs->multiply = NULL;
#endif
    if (blocks == 1 && overlap > 0) {
      // Nothing comes before it in the run.
      runs->output -= runs->overlap;
      runs->overlap = 0;
      runs->last = x;
    }
    ++runs;
    first = end;
    if (first >= pixels) break;
  }
  runs->width = 0;
}

// ----- Transposition -----

// Addresses of consecutive pixels, from any on.
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

// `parts` times kPartCols columns of four pixels, to x[column][width]. VST4 interleaves the bytes of
// the pixels to words of a column, which are then scattered.
static void transpose_parts(const int8_t* const pixel[kPartPixels], size_t column, size_t parts,
                            size_t width, int8_t* x) {
  const int8_t* pixel0 = pixel[0] + column;
  const int8_t* pixel1 = pixel[1] + column;
  const int8_t* pixel2 = pixel[2] + column;
  const int8_t* pixel3 = pixel[3] + column;
  int8_t words[kPartPixels * kPartCols] __attribute__((aligned(16)));
  const uint32x4_t offsets0 = vmulq_n_u32(vidupq_n_u32(0, 1), (uint32_t)width);
  const uint32x4_t offsets1 = vaddq_n_u32(offsets0, (uint32_t)width * 4);
  const uint32x4_t offsets2 = vaddq_n_u32(offsets0, (uint32_t)width * 8);
  const uint32x4_t offsets3 = vaddq_n_u32(offsets0, (uint32_t)width * 12);
  x += column * width;
  __asm__ volatile(
      "dls lr, %[parts]\n"
      "1:\n"
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
      "le lr, 1b\n"
      : [pixel0] "+r"(pixel0), [pixel1] "+r"(pixel1), [pixel2] "+r"(pixel2), [pixel3] "+r"(pixel3),
        [x] "+r"(x)
      : [parts] "r"(parts), [words] "r"(words), [step] "r"(width * kPartCols),
        [offsets0] "w"(offsets0), [offsets1] "w"(offsets1), [offsets2] "w"(offsets2),
        [offsets3] "w"(offsets3)
      : "q0", "q1", "q2", "q3", "lr", "memory");
}

static void transpose_block(const PixelMap* map, size_t first, size_t width, int8_t* x) {
  const size_t cols = map->layer->cols;
  for (size_t p = 0; p < width; p += kPartPixels) {
    const int8_t* pixel[kPartPixels];
    for (size_t i = 0; i < kPartPixels; ++i) pixel[i] = pixel_address(map, first + p + i);
    if (cols >= kPartCols) {
      transpose_parts(pixel, 0, cols / kPartCols, width, x + p);
      // The last part overlaps the one before.
      if (cols % kPartCols != 0) transpose_parts(pixel, cols - kPartCols, 1, width, x + p);
      continue;
    }
    for (size_t c = 0; c < cols; ++c) {
      for (size_t i = 0; i < kPartPixels; ++i) x[c * width + p + i] = pixel[i][c];
    }
  }
}
#else
static void transpose_block(const PixelMap* map, size_t first, size_t width, int8_t* x) {
  for (size_t p = 0; p < width; ++p) {
    const int8_t* pixel = pixel_address(map, first + p);
    for (size_t c = 0; c < map->layer->cols; ++c) x[c * width + p] = pixel[c];
  }
}
#endif

static void transpose_tile(const PixelMap* map, size_t first, const Run* run, int8_t* x) {
  const DcsrLayer* layer = map->layer;
  for (; run->width > 0; ++run) {
    size_t pixel = first + run->output / layer->rows;
    for (uint32_t b = 0; b < run->blocks; ++b) {
      if (x == run->last) pixel -= run->overlap / layer->rows;
      transpose_block(map, pixel, run->width, x);
      pixel += run->width;
      x += run->step;
    }
  }
}

// ----- Products -----

#if DCSR_HAS_MVE

// Multiplies a list with the blocks of a run, of 32, 16 or 8 pixels, and requantises. r0 arguments,
// r1 run, r2 output, r3 whether to round and clamp in full.
//
// r0 column, r1 block, r2 table of code, r3 128, r4-r9 words of a group, r10 output, r11 arguments,
// r12 number of words of the next group, lr list. q0 and up: lo, then hi; q7 is
// for anything. Stack: the last of four hi, then step, last block and overlap of the run.
__asm__(
    ".syntax unified\n"
    ".macro dcsr_mve_multiply n, word\n"
    ".if \\n == 4\n"
    "add r0, r1, \\word, lsr #16\n"
    ".elseif \\n == 2\n"
    "add r0, r1, \\word, lsr #17\n"
    ".else\n"
    "add r0, r1, \\word, lsr #18\n"
    ".endif\n"
    "vldrb.s16 q7, [r0]\n"
    "vmla.s16 q0, q7, \\word\n"
    ".if \\n > 1\n"
    "vldrb.s16 q7, [r0, #8]\n"
    "vmla.s16 q1, q7, \\word\n"
    ".endif\n"
    ".if \\n > 2\n"
    "vldrb.s16 q7, [r0, #16]\n"
    "vmla.s16 q2, q7, \\word\n"
    "vldrb.s16 q7, [r0, #24]\n"
    "vmla.s16 q3, q7, \\word\n"
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

    // Outputs of eight pixels. r4 multiplier, r5 shift, r6 zero point, r7 output step.
    ".macro dcsr_mve_requantize lo, hi, t, offsets, load, full\n"
    // Even sums in lo, odd ones in hi.
    "vsli.16 \\lo, \\hi, #8\n"
    "vshr.s16 \\hi, \\hi, #8\n"
    "vmov \\t, \\lo\n"
    "vsli.32 \\lo, \\hi, #16\n"
    "vsri.32 \\hi, \\t, #16\n"
    "vqrdmulh.s32 \\lo, \\lo, r4\n"
    "vqrdmulh.s32 \\hi, \\hi, r4\n"
    ".if \\full\n"
    "vshr.s32 \\t, \\lo, #31\n"
    "vadd.i32 \\lo, \\lo, \\t\n"
    "vshr.s32 \\t, \\hi, #31\n"
    "vadd.i32 \\hi, \\hi, \\t\n"
    ".endif\n"
    "vrshl.s32 \\lo, r5\n"
    "vrshl.s32 \\hi, r5\n"
    "vqmovnb.s32 \\lo, \\lo\n"
    "vqmovnt.s32 \\lo, \\hi\n"
    "vqadd.s16 \\lo, \\lo, r6\n"
    ".if \\full\n"
    "vldrh.16 \\t, [r11, #48]\n"
    "vmax.s16 \\lo, \\lo, \\t\n"
    "vldrh.16 \\t, [r11, #64]\n"
    "vmin.s16 \\lo, \\lo, \\t\n"
    ".endif\n"
    "vqmovnb.s16 \\lo, \\lo\n"
    ".if \\load\n"
    "vldrh.16 \\offsets, [r11, #32]\n"
    ".endif\n"
    "vstrb.16 \\lo, [r10, \\offsets]\n"
    "add r10, r7\n"
    ".endm\n"

    // What is left in lo after the last group is flushed here; for an empty row that is nothing.
    ".macro dcsr_mve_end n, full\n"
    "ldm r11, {r4-r9}\n"
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
    "ldrd r12, lr, [sp, #16]\n"
    "add r1, r12\n"
    "cmp r1, lr\n"
    ".endm\n"

    // A group at label `k`, and at 10 + k as the last of a row, which goes to the end without a flush.
    ".macro dcsr_mve_group n, k, words:vararg\n"
    "\\k\\():\n"
    "ldm lr!, {\\words, r12}\n"
    ".irp word, \\words\n"
    "dcsr_mve_multiply \\n, \\word\n"
    ".endr\n"
    "dcsr_mve_flush \\n\n"
    "1\\k\\():\n"
    "ldm lr!, {\\words, r12}\n"
    ".irp word, \\words\n"
    "dcsr_mve_multiply \\n, \\word\n"
    ".endr\n"
    "ldr pc, [r2]\n"
    ".endm\n"

    ".macro dcsr_mve_table n, end\n"
    ".word \\end + 1, 1b + 1, 2b + 1, 3b + 1, 4b + 1, 5b + 1, 6b + 1, \\end + 1\n"
    ".word \\end + 1, 11b + 1, 12b + 1, 13b + 1, 14b + 1, 15b + 1, 16b + 1\n"
    ".endm\n"

    ".macro dcsr_mve_begin n\n"
    "ldrd lr, r12, [r11, #24]\n"
    "vdup.16 q0, r8\n"
    ".if \\n == 4\n"
    "vdup.16 q7, r9\n"
    "vmov q1, q0\n"
    "vmov q2, q0\n"
    "vmov q3, q0\n"
    "vmov q4, q7\n"
    "vmov q5, q7\n"
    "vmov q6, q7\n"
    "vstrw.32 q7, [sp]\n"
    ".elseif \\n == 2\n"
    "vdup.16 q1, r8\n"
    "vdup.16 q2, r9\n"
    "vdup.16 q3, r9\n"
    ".else\n"
    "vdup.16 q1, r9\n"
    ".endif\n"
    "ldr pc, [r2, r12, lsl #2]\n"
    ".endm\n"

    ".macro dcsr_mve_function n\n"
    ".section .text.dcsr_conv1x1_mve_blocks\\n, \"ax\", %progbits\n"
    ".p2align 2\n"
    ".thumb\n"
    ".thumb_func\n"
    ".type dcsr_conv1x1_mve_blocks\\n, %function\n"
    "dcsr_conv1x1_mve_blocks\\n:\n"
    "push {r4-r11, lr}\n"
    "vpush {d8-d15}\n"
    "sub sp, #36\n"
    "mov r11, r0\n"
    "mov r10, r2\n"
    "add r0, sp, #16\n"
    "ldm r1, {r1, r4-r6}\n"
    "stm r0, {r4-r6}\n"
    "adr r2, 30f\n"
    "cbz r3, 20f\n"
    "adr r2, 31f\n"
    "20:\n"
    "mov r3, #128\n"
    "ldrd r8, r9, [r11, #16]\n"
    "21:\n"
    "dcsr_mve_begin \\n\n"
    "dcsr_mve_group \\n, 1, r4\n"
    "dcsr_mve_group \\n, 2, r4, r5\n"
    "dcsr_mve_group \\n, 3, r4, r5, r6\n"
    "dcsr_mve_group \\n, 4, r4, r5, r6, r7\n"
    "dcsr_mve_group \\n, 5, r4, r5, r6, r7, r8\n"
    "dcsr_mve_group \\n, 6, r4, r5, r6, r7, r8, r9\n"
    "7:\n"
    "dcsr_mve_end \\n, 0\n"
    "bne 21b\n"
    "b 9f\n"
    "8:\n"
    "dcsr_mve_end \\n, 1\n"
    "bne 21b\n"
    "9:\n"
    // One more block if it overlaps.
    "ldr r4, [sp, #24]\n"
    "cbz r4, 22f\n"
    "sub r10, r4\n"
    "add lr, r12\n"
    "movs r5, #0\n"
    "strd lr, r5, [sp, #20]\n"
    "b 21b\n"
    "22:\n"
    "add sp, #36\n"
    "vpop {d8-d15}\n"
    "pop {r4-r11, pc}\n"
    ".p2align 2\n"
    "30:\n"
    "dcsr_mve_table \\n, 7b\n"
    "31:\n"
    "dcsr_mve_table \\n, 8b\n"
    ".size dcsr_conv1x1_mve_blocks\\n, . - dcsr_conv1x1_mve_blocks\\n\n"
    ".endm\n"

    "dcsr_mve_function 4\n"
    "dcsr_mve_function 2\n"
    "dcsr_mve_function 1\n"
    ".text\n");

#endif

// The same for any row and any processor.
static void multiply_run_c(const DcsrLayer* layer, uint32_t row, const RowArguments* arguments,
                           const Run* run, int8_t* output) {
  const int8_t* x = run->x;
  for (uint32_t b = 0; b < run->blocks; ++b) {
    if (x == run->last) output -= run->overlap;
    for (uint32_t p = 0; p < run->width; ++p) {
      uint32_t sum = (uint32_t)layer->bias[row];
      const uint32_t* list = arguments->list;
      for (uint32_t words = arguments->first; words > 0; words = *list++) {
        for (uint32_t i = words % kDcsrLastGroup; i > 0; --i) {
          const uint32_t word = *list++;
          const uint32_t column = word >> kDcsrWordColumn;
          sum += (uint32_t)((int16_t)(word & 0xFFFF) * x[column * run->width + p]);
        }
      }
      output[p * layer->rows] = dcsr_requantize(layer, row, sum);
    }
    x += run->step;
    output += run->width * layer->rows;
  }
}

// Whether int16 lanes hold 256 * hi + lo, whatever the activations are.
static bool has_high_part(int32_t bias, uint32_t elements, const RowArguments* arguments) {
  if (bias < -kMostHighBias || bias > kMostHighBias) return false;
  if (elements <= kMostHighTerms) return true;
  uint32_t groups = 0;
  const uint32_t* list = arguments->list;
  for (uint32_t words = arguments->first; words > 0; words = *list++) {
    ++groups;
    list += words % kDcsrLastGroup;
  }
  return groups <= kMostHighTerms / 2;
}

DCSR_NOINLINE static void multiply_rows(const DcsrLayer* layer, DcsrWordReader* reader,
                                        const Run* runs, int8_t* output) {
  const bool clamps = layer->activation_min != INT8_MIN || layer->activation_max != INT8_MAX;
  // Halves below zero are rounded wrongly, to what is clamped away.
  const bool rounds_down = layer->output_zero_point == layer->activation_min;
  const bool full = !rounds_down || clamps;
  const int32_t most_shift = full ? -1 : 0;
  RowArguments arguments;
  arguments.zero_point = layer->output_zero_point;
  arguments.output_step = layer->rows * kLanes;
  arguments.list = reader->list + 1;
  for (uint32_t i = 0; i < kLanes; ++i) {
    arguments.offset[i] = (uint16_t)(layer->rows * i);
    arguments.min[i] = (int16_t)layer->activation_min;
    arguments.max[i] = (int16_t)layer->activation_max;
  }
  const int32_t* multiplier = layer->multiplier;
  const int8_t* shift = layer->shift;
  for (uint32_t row = 0; row < layer->rows; ++row) {
    const uint32_t elements = dcsr_next_row_list(reader);
    const int32_t bias = layer->bias[row];
    arguments.multiplier = *multiplier;
    arguments.shift = *shift;
    arguments.bias_low = (uint32_t)bias & 0xFF;
    arguments.bias_high = bias >> 8;
    arguments.first = reader->list[0];
    multiplier += layer->requantize_stride;
    shift += layer->requantize_stride;
    const bool fast = DCSR_HAS_MVE && arguments.shift <= most_shift &&
                      has_high_part(bias, elements, &arguments);
    for (const Run* run = runs; run->width > 0; ++run) {
      if (fast) {
        run->multiply(&arguments, run, output + run->output, full);
      } else {
        multiply_run_c(layer, row, &arguments, run, output + run->output);
      }
    }
    ++output;
  }
}

size_t dcsr_conv1x1_mve_scratch_bytes(const DcsrLayer* layer, const DcsrConvShape* shape,
                                      size_t budget) {
  return make_plan(layer, dcsr_pixel_count(shape), budget).bytes;
}

bool dcsr_conv1x1_mve(const DcsrLayer* layer, const DcsrConvShape* shape, const int8_t* input,
                      int8_t* output, void* scratch, size_t budget) {
  const size_t pixels = dcsr_pixel_count(shape);
  const Plan plan = make_plan(layer, pixels, budget);
  if (plan.tile_pixels == 0) return false;
  const PixelMap map = {input, layer, shape, layer->stride_h == 1 && layer->stride_w == 1};
  int8_t* x = (int8_t*)scratch + plan.list_bytes;
  for (size_t first = 0; first < pixels; first += plan.tile_pixels) {
    size_t begin = first;
    size_t count = pixels - first < plan.tile_pixels ? pixels - first : plan.tile_pixels;
    if (count < kLanes) {
      // The last tile overlaps the one before.
      begin = pixels - kLanes;
      count = kLanes;
    }
    Run runs[kMostRuns + 1];
    plan_runs(layer, count, x, runs);
    transpose_tile(&map, begin, runs, x);
    DcsrWordReader reader = dcsr_word_reader(layer, plan.longest, scratch);
    multiply_rows(layer, &reader, runs, output + begin * layer->rows);
  }
  return true;
}
