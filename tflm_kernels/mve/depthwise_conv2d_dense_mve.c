// Depthwise convolution with MVE (Cortex-M55, M85): any filter, stride, dilation and padding.
//
// Input:   [batches, input_height, input_width, channels], int8.
// Output:  [batches, output_height, output_width, channels], int8.
// Scratch: constants of some blocks of channels, addresses (plan_depthwise_conv2d_dense_mve.h).
// Cycles:  docs/kernels.md#depthwise-convolution-with-mve.
//
// A vector holds 16 channels of a pixel, as they lie in the input. VMULLB and VMULLT multiply them
// with the weights of a tap, to even channels (b) and odd channels (t) of 16 bits. A sum is a pair
// of int16 lanes, as in conv1x1_mve: sum = 256 * hi + lo. After each pair of taps the kernel
// computes `hi += lo >> 8; lo &= 255`. The |weight| of a pair add up to 254 at most, so lo cannot
// overflow: 128 * 254 + 255 = 2^15 - 1. Rows with a weight of -128 are computed in C.
//
// Each tap of a pixel has an address, which moves from block to block of 16 channels. The address
// of a tap outside of the image is that of a pixel of padding. So stride, dilation and padding cost
// nothing in the inner loop.
//
// If the number of channels is no multiple of 16, the first block overlaps the second one. With
// fewer than 16 channels the loads and stores reach into the next pixels, which are stored later.

#include <string.h>

#include "tflm_kernels/common/compiler.h"
#include "tflm_kernels/common/patches.h"
#include "tflm_kernels/common/pixels.h"
#include "tflm_kernels/common/requantize.h"
#include "tflm_kernels/mve/depthwise_blocks_mve.h"
#include "tflm_kernels/mve/mve.h"
#include "tflm_kernels/planning/plan_depthwise_conv2d_dense_mve.h"

#if DCSR_HAS_MVE

#include <arm_mve.h>

enum {
  kBlock = kDcsrDepthwiseBlock,
  kMostBlocks = 1 + kDcsrDepthwiseMostTileBytes / kDcsrDepthwiseConstantBytes,
};

// A run of pixels, in the order in which the assembly loads it.
typedef struct {
  uint32_t* pointers;  // of the next pixel; the assembly moves it on
  const DcsrDepthwiseBlock* blocks;
  uint32_t block_count;
  uint32_t output_step;  // bytes from the end of the outputs of a pixel to those of the next one
  uint32_t pixels;       // counted down to 0
  int8_t* output;
  int32_t zero_point;
  uint32_t pairs;          // of taps
  uint32_t pointer_bytes;  // of a pixel
  uint32_t full;           // 0: skip the rounding of halves below zero, and clamping
} Run;

_Static_assert(sizeof(DcsrDepthwiseBlock) == kDcsrDepthwiseConstantBytes && kBlock == 16, "");
_Static_assert(offsetof(DcsrDepthwiseBlock, factor) == 0, "assembly");
_Static_assert(offsetof(DcsrDepthwiseBlock, multiplier) == 64, "assembly");
_Static_assert(offsetof(DcsrDepthwiseBlock, low) == 128, "assembly");
_Static_assert(offsetof(DcsrDepthwiseBlock, high) == 160, "assembly");
_Static_assert(offsetof(DcsrDepthwiseBlock, max) == 192, "assembly");
_Static_assert(offsetof(DcsrDepthwiseBlock, min) == 208, "assembly");
_Static_assert(kDcsrDepthwiseUnrolledTaps == 9, "assembly");

