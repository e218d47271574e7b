// Depthwise convolution with MVE (Cortex-M55, M85): any filter, stride, dilation and padding.
//
// Input:   [batches, input_height, input_width, channels], int8.
// Output:  [batches, output_height, output_width, channels], int8.
// Scratch: constants of some blocks of channels, addresses (plan_depthwise_conv2d_mve.h).
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

#include "tflm_kernels/planning/plan_depthwise_conv2d_mve.h"

#include <string.h>

#include "tflm_kernels/common/compiler.h"
#include "tflm_kernels/common/patches.h"
#include "tflm_kernels/common/pixels.h"
#include "tflm_kernels/common/requantize.h"
#include "tflm_kernels/mve/mve.h"
#include "tflm_kernels/planning/plan_conv1x1_mve.h"

#if DCSR_HAS_MVE

#include <arm_mve.h>

enum { kBlock = kDcsrDepthwiseBlock, kAllRows = -1 };

// Constants of 16 channels. Channels 4 i + k are in [k][i] of multipliers and factors.
typedef struct {
  int8_t max[kBlock];
  int8_t min[kBlock];
  int16_t low[2][kBlock / 2];   // of the bias: even and odd channels
  int16_t high[2][kBlock / 2];
  int32_t multiplier[4][4];
  int32_t factor[4][4];  // 2^(31 - right shift)
  int8_t weights[][kBlock];
} Block;

// A run of pixels, in the order in which the assembly loads it.
typedef struct {
  uint32_t* pointers;  // of the next pixel; the assembly moves it on
  const Block* blocks;
  uint32_t block_count;
  uint32_t output_step;  // bytes from the end of the outputs of a pixel to those of the next one
  uint32_t pixels;       // counted down to 0
  int8_t* output;
  int32_t zero_point;
  uint32_t pairs;          // of taps
  uint32_t pointer_bytes;  // of a pixel
} Run;

_Static_assert(sizeof(Block) == kDcsrDepthwiseConstantBytes && kBlock == 16, "assembly");
_Static_assert(offsetof(Block, low) == 32 && offsetof(Block, high) == 64, "assembly");
_Static_assert(offsetof(Block, multiplier) == 96 && offsetof(Block, factor) == 160, "assembly");
_Static_assert(kDcsrDepthwiseUnrolledTaps == 9, "assembly");