// Both functions: r9 constants of the block, r10 output, r11 128, r12 zero point. Vectors: q0, q1
// lo of even and odd channels, q2, q3 hi, q4 activations, q5 weights, q6, q7 products.
//
// M, I and L name the pipe of a vector instruction: multiplication, integer, loads and stores. A
// pipe takes a vector instruction every second cycle, so neighbours should differ.
__asm__(
    ".syntax unified\n"
    // Adds the products of the tap before, and multiplies the tap at `address`. Flushes before that
    // if a pair of taps is complete. `load` is another instruction on L, or empty.
    ".macro dcsr_depthwise_tap flush, address, load, weights:vararg\n"
    "vldrb.8 q4, [\\address], #16\n"  // L
    "vadd.i16 q0, q0, q6\n"           // I
    "vldrw.32 q5, \\weights\n"        // L
    "vmullb.s8 q6, q4, q5\n"          // M
    "\\load\n"                        // L
    "vadd.i16 q1, q1, q7\n"           // I
    ".if \\flush\n"
    "vqdmlah.s16 q2, q0, r11\n"  // M
    "vbic.i16 q0, #0xff00\n"     // I
    "vqdmlah.s16 q3, q1, r11\n"  // M
    "vbic.i16 q1, #0xff00\n"     // I
    ".endif\n"
    "vmullt.s8 q7, q4, q5\n"  // M
    ".endm\n"
    // Adds the products of the last tap. Requantizes and stores 16 sums as conv1x1_mve does:
    // docs/kernels.md#schedules. The even and odd sums of q0, q2 become q0 and q2, those of q1, q3
    // become q1 and q3. Without `full` there is no rounding of halves below zero, and no clamping.
    // VQDMLAH by 128 subtracts 1 from negative numbers above -2^24. The last load moves r9 on by
    // `step`.
    ".macro dcsr_depthwise_requantize full, step\n"
    "vadd.i16 q0, q0, q6\n"      // I
    "vldrw.32 q4, [r9, #64]\n"   // L
    "vqdmlah.s16 q2, q0, r11\n"  // M
    "vadd.i16 q1, q1, q7\n"      // I
    "vldrw.32 q5, [r9, #96]\n"   // L
    "vqdmlah.s16 q3, q1, r11\n"  // M
    "vsli.16 q0, q2, #8\n"       // I
    "vqdmulh.s16 q2, q2, r11\n"  // M
    "vsli.16 q1, q3, #8\n"       // I
    "vqdmulh.s16 q3, q3, r11\n"  // M
    "vmov q6, q0\n"              // I
    "vldrw.32 q7, [r9, #16]\n"   // L
    "vsli.32 q0, q2, #16\n"      // I
    "vqrdmulh.s32 q0, q0, q4\n"  // M
    "vsri.32 q2, q6, #16\n"      // I
    "vqrdmulh.s32 q2, q2, q5\n"  // M
    "vmov q6, q1\n"              // I
    ".if \\full\n"
    "vqdmlah.s32 q0, q0, r11\n"  // M
    ".endif\n"
    "vldrw.32 q4, [r9, #80]\n"  // L
    ".if \\full\n"
    "vqdmlah.s32 q2, q2, r11\n"  // M
    ".endif\n"
    "vsli.32 q1, q3, #16\n"      // I
    "vqrdmulh.s32 q0, q0, q7\n"  // M
    "vldrw.32 q5, [r9, #48]\n"   // L
    "vsri.32 q3, q6, #16\n"      // I
    "vqrdmulh.s32 q2, q2, q5\n"  // M
    "vldrw.32 q7, [r9, #112]\n"  // L
    "vqrdmulh.s32 q1, q1, q4\n"  // M
    "vqmovnb.s32 q0, q0\n"       // I
    "vqrdmulh.s32 q3, q3, q7\n"  // M
    "vldrw.32 q4, [r9, #32]\n"   // L
    ".if \\full\n"
    "vqdmlah.s32 q1, q1, r11\n"  // M
    "vldrw.32 q6, [r9, #208]\n"  // L
    "vqdmlah.s32 q3, q3, r11\n"  // M
    "vldrw.32 q7, [r9, #192]\n"  // L
    ".endif\n"
    "vqrdmulh.s32 q1, q1, q4\n"     // M
    "vqmovnt.s32 q0, q2\n"          // I
    "vldrw.32 q5, [r9], #\\step\n"  // L
    "vqmovnb.s32 q1, q1\n"          // I
    "vqrdmulh.s32 q3, q3, q5\n"     // M
    "vqadd.s16 q0, q0, r12\n"       // I
    "vqmovnt.s32 q1, q3\n"          // I
    "vqmovnb.s16 q0, q0\n"          // I
    "vqadd.s16 q1, q1, r12\n"       // I
    "vqmovnt.s16 q0, q1\n"          // I
    ".if \\full\n"
    "vmax.s8 q0, q0, q6\n"  // I
    "vmin.s8 q0, q0, q7\n"  // I
    ".endif\n"
    "vstrb.8 q0, [r10], #16\n"  // L
    ".endm\n"

    // A run of pixels with nine taps, whose addresses are in r0 to r8.
    ".section .text.dcsr_depthwise_mve_run9, \"ax\", %progbits\n"
    ".p2align 2\n"
    ".thumb_func\n"
    ".type dcsr_depthwise_mve_run9, %function\n"
    "dcsr_depthwise_mve_run9:\n"
    "push {r0, r4-r11, lr}\n"
    "vpush {d8-d15}\n"
    "ldrd r10, r12, [r0, #20]\n"
    "mov lr, r0\n"
    "mov r11, #128\n"
    ".p2align 2\n"
    "1:\n"
    "ldr r9, [lr]\n"
    "ldmia r9!, {r0-r8}\n"
    "add r9, r9, #12\n"
    "str r9, [lr]\n"
    "ldr r9, [lr, #36]\n"
    "cmp r9, #0\n"  // no instruction of the loop sets flags
    "ldrd r9, lr, [lr, #4]\n"
    "dls lr, lr\n"
    ".p2align 2\n"
    "2:\n"
    "vldrb.8 q4, [r0], #16\n"    // L
    "vldrw.32 q5, [r9, #224]\n"  // L
    "vmullb.s8 q6, q4, q5\n"     // M
    "vldrw.32 q0, [r9, #128]\n"  // L
    "vmullt.s8 q7, q4, q5\n"     // M
    "vldrw.32 q1, [r9, #144]\n"  // L
    "dcsr_depthwise_tap 0, r1, \"vldrw.32 q2, [r9, #160]\", [r9, #240]\n"
    "dcsr_depthwise_tap 1, r2, \"vldrw.32 q3, [r9, #176]\", [r9, #256]\n"
    "dcsr_depthwise_tap 0, r3, \"\", [r9, #272]\n"
    "dcsr_depthwise_tap 1, r4, \"\", [r9, #288]\n"
    "dcsr_depthwise_tap 0, r5, \"\", [r9, #304]\n"
    "dcsr_depthwise_tap 1, r6, \"\", [r9, #320]\n"
    "dcsr_depthwise_tap 0, r7, \"\", [r9, #336]\n"
    "dcsr_depthwise_tap 1, r8, \"\", [r9, #352]\n"
    "bne 4f\n"
    "dcsr_depthwise_requantize 0, 368\n"
    "le lr, 2b\n"
    "3:\n"
    "ldr lr, [sp, #64]\n"
    "ldrd r0, r1, [lr, #12]\n"
    "add r10, r10, r0\n"
    "subs r1, r1, #1\n"
    "str r1, [lr, #16]\n"
    "bne 1b\n"
    "vpop {d8-d15}\n"
    "pop {r0, r4-r11, pc}\n"
    ".p2align 2\n"
    "4:\n"
    "dcsr_depthwise_requantize 1, 368\n"
    "le lr, 2b\n"
    "b 3b\n"
    ".size dcsr_depthwise_mve_run9, . - dcsr_depthwise_mve_run9\n"

    // A run of pixels with any number of taps. r0 address of the addresses of two taps, r1, r2 the
    // addresses, r3 those of the pixel, r5 pairs of taps, r6 blocks left, r7 the run, r8 weights.
    ".section .text.dcsr_depthwise_mve_run, \"ax\", %progbits\n"
    ".p2align 2\n"
    ".thumb_func\n"
    ".type dcsr_depthwise_mve_run, %function\n"
    "dcsr_depthwise_mve_run:\n"
    "push {r4-r11, lr}\n"
    "vpush {d8-d15}\n"
    "mov r7, r0\n"
    "ldr r3, [r7]\n"
    "ldrd r10, r12, [r7, #20]\n"
    "ldr r5, [r7, #28]\n"
    "mov r11, #128\n"
    "1:\n"
    "ldrd r9, r6, [r7, #4]\n"
    "2:\n"
    "mov r0, r3\n"
    "add r8, r9, #224\n"
    "vldrw.32 q0, [r9, #128]\n"
    "vmov.i32 q6, #0\n"
    "vldrw.32 q1, [r9, #144]\n"
    "vmov.i32 q7, #0\n"
    "vldrw.32 q2, [r9, #160]\n"
    "vldrw.32 q3, [r9, #176]\n"
    "dls lr, r5\n"
    ".p2align 2\n"
    "3:\n"
    "ldrd r1, r2, [r0]\n"
    "dcsr_depthwise_tap 1, r1, \"\", [r8], #16\n"
    "dcsr_depthwise_tap 0, r2, \"\", [r8], #16\n"
    "strd r1, r2, [r0], #8\n"
    "le lr, 3b\n"
    "dcsr_depthwise_requantize 1, 224\n"
    "mov r9, r8\n"
    "subs r6, r6, #1\n"
    "bne 2b\n"
    "ldr r0, [r7, #32]\n"
    "add r3, r3, r0\n"
    "ldrd r0, r1, [r7, #12]\n"
    "add r10, r10, r0\n"
    "subs r1, r1, #1\n"
    "str r1, [r7, #16]\n"
    "bne 1b\n"
    "vpop {d8-d15}\n"
    "pop {r4-r11, pc}\n"
    ".size dcsr_depthwise_mve_run, . - dcsr_depthwise_mve_run\n"
    ".text\n");

void dcsr_depthwise_mve_run9(Run* run);
void dcsr_depthwise_mve_run(Run* run);

_Static_assert(offsetof(Run, blocks) == 4 && offsetof(Run, output_step) == 12, "assembly");
_Static_assert(offsetof(Run, output) == 20 && offsetof(Run, pairs) == 28, "assembly");
_Static_assert(offsetof(Run, pointer_bytes) == 32 && offsetof(Run, full) == 36, "assembly");

// ----- Addresses of taps -----

// A tile of channels. All of it but `run` is the same for all tiles.
typedef struct {
  const DcsrLayer* layer;
  const DcsrConvShape* shape;
  DcsrPatches patches;    // at the first pixel
  const int8_t* padding;  // a pixel
  uint32_t* rows;         // rows and columns of the taps in a patch; kOutside for other lanes
  uint32_t* columns;
  uint32_t* pointers;          // addresses of the taps of a run
  uint32_t lanes;              // addresses of a pixel
  uint32_t most_pixels;        // of a run
  uint32_t pack;               // pixels of a vector in the middle of a row
  uint32_t left;               // pixels before that
  uint32_t middle;             // a multiple of `pack`
  int8_t* patch;               // NULL with 16 channels or more
  uint32_t first;              // channel
  bool has_slow;               // whether a bit of `slow` is set
  uint16_t slow[kMostBlocks];  // for each block, a bit for each row that vectors cannot compute
  Run run;
} Tile;