// Both functions: r9 constants of the block, r10 output, r11 128, r12 zero point. Vectors: q0, q1
// lo of even and odd channels, q2, q3 hi, q4 activations, q5 weights, q6, q7 products.
//
// M, I and L name the pipe of a vector instruction: multiplication, integer, loads and stores. A
// pipe takes a vector instruction every second cycle, so neighbours should differ.
__asm__(
    ".syntax unified\n"
    // Adds the products of the tap before, and multiplies the tap at `address`.
    ".macro dcsr_depthwise_tap address, weights:vararg\n"
    "vldrb.8 q4, [\\address], #16\n"  // L
    "vadd.i16 q0, q0, q6\n"           // I
    "vldrw.32 q5, \\weights\n"        // L
    "vmullb.s8 q6, q4, q5\n"          // M
    "vadd.i16 q1, q1, q7\n"           // I
    "vmullt.s8 q7, q4, q5\n"          // M
    ".endm\n"
    // The same, with a flush of the pair of taps before.
    ".macro dcsr_depthwise_flush address, weights:vararg\n"
    "vldrb.8 q4, [\\address], #16\n"  // L
    "vadd.i16 q0, q0, q6\n"           // I
    "vldrw.32 q5, \\weights\n"        // L
    "vmullb.s8 q6, q4, q5\n"          // M
    "vadd.i16 q1, q1, q7\n"           // I
    "vqdmlah.s16 q2, q0, r11\n"       // M
    "vbic.i16 q0, #0xff00\n"          // I
    "vqdmlah.s16 q3, q1, r11\n"       // M
    "vbic.i16 q1, #0xff00\n"          // I
    "vmullt.s8 q7, q4, q5\n"          // M
    ".endm\n"
    // Adds the products of the last tap. Requantizes and stores 16 sums as conv1x1_mve does:
    // docs/kernels.md#schedules. The even and odd sums of q0, q2 become q0 and q2, those of q1, q3
    // become q1 and q3. VQDMLAH by 128 subtracts 1 from negative numbers above -2^24. The last load
    // moves r9 on by `step`.
    ".macro dcsr_depthwise_requantize step\n"
    "vadd.i16 q0, q0, q6\n"          // I
    "vldrw.32 q4, [r9, #96]\n"       // L
    "vqdmlah.s16 q2, q0, r11\n"      // M
    "vadd.i16 q1, q1, q7\n"          // I
    "vldrw.32 q5, [r9, #128]\n"      // L
    "vqdmlah.s16 q3, q1, r11\n"      // M
    "vsli.16 q0, q2, #8\n"           // I
    "vqdmulh.s16 q2, q2, r11\n"      // M
    "vsli.16 q1, q3, #8\n"           // I
    "vqdmulh.s16 q3, q3, r11\n"      // M
    "vmov q6, q0\n"                  // I
    "vldrw.32 q7, [r9, #160]\n"      // L
    "vsli.32 q0, q2, #16\n"          // I
    "vqrdmulh.s32 q0, q0, q4\n"      // M
    "vsri.32 q2, q6, #16\n"          // I
    "vqrdmulh.s32 q2, q2, q5\n"      // M
    "vmov q6, q1\n"                  // I
    "vqdmlah.s32 q0, q0, r11\n"      // M
    "vldrw.32 q4, [r9, #112]\n"      // L
    "vqdmlah.s32 q2, q2, r11\n"      // M
    "vsli.32 q1, q3, #16\n"          // I
    "vqrdmulh.s32 q0, q0, q7\n"      // M
    "vldrw.32 q5, [r9, #192]\n"      // L
    "vsri.32 q3, q6, #16\n"          // I
    "vqrdmulh.s32 q2, q2, q5\n"      // M
    "vldrw.32 q7, [r9, #144]\n"      // L
    "vqrdmulh.s32 q1, q1, q4\n"      // M
    "vqmovnb.s32 q0, q0\n"           // I
    "vqrdmulh.s32 q3, q3, q7\n"      // M
    "vldrw.32 q4, [r9, #176]\n"      // L
    "vqdmlah.s32 q1, q1, r11\n"      // M
    "vqmovnt.s32 q0, q2\n"           // I
    "vqdmlah.s32 q3, q3, r11\n"      // M
    "vldrw.32 q5, [r9, #208]\n"      // L
    "vqrdmulh.s32 q1, q1, q4\n"      // M
    "vqadd.s16 q0, q0, r12\n"        // I
    "vqrdmulh.s32 q3, q3, q5\n"      // M
    "vldrw.32 q6, [r9, #16]\n"       // L
    "vqmovnb.s32 q1, q1\n"           // I
    "vldrw.32 q7, [r9], #\\step\n"   // L
    "vqmovnb.s16 q0, q0\n"           // I
    "vqmovnt.s32 q1, q3\n"           // I
    "vqadd.s16 q1, q1, r12\n"        // I
    "vqmovnt.s16 q0, q1\n"           // I
    "vmax.s8 q0, q0, q6\n"           // I
    "vmin.s8 q0, q0, q7\n"           // I
    "vstrb.8 q0, [r10], #16\n"       // L
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
    "ldrd r9, lr, [lr, #4]\n"
    "dls lr, lr\n"
    ".p2align 2\n"
    "2:\n"
    "vldrb.8 q4, [r0], #16\n"     // L
    "vldrw.32 q5, [r9, #224]\n"   // L
    "vmullb.s8 q6, q4, q5\n"      // M
    "vldrw.32 q0, [r9, #32]\n"    // L
    "vmullt.s8 q7, q4, q5\n"      // M
    "vldrw.32 q1, [r9, #48]\n"    // L
    "dcsr_depthwise_tap r1, [r9, #240]\n"
    "vldrw.32 q2, [r9, #64]\n"    // L
    "vldrw.32 q3, [r9, #80]\n"    // L
    "dcsr_depthwise_flush r2, [r9, #256]\n"
    "dcsr_depthwise_tap r3, [r9, #272]\n"
    "dcsr_depthwise_flush r4, [r9, #288]\n"
    "dcsr_depthwise_tap r5, [r9, #304]\n"
    "dcsr_depthwise_flush r6, [r9, #320]\n"
    "dcsr_depthwise_tap r7, [r9, #336]\n"
    "dcsr_depthwise_flush r8, [r9, #352]\n"
    "dcsr_depthwise_requantize 368\n"
    "le lr, 2b\n"
    "ldr lr, [sp, #64]\n"
    "ldrd r0, r1, [lr, #12]\n"
    "add r10, r10, r0\n"
    "subs r1, r1, #1\n"
    "str r1, [lr, #16]\n"
    "bne 1b\n"
    "vpop {d8-d15}\n"
    "pop {r0, r4-r11, pc}\n"
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
    "vldrw.32 q0, [r9, #32]\n"
    "vmov.i32 q6, #0\n"
    "vldrw.32 q1, [r9, #48]\n"
    "vmov.i32 q7, #0\n"
    "vldrw.32 q2, [r9, #64]\n"
    "vldrw.32 q3, [r9, #80]\n"
    "dls lr, r5\n"
    ".p2align 2\n"
    "3:\n"
    "ldrd r1, r2, [r0]\n"
    "dcsr_depthwise_flush r1, [r8], #16\n"
    "dcsr_depthwise_tap r2, [r8], #16\n"
    "strd r1, r2, [r0], #8\n"
    "le lr, 3b\n"
    "dcsr_depthwise_requantize 224\n"
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
_Static_assert(offsetof(Run, pointer_bytes) == 32, "assembly");

// ----- Constants of blocks -----

// Whether vectors can requantize a row.
static bool requantizes(const DcsrLayer* layer, uint32_t row) {
  return dcsr_conv1x1_mve_requantizes(layer->bias[row],
                                      layer->shift[row * layer->requantize_stride]);
}

static void fill_scale(const DcsrLayer* layer, uint32_t row, uint32_t lane, Block* block) {
  const uint32_t i = row * layer->requantize_stride;
  const int32_t bias = layer->bias[row];
  const int32_t shift = layer->shift[i];
  block->low[lane % 2][lane / 2] = (int16_t)(bias & 0xFF);
  block->high[lane % 2][lane / 2] = (int16_t)(bias >> 8);
  block->multiplier[lane % 4][lane / 4] = layer->multiplier[i];
  block->factor[lane % 4][lane / 4] = shift < 0 ? (int32_t)(UINT32_C(1) << (31 + shift)) : 0;
}

// Fills the block of the channels from `first` on. Channels behind the last one repeat it. Returns
// false if a row has a weight of -128 or a scale that vectors cannot requantize.
static bool fill_block(const DcsrLayer* layer, uint32_t first, Block* block) {
  const uint32_t taps = layer->cols;
  const uint32_t last = layer->rows - 1 - first;
  bool is_exact = true;
  vst1q_s8(block->max, vdupq_n_s8((int8_t)layer->activation_max));
  vst1q_s8(block->min, vdupq_n_s8((int8_t)layer->activation_min));
  for (uint32_t lane = 0; lane < kBlock; ++lane) {
    const uint32_t row = first + (lane < last ? lane : last);
    fill_scale(layer, row, lane, block);
    is_exact = is_exact && requantizes(layer, row);
  }
  // The weights of a tap are `taps` bytes apart.
  const uint16x8_t lanes = vidupq_n_u16(0, 1);
  const uint16x8_t most = vdupq_n_u16((uint16_t)(last < kBlock ? last : kBlock));
  const uint16x8_t even = vmulq_n_u16(vminq_u16(lanes, most), (uint16_t)taps);
  const uint16x8_t odd = vmulq_n_u16(vminq_u16(vaddq_n_u16(lanes, 8), most), (uint16_t)taps);
  const int8_t* weights = layer->values + first * taps;
  int8x16_t lowest = vdupq_n_s8(0);
  for (uint32_t t = 0; t < taps; ++t) {
    int8_t* out = block->weights[t];
    vstrbq_s16(out, vldrbq_gather_offset_s16(weights + t, even));
    vstrbq_s16(out + kBlock / 2, vldrbq_gather_offset_s16(weights + t, odd));
    lowest = vminq_s8(lowest, vld1q_s8(out));
  }
  if (dcsr_depthwise_mve_taps(taps) > taps) vst1q_s8(block->weights[taps], vdupq_n_s8(0));
  return is_exact && vminvq_s8(0, lowest) > INT8_MIN;
}

// ----- Addresses of taps -----

typedef struct {
  const DcsrLayer* layer;
  const DcsrConvShape* shape;
  const int8_t* padding;  // a pixel
  uint32_t* rows;         // for each tap the address of the row of the image that it reads
  uint32_t* columns;      // and its column for the first pixel of the filter; kOutside
  uint32_t lanes;
} Taps;

static const uint32_t kOutside = UINT32_C(1) << 31;

// Sets the rows of a row of output pixels whose patches begin at row `y`.
static void set_rows(const Taps* taps, const int8_t* image, uint32_t y) {
  const DcsrLayer* layer = taps->layer;
  const uint32_t width = (uint32_t)taps->shape->input_width;
  const uint32_t height = (uint32_t)taps->shape->input_height;
  uint32_t* rows = taps->rows;
  uint32_t* columns = taps->columns;
  for (uint32_t f = 0; f < layer->filter_h; ++f) {
    const bool is_inside = y < height;
    const uint32_t row = (uint32_t)(uintptr_t)image + y * width * layer->channels;
    for (uint32_t x = 0; x < layer->filter_w; ++x) {
      *rows++ = row;
      *columns++ = is_inside ? x * layer->dilation_w : kOutside;
    }
    y += layer->dilation_h;
  }
  while (columns < taps->columns + taps->lanes) *columns++ = kOutside;
}

// Writes the addresses of the taps of `pixels` pixels, the first of whose patches begins at column
// `x`.
static void set_pointers(const Taps* taps, uint32_t x, uint32_t pixels, uint32_t* pointers) {
  const uint32_t width = (uint32_t)taps->shape->input_width;
  const uint32_t channels = taps->layer->channels;
  const uint32x4_t padding = vdupq_n_u32((uint32_t)(uintptr_t)taps->padding);
  for (; pixels > 0; --pixels) {
    for (uint32_t lane = 0; lane < taps->lanes; lane += 4) {
      const uint32x4_t column = vaddq_n_u32(vld1q_u32(taps->columns + lane), x);
      const uint32x4_t inside = vmlaq_n_u32(vld1q_u32(taps->rows + lane), column, channels);
      const mve_pred16_t is_outside = vcmpcsq_n_u32(column, width);
      vst1q_u32(pointers, vpselq_u32(padding, inside, is_outside));
      pointers += 4;
    }
    x += taps->layer->stride_w;
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

// Runs fewer than 16 channels pixel by pixel without loads or stores behind the pixels. `patch` is
// int8 [taps + 1][16].
static void run_few_channels(const DcsrLayer* layer, Run* run, int8_t* patch) {
  const uint32_t taps = layer->cols;
  uint32_t* const pointers = run->pointers;
  int8_t* const last = patch + taps * kBlock;
  int8_t* output = run->output;
  for (uint32_t pixel = 0, pixels = run->pixels; pixel < pixels; ++pixel) {
    uint32_t* of_pixel = pointers + pixel * (run->pointer_bytes / sizeof(*pointers));
    for (uint32_t t = 0; t < taps; ++t) {
      const mve_pred16_t lanes = vctp8q(layer->channels);
      const int8_t* tap = (const int8_t*)(uintptr_t)of_pixel[t];
      vst1q_s8(patch + t * kBlock, vldrbq_z_s8(tap, lanes));
      of_pixel[t] = (uint32_t)(uintptr_t)(patch + t * kBlock);
    }
    run->pointers = of_pixel;
    run->pixels = 1;
    run->output = last;
    run_pixels(layer, run);
    memcpy(output, last, layer->channels);
    output += layer->channels;
  }
}

// A tile of channels.
typedef struct {
  Taps taps;
  Run run;
  int8_t* patch;  // NULL with 16 channels or more
} Tile;

// Computes a row of output pixels. `is_last`: loads or stores behind its pixels may be outside of
// the activations.
static void run_row(Tile* tile, uint32_t x, size_t run_pixels_at_most, bool is_last,
                    int8_t* output) {
  const DcsrLayer* layer = tile->taps.layer;
  uint32_t* const pointers = tile->run.pointers;
  for (uint32_t left = (uint32_t)tile->taps.shape->output_width; left > 0;) {
    const uint32_t pixels = left < run_pixels_at_most ? left : (uint32_t)run_pixels_at_most;
    set_pointers(&tile->taps, x, pixels, pointers);
    Run run = tile->run;
    run.pixels = pixels;
    run.output = output;
    if (is_last && tile->patch != NULL) {
      run_few_channels(layer, &run, tile->patch);
    } else {
      run_pixels(layer, &run);
    }
    x += pixels * layer->stride_w;
    output += pixels * layer->rows;
    left -= pixels;
  }
}

// Computes all pixels of a tile. `input` and `output` are those of its first channel.
static void run_tile(Tile* tile, const DcsrConvShape* shape, size_t run_pixels_at_most,
                     const int8_t* input, int8_t* output) {
  const DcsrLayer* layer = tile->taps.layer;
  const uint32_t rows = (uint32_t)(shape->batches * shape->output_height);
  const uint32_t row_pixels = (uint32_t)shape->output_width;
  const uint32_t extent = (layer->filter_h - 1) * layer->dilation_h;
  const bool is_narrow = (uint32_t)shape->input_width * layer->channels < kBlock ||
                         row_pixels * layer->rows < kBlock;
  DcsrPatches patches = dcsr_patches(layer, shape, input);
  for (uint32_t row = 1; row <= rows; ++row) {
    const DcsrPatch patch = patches.patch;
    for (uint32_t p = 0; p < row_pixels; ++p) dcsr_next_patch(&patches);
    const bool reads_last = row + (uint32_t)shape->output_height > rows &&
                            (int32_t)(patch.y + extent) >= shape->input_height - 1;
    set_rows(&tile->taps, (const int8_t*)patch.image, patch.y);
    run_row(tile, patch.x, run_pixels_at_most, is_narrow || reads_last || row == rows, output);
    output += row_pixels * layer->rows;
  }
}

// ----- Rows in C -----

// Computes a row that vectors cannot, for all pixels.
static void run_slow_row(const DcsrLayer* layer, const DcsrConvShape* shape, uint32_t row,
                         const int8_t* input, int8_t* output) {
  const int8_t* const weights = layer->values + (size_t)row * layer->cols;
  DcsrPatches patches = dcsr_patches(layer, shape, input);
  output += row;
  for (size_t left = dcsr_pixel_count(shape); left > 0; --left) {
    const DcsrPatch patch = dcsr_next_patch(&patches);
    uint32_t acc = (uint32_t)layer->bias[row];
    for (uint32_t t = 0; t < layer->cols; ++t) {
      const uint32_t y = patch.y + t / layer->filter_w * layer->dilation_h;
      const uint32_t x = patch.x + t % layer->filter_w * layer->dilation_w;
      int32_t activation = layer->input_zero_point;
      if (y < (uint32_t)shape->input_height && x < (uint32_t)shape->input_width) {
        const size_t pixel = (size_t)y * (uint32_t)shape->input_width + x;
        activation = ((const int8_t*)patch.image)[pixel * layer->channels + row];
      }
      acc += (uint32_t)(weights[t] * activation);
    }
    *output = dcsr_requantize(layer, row, acc);
    output += layer->rows;
  }
}

static void run_slow_rows(const DcsrLayer* layer, const DcsrConvShape* shape, const int8_t* input,
                          int8_t* output) {
  for (uint32_t row = 0; row < layer->rows; ++row) {
    const int8_t* weights = layer->values + (size_t)row * layer->cols;
    bool is_slow = !requantizes(layer, row);
    for (uint32_t t = 0; t < layer->cols; ++t) is_slow = is_slow || weights[t] == INT8_MIN;
    if (is_slow) run_slow_row(layer, shape, row, input, output);
  }
}

// ----- The layer -----

void dcsr_depthwise_conv2d_mve(const DcsrPlan* plan, const DcsrLayer* layer,
                               const DcsrConvShape* shape, const void* input_data,
                               void* output_data, void* scratch) {
  const int8_t* input = (const int8_t*)input_data;
  int8_t* output = (int8_t*)output_data;
  const uint32_t most = (uint32_t)plan->tile_channels;
  const uint32_t channels = layer->channels;
  const size_t block_bytes = dcsr_depthwise_mve_block_bytes(layer->cols);
  const uint32_t lanes = dcsr_depthwise_mve_lanes(layer->cols);
  int8_t* const blocks = (int8_t*)scratch;
  int8_t* const padding = blocks + most / kBlock * block_bytes;
  uint32_t* const rows = (uint32_t*)(void*)(padding + most);
  uint32_t* const pointers = rows + 2 * lanes;
  Tile tile;
  tile.taps = (Taps){layer, shape, padding, rows, rows + lanes, lanes};
  tile.patch = channels < kBlock ? (int8_t*)(pointers + plan->tile_pixels * lanes) : NULL;
  memset(padding, layer->input_zero_point, most);
  bool is_exact = true;
  for (uint32_t first = 0; first < channels;) {
    // The first block overlaps the second one if the channels are no multiple of 16.
    uint32_t count = channels - first;
    if (count > most) count = most;
    if (first == 0 && channels % kBlock != 0) count = kBlock;
    for (uint32_t i = 0; i < count / kBlock; ++i) {
      Block* block = (Block*)(void*)(blocks + i * block_bytes);
      is_exact = fill_block(layer, first + i * kBlock, block) && is_exact;
    }
    tile.run = (Run){pointers,
                     (const Block*)(const void*)blocks,
                     count / kBlock,
                     layer->rows - count,
                     0,
                     NULL,
                     layer->output_zero_point,
                     (layer->cols + 1) / 2,
                     lanes * (uint32_t)sizeof(uint32_t)};
    run_tile(&tile, shape, plan->tile_pixels, input + first, output + first);
    first = first == 0 && channels % kBlock != 0 ? channels % kBlock : first + count;
    if (channels < kBlock) break;
  }
  if (!is_exact) run_slow_rows(layer, shape, input, output);
}

#endif  // DCSR_HAS_MVE