static const uint32_t kOutside = UINT32_C(1) << 31;

static void set_taps(const Tile* tile) {
  const DcsrLayer* layer = tile->layer;
  uint32_t lane = 0;
  for (uint32_t y = 0; y < layer->filter_h; ++y) {
    for (uint32_t x = 0; x < layer->filter_w; ++x, ++lane) {
      tile->rows[lane] = y * layer->dilation_h;
      tile->columns[lane] = x * layer->dilation_w;
    }
  }
  for (; lane < tile->lanes; ++lane) tile->rows[lane] = tile->columns[lane] = kOutside;
}

// Writes four addresses for each pixel: `address`, or `padding` if `column` is not below `width`.
// Between pixels the column moves by `stride`, the address by `step` and `out` by `out_step` bytes.
static inline void write_pointers(uint32x4_t column, uint32x4_t address, uint32x4_t padding,
                                  uint32_t width, uint32_t stride, uint32_t step, uint32_t pixels,
                                  uint32_t* out, uint32_t out_step) {
  uint32x4_t chosen;
  __asm__ volatile(
      "dls lr, %[pixels]\n"
      ".p2align 2\n"
      "1:\n"
      "vcmp.u32 cs, %q[column], %[width]\n"
      "vpsel %q[chosen], %q[padding], %q[address]\n"
      "vadd.i32 %q[column], %q[column], %[stride]\n"
      "vstrw.32 %q[chosen], [%[out]]\n"
      "vadd.i32 %q[address], %q[address], %[step]\n"
      "add %[out], %[out], %[out_step]\n"
      "le lr, 1b\n"
      : [column] "+w"(column), [address] "+w"(address), [chosen] "=&w"(chosen), [out] "+l"(out)
      : [padding] "w"(padding), [width] "r"(width), [stride] "r"(stride), [step] "r"(step),
        [pixels] "r"(pixels), [out_step] "r"(out_step)
      : "lr", "p0", "memory");
}

// Writes the addresses of the taps of `pixels` pixels, whose patches begin at row `y`, at column
// `x` and every `stride` columns after it.
static void set_pointers(const Tile* tile, const int8_t* image, uint32_t y, uint32_t x,
                         uint32_t stride, uint32_t pixels) {
  const uint32_t channels = tile->layer->channels;
  const uint32_t width = (uint32_t)tile->shape->input_width;
  const uint32_t height = (uint32_t)tile->shape->input_height;
  const uint32x4_t padding = vdupq_n_u32((uint32_t)(uintptr_t)tile->padding);
  for (uint32_t lane = 0; lane < tile->lanes; lane += 4) {
    const uint32x4_t row = vaddq_n_u32(vld1q_u32(tile->rows + lane), y);
    uint32x4_t column = vaddq_n_u32(vld1q_u32(tile->columns + lane), x);
    uint32x4_t address = vdupq_n_u32((uint32_t)(uintptr_t)image);
    address = vmlaq_n_u32(address, row, width * channels);
    address = vmlaq_n_u32(address, column, channels);
    column = vpselq_u32(vdupq_n_u32(kOutside), column, vcmpcsq_n_u32(row, height));
    write_pointers(column, address, padding, width, stride, stride * channels, pixels,
                   tile->pointers + lane, tile->lanes * (uint32_t)sizeof(uint32_t));
  }
}

// ----- Runs -----

static void run_pixels(const DcsrLayer* layer, Run* run) {
  if (layer->cols == kDcsrDepthwiseUnrolledTaps) {
    dcsr_depthwise_mve_run9(run);
  } else {
    dcsr_depthwise_mve_run(run);
  }
}

// Computes a row of `pixels` pixels. `lane` is the distance of its channel from the addresses of
// the taps.
static void run_slow_row(const Tile* tile, uint32_t row, const uint32_t* pointers, uint32_t lane,
                         uint32_t pixels, uint32_t output_bytes, int8_t* output) {
  const DcsrLayer* layer = tile->layer;
  const int8_t* const weights = layer->values + (size_t)row * layer->cols;
  const DcsrRowTail tail = dcsr_row_tail(layer, row);
  for (; pixels > 0; --pixels) {
    uint32_t acc = (uint32_t)tail.bias;
    for (uint32_t t = 0; t < layer->cols; ++t) {
      acc += (uint32_t)(weights[t] * ((const int8_t*)(uintptr_t)pointers[t])[(int32_t)lane]);
    }
    *output = dcsr_requantize_by(layer, tail.multiplier, tail.shift, acc);
    pointers += tile->lanes;
    output += output_bytes;
  }
}

// Computes the rows of a run that vectors cannot. The run has been computed, and `pointers` may
// have been moved on by all blocks.
static void run_slow_rows(const Tile* tile, const uint32_t* pointers, uint32_t pixels,
                          uint32_t pack, int8_t* output) {
  const DcsrLayer* layer = tile->layer;
  const uint32_t moved =
      layer->cols == kDcsrDepthwiseUnrolledTaps ? 0 : tile->run.block_count * kBlock;
  for (uint32_t b = 0; b < tile->run.block_count; ++b) {
    uint32_t row = b * kBlock;
    for (uint32_t slow = tile->slow[b]; slow != 0; slow >>= 1, ++row) {
      for (uint32_t at = row, p = (slow & 1) * pack; p > 0; --p, at += layer->channels) {
        run_slow_row(tile, tile->first + row, pointers, at - moved, pixels, layer->rows * pack,
                     output + at);
      }
    }
  }
}

// Runs fewer than 16 channels pixel by pixel without loads or stores behind the pixels.
static void run_few_channels(Tile* tile, uint32_t pixels, int8_t* output) {
  const uint32_t channels = tile->layer->channels;
  const uint32_t taps = tile->layer->cols;
  const mve_pred16_t lanes = vctp8q(channels);
  int8_t* const last = tile->patch + taps * kBlock;
  for (uint32_t* pointers = tile->pointers; pixels > 0; --pixels) {
    for (uint32_t t = 0; t < taps; ++t) {
      int8_t* tap = tile->patch + t * kBlock;
      vst1q_s8(tap, vldrbq_z_s8((const int8_t*)(uintptr_t)pointers[t], lanes));
      pointers[t] = (uint32_t)(uintptr_t)tap;
    }
    tile->run.pointers = pointers;
    tile->run.pixels = 1;
    tile->run.output = last;
    run_pixels(tile->layer, &tile->run);
    if (tile->has_slow) run_slow_rows(tile, pointers, 1, 1, last);
    vstrbq_p_s8(output, vld1q_s8(last), lanes);
    pointers += tile->lanes;
    output += channels;
  }
}

// A part of a row of pixels.
typedef struct {
  const int8_t* image;
  uint32_t y;  // of the patches
  uint32_t x;
  int8_t* output;
  bool is_last;  // loads or stores behind a pixel may be outside of the activations
} Span;

// Computes `count` times `pack` pixels, and moves the span on.
static void run_span(Tile* tile, Span* span, uint32_t count, uint32_t pack) {
  const uint32_t stride = tile->layer->stride_w * pack;
  const uint32_t output_bytes = tile->layer->rows * pack;
  Run* run = &tile->run;
  while (count > 0) {
    const uint32_t pixels = count < tile->most_pixels ? count : tile->most_pixels;
    set_pointers(tile, span->image, span->y, span->x, stride, pixels);
    if (span->is_last && pack == 1 && tile->patch != NULL) {
      run_few_channels(tile, pixels, span->output);
    } else {
      run->pointers = tile->pointers;
      run->pixels = pixels;
      run->output = span->output;
      run->output_step = output_bytes - run->block_count * kBlock;
      run_pixels(tile->layer, run);
      if (tile->has_slow) run_slow_rows(tile, tile->pointers, pixels, pack, span->output);
    }
    span->x += pixels * stride;
    span->output += pixels * output_bytes;
    count -= pixels;
  }
}

// Computes all pixels of a tile. `input` and `output` are those of its first channel.
static void run_tile(Tile* tile, const int8_t* input, int8_t* output) {
  const DcsrLayer* layer = tile->layer;
  const DcsrConvShape* shape = tile->shape;
  const int32_t rows = shape->output_height;
  const uint32_t width = (uint32_t)shape->output_width;
  const bool is_narrow =
      (uint32_t)shape->input_width * layer->channels < kBlock || width * layer->rows < kBlock;
  // Patches from this row on read the last row of the image.
  const int32_t last_y =
      shape->input_height - 1 - (int32_t)((layer->filter_h - 1) * layer->dilation_h);
  Span span = {input, 0, 0, output, false};
  for (int32_t batch = shape->batches; batch > 0; --batch) {
    span.y = tile->patches.first_y;
    for (int32_t row = 1; row <= rows; ++row) {
      span.x = tile->patches.first_x;
      span.is_last = is_narrow || (batch == 1 && (row == rows || (int32_t)span.y >= last_y));
      run_span(tile, &span, tile->left, 1);
      if (tile->middle > 0) {
        run_span(tile, &span, tile->middle / tile->pack, tile->pack);
        run_span(tile, &span, width - tile->left - tile->middle, 1);
      }
      span.y += layer->stride_h;
    }
    span.image += tile->patches.image_bytes;
  }
}

// Chooses the pixels of each row that a vector holds together: if 2, 4, 8 or 16 of them are 16
// bytes, those whose taps are all within the row.
static void pack_pixels(Tile* tile) {
  const DcsrLayer* layer = tile->layer;
  const int32_t inside =
      tile->shape->input_width - (int32_t)((layer->filter_w - 1) * layer->dilation_w);
  tile->pack = 1;
  tile->left = (uint32_t)tile->shape->output_width;
  tile->middle = 0;
  if (kBlock % layer->channels != 0 || layer->stride_w != 1 || inside <= 0) return;
  tile->pack = kBlock / layer->channels;
  const uint32_t middle = (uint32_t)inside / tile->pack * tile->pack;
  if (middle == 0) return;
  tile->left = 0 - tile->patches.first_x;
  tile->middle = middle;
}

// ----- The layer -----

// Prepares the tile of `count` channels from `first` on.
static void fill_tile(Tile* tile, uint32_t first, uint32_t count, int8_t* blocks) {
  const DcsrLayer* layer = tile->layer;
  Run* run = &tile->run;
  run->blocks = (const DcsrDepthwiseBlock*)(const void*)blocks;
  run->block_count = count / kBlock;
  run->zero_point = layer->output_zero_point;
  run->pairs = (layer->cols + 1) / 2;
  run->pointer_bytes = tile->lanes * (uint32_t)sizeof(uint32_t);
  run->full = dcsr_conv1x1_mve_rounds_in_full(layer);
  tile->first = first;
  tile->has_slow = false;
  for (uint32_t b = 0; b < run->block_count; ++b) {
    DcsrDepthwiseBlock* block = (DcsrDepthwiseBlock*)(void*)blocks;
    tile->slow[b] = (uint16_t)dcsr_fill_depthwise_block(layer, first + b * kBlock, block);
    tile->has_slow = tile->has_slow || tile->slow[b] != 0;
    blocks += dcsr_depthwise_mve_block_bytes(layer->cols);
  }
}

void dcsr_depthwise_conv2d_dense_mve(const DcsrPlan* plan, const DcsrLayer* layer,
                                     const DcsrConvShape* shape, const void* input_data,
                                     void* output_data, void* scratch) {
  const int8_t* input = (const int8_t*)input_data;
  int8_t* output = (int8_t*)output_data;
  const uint32_t most = (uint32_t)plan->tile_channels;
  const uint32_t channels = layer->channels;
  int8_t* const blocks = (int8_t*)scratch;
  int8_t* const padding = blocks + most / kBlock * dcsr_depthwise_mve_block_bytes(layer->cols);
  Tile tile;
  tile.layer = layer;
  tile.shape = shape;
  tile.patches = dcsr_patches(layer, shape, input);
  tile.padding = padding;
  tile.lanes = dcsr_depthwise_mve_lanes(layer->cols);
  tile.rows = (uint32_t*)(void*)(padding + most);
  tile.columns = tile.rows + tile.lanes;
  tile.pointers = tile.columns + tile.lanes;
  tile.most_pixels = (uint32_t)plan->tile_pixels;
  tile.patch = channels < kBlock ? (int8_t*)(tile.pointers + plan->tile_pixels * tile.lanes) : NULL;
  memset(padding, layer->input_zero_point, most);
  set_taps(&tile);
  pack_pixels(&tile);
  // If the channels are no multiple of 16, the first block overlaps the second one.
  for (uint32_t first = 0, next = channels % kBlock; first < channels; first = next) {
    uint32_t count = kBlock;
    if (first > 0 || next == 0) {
      count = channels - first < most ? channels - first : most;
      next = first + count;
    } else if (channels < kBlock) {
      next = channels;
    }
    fill_tile(&tile, first, count, blocks);
    run_tile(&tile, input + first, output + first);
  }
}

#endif  // DCSR_HAS_MVE
