// Convolution with any filter and dense weights with the DSP extension (Cortex-M4, M7, M33). Meant
// for first layers, whose filters have few taps: one weight at a time would need a load and a
// multiplication for each of them.
//
// Input:   [batches, input_height, input_width, channels], int8, or planes.
// Output:  [batches, output_height, output_width, rows], int8, or planes.
// Scratch: weights of a row, a patch, activations of a tile (plan_conv2d_dense_dsp.h).
// Cycles:  counted in costs/costs.c (docs/kernels.md#dense-filters-with-the-dsp-extension).
//
// SMLAD multiplies two taps at once. The patches of a tile of output pixels are expanded once to
// words of two int16 taps. They are doubled, so that sums are, too: row_scale.h requantizes twice
// the sum. Taps are in the order of SXTB16, which makes words of bytes 0 and 2, and of 1 and 3.
// Words lie in the order in which the inner loop reads them: x[block][word][5 pixels]. Five sums,
// five activations, two weights and two pointers take up all registers, so the loop is in assembly.

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "tflm_kernels/common/compiler.h"
#include "tflm_kernels/common/dsp.h"
#include "tflm_kernels/common/layout.h"
#include "tflm_kernels/common/row_scale.h"
#include "tflm_kernels/planning/plan_conv2d_dense_dsp.h"
#include "tflm_kernels/scalar/clamp_dsp.h"
#include "tflm_kernels/scalar/scalar.h"

enum {
  kBlockPixels = kDcsrDspBlockPixels,
  kGroupTaps = kDcsrDspGroupTaps,
  kGroupWords = kDcsrDspGroupWords,
};

// Stands behind the weights of a row. The upper half of a word of weights is at least -128.
static const uint32_t kEndMark = UINT32_C(0x80000000);

// The values that the inner loop needs for a row, in the order in which it loads them.
typedef struct {
  const uint32_t* weights;
  uint32_t sums[kBlockPixels];  // twice the bias, at the start of a block
  uint32_t is_odd;              // whether the number of groups is odd
  int32_t multiplier;
  int32_t offset;
  int32_t right;
  uint32_t step;        // bytes between pixels of the output
  int8_t* output;       // of the first pixel
  const uint32_t* end;  // of the activations
} Row;

typedef struct {
  uint32_t groups;
  uint32_t* weights;
  int8_t* patch;
  uint32_t* x;
  int8_t* padded;
} Scratch;

static Scratch divide_scratch(const DcsrPlan* plan, const DcsrLayer* layer, void* scratch) {
  Scratch parts;
  parts.groups = dcsr_dsp_groups(layer->cols);
  parts.weights = (uint32_t*)scratch;
  parts.x = parts.weights + dcsr_dsp_weight_words(layer->cols);
  const size_t blocks = plan->tile_pixels / kBlockPixels;
  parts.patch = (int8_t*)(parts.x + blocks * dcsr_dsp_block_words(layer->cols));
  parts.padded = parts.patch + (size_t)parts.groups * kGroupTaps;
  return parts;
}

// ----- Activations -----

// The rows of an image from which patches are read: the image itself, or a padded copy of the rows
// that a tile needs.
typedef struct {
  const int8_t* pixels;
  size_t row_bytes;
  size_t column_bytes;  // between pixels of a row
  uint32_t first;       // row of the output whose patches begin with the first row
} Image;

// Copies the first `count` bytes of a row of the image, channel by channel.
DCSR_NOINLINE static void copy_row(const DcsrLayer* layer, const int8_t* row,
                                   const DcsrSteps* steps, size_t count, int8_t* out) {
  if (dcsr_dsp_is_plain(layer)) {
    memcpy(out, row, count);
    return;
  }
  const size_t channels = layer->channels;
  const size_t column = steps->column;
  for (size_t c = 0; c < channels; ++c) {
    const int8_t* pixel = row + c * steps->channel;
    for (size_t i = c; i < count; i += channels) {
      out[i] = *pixel;
      pixel += column;
    }
  }
}

// Copies the rows of the padded image that the rows `first` to `last` of the output read.
DCSR_COLD static Image pad(const DcsrLayer* layer, const DcsrConvShape* shape, const int8_t* input,
                           uint32_t first, uint32_t last, int8_t* out) {
  const uint32_t top =
      dcsr_conv_padding(shape->input_height, shape->output_height,
                        dcsr_filter_extent(layer->filter_h, layer->dilation_h), layer->stride_h);
  const uint32_t left =
      dcsr_conv_padding(shape->input_width, shape->output_width,
                        dcsr_filter_extent(layer->filter_w, layer->dilation_w), layer->stride_w);
  const Image image = {out, (size_t)dcsr_dsp_padded_row_bytes(layer, shape), layer->channels,
                       first};
  const size_t left_bytes = (size_t)left * layer->channels;
  const size_t input_bytes = (size_t)shape->input_width * layer->channels;
  const size_t inside = image.row_bytes - left_bytes;
  const size_t count = input_bytes < inside ? input_bytes : inside;
  const DcsrSteps steps = dcsr_input_steps(layer, shape);
  const uint32_t rows = (uint32_t)dcsr_dsp_span((int64_t)(last - first) + 1, layer->stride_h,
                                                layer->filter_h, layer->dilation_h);
  for (uint32_t r = 0; r < rows; ++r) {
    // Modulo 2^32: rows before the image are larger than its size.
    const uint32_t y = first * layer->stride_h + r - top;
    memset(out, layer->input_zero_point, image.row_bytes);
    if (y < (uint32_t)shape->input_height) {
      copy_row(layer, input + y * steps.row, &steps, count, out + left_bytes);
    }
    out += image.row_bytes;
  }
  return image;
}

static int8_t* copy_bytes(const int8_t* from, size_t count, int8_t* to) {
  for (; count >= 4; count -= 4) {
    memcpy(to, from, 4);
    from += 4;
    to += 4;
  }
  for (; count > 0; --count) *to++ = *from++;
  return to;
}

// Copies a patch whose rows are dilated or no whole groups.
DCSR_NOINLINE static void copy_patch(const DcsrLayer* layer, const int8_t* pixels, size_t row_bytes,
                                     int8_t* out) {
  const bool is_dilated = layer->dilation_w > 1;
  const uint32_t run = is_dilated ? layer->channels : layer->filter_w * layer->channels;
  const uint32_t runs = is_dilated ? layer->filter_w : 1;
  for (uint32_t f = 0; f < layer->filter_h; ++f) {
    const int8_t* taps = pixels;
    for (uint32_t i = 0; i < runs; ++i) {
      out = copy_bytes(taps, run, out);
      taps += (size_t)layer->dilation_w * layer->channels;
    }
    pixels += row_bytes;
  }
}

// Expands `rows` rows of `groups` groups of four taps. Consecutive words of a pixel are
// kBlockPixels words apart.
DCSR_NOINLINE static void expand_rows(const int8_t* taps, size_t row_bytes, uint32_t rows,
                                      uint32_t groups, uint32_t* x) {
  row_bytes -= (size_t)groups * kGroupTaps;
  for (; rows > 0; --rows) {
    for (uint32_t g = groups; g > 0; --g) {
      const uint32_t bytes = dcsr_dsp_load(taps);
      taps += kGroupTaps;
      x[0] = dcsr_dsp_double(dcsr_dsp_even(bytes));
      x[kBlockPixels] = dcsr_dsp_double(dcsr_dsp_odd(bytes));
      x += kGroupWords * kBlockPixels;
    }
    taps += row_bytes;
  }
}

// Expands the patch at `pixels`. `row_bytes` are those between rows of the filter.
static void expand_patch(const DcsrLayer* layer, const int8_t* pixels, size_t row_bytes,
                         const Scratch* scratch, uint32_t* x) {
  const uint32_t run = layer->filter_w * layer->channels;
  if (layer->dilation_w == 1 && run % kGroupTaps == 0) {
    expand_rows(pixels, row_bytes, layer->filter_h, run / kGroupTaps, x);
  } else {
    copy_patch(layer, pixels, row_bytes, scratch->patch);
    expand_rows(scratch->patch, 0, 1, scratch->groups, x);
  }
}

// Expands the patches of a block that begins with pixel `first` of the output.
static void expand_block(const DcsrLayer* layer, const DcsrConvShape* shape, const Image* image,
                         size_t first, const Scratch* scratch, uint32_t* x) {
  const size_t width = (size_t)shape->output_width;
  const size_t row_step = layer->stride_h * image->row_bytes;
  const size_t column_step = layer->stride_w * image->column_bytes;
  const int8_t* row = image->pixels + (first / width - image->first) * row_step;
  size_t column = first % width;
  const int8_t* patch = row + column * column_step;
  for (size_t p = 0; p < kBlockPixels; ++p) {
    expand_patch(layer, patch, layer->dilation_h * image->row_bytes, scratch, x++);
    patch += column_step;
    if (++column == width) {
      column = 0;
      row += row_step;
      patch = row;
    }
  }
}

// Expands a block of pixels that follow each other in planes. The last group repeats the last
// channel, which has no weights then.
static void expand_planes(const int8_t* pixels, size_t plane_bytes, uint32_t channels,
                          uint32_t* x) {
  for (uint32_t c = 0; c < channels; c += kGroupTaps) {
    const uint32_t left = channels - 1 - c;
    const int8_t* tap1 = pixels + (left >= 1 ? plane_bytes : 0);
    const int8_t* tap2 = tap1 + (left >= 2 ? plane_bytes : 0);
    const int8_t* tap3 = tap2 + (left >= 3 ? plane_bytes : 0);
    DCSR_UNROLL("GCC unroll 5")
    for (size_t p = 0; p < kBlockPixels; ++p) {
      x[p] = dcsr_dsp_double(dcsr_dsp_pack_low((uint32_t)pixels[p], (uint32_t)tap2[p]));
      x[kBlockPixels + p] =
          dcsr_dsp_double(dcsr_dsp_pack_low((uint32_t)tap1[p], (uint32_t)tap3[p]));
    }
    x += kGroupWords * kBlockPixels;
    pixels = tap3 + plane_bytes;
  }
}

// Expands the patches of `count` pixels from `first` on. If the last block has too few pixels, it
// repeats those before them.
DCSR_NOINLINE static void expand_tile(const DcsrLayer* layer, const DcsrConvShape* shape,
                                      const int8_t* input, size_t first, size_t count,
                                      const Scratch* scratch) {
  const size_t width = (size_t)shape->output_width;
  const size_t end = first + count;
  const size_t last_block = end - kBlockPixels;
  const size_t lowest = last_block < first ? last_block : first;
  const DcsrSteps steps = dcsr_input_steps(layer, shape);
  Image image = {input, steps.row, steps.column, 0};
  if (dcsr_dsp_is_copied(layer, shape)) {
    image = pad(layer, shape, input, (uint32_t)(lowest / width), (uint32_t)((end - 1) / width),
                scratch->padded);
  }
  uint32_t* x = scratch->x;
  const bool has_runs = dcsr_dsp_has_runs(layer);
  for (; first < end; first += kBlockPixels) {
    const size_t block = first < last_block ? first : last_block;
    if (has_runs) {
      expand_planes(input + block, steps.channel, layer->channels, x);
    } else {
      expand_block(layer, shape, &image, block, scratch, x);
    }
    x += dcsr_dsp_block_words(layer->cols);
  }
}

// ----- Products -----

// Expands the weights of a row and adds the end mark.
static void expand_weights(const int8_t* values, uint32_t cols, uint32_t* weights) {
  for (; cols >= kGroupTaps; cols -= kGroupTaps) {
    const uint32_t bytes = dcsr_dsp_load(values);
    values += kGroupTaps;
    weights[0] = dcsr_dsp_even(bytes);
    weights[1] = dcsr_dsp_odd(bytes);
    weights += kGroupWords;
  }
  if (cols > 0) {
    const uint32_t bytes = dcsr_dsp_load_some(values, cols);
    weights[0] = dcsr_dsp_even(bytes);
    weights[1] = dcsr_dsp_odd(bytes);
    weights += kGroupWords;
  }
  weights[0] = kEndMark;
  weights[1] = 0;
}

#if defined(__ARM_FEATURE_DSP) && defined(__thumb2__) && !defined(DCSR_NO_ASSEMBLY)

// Constants that the assembly uses as numbers.
_Static_assert(kBlockPixels == 5 && sizeof(Row) == 52, "");
_Static_assert(offsetof(Row, is_odd) == 24 && offsetof(Row, multiplier) == 28, "");
_Static_assert(offsetof(Row, output) == 44 && offsetof(Row, end) == 48, "");

// Computes the outputs of a row for all blocks from `x` to row->end.
__attribute__((naked, noinline)) static void multiply_blocks(const Row* row __attribute__((unused)),
                                                             const uint32_t* x
                                                             __attribute__((unused))) {
  // r0 activations, r1 weights, r2-r6 sums, r7-r11 words of five pixels, r12 and lr weights.
  // Stack: a copy of the row, as no register is left for its address.
  __asm__ volatile(
      ".syntax unified\n"
      "push {r4-r11, lr}\n"
      "sub sp, #52\n"
      "ldmia r0!, {r2-r8}\n"
      "stmia sp, {r2-r8}\n"
      "ldmia r0, {r2-r7}\n"
      "add r8, sp, #28\n"
      "stmia r8, {r2-r7}\n"
      "mov r0, r1\n"
      "1:\n"  // next block
      "ldmia sp, {r1-r7}\n"
      "cmp r7, #0\n"
      "ldmia r1!, {r12, lr}\n"
      "bne 3f\n"
      "2:\n"  // first of two groups
      "ldmia r0!, {r7-r11}\n"
      "smlad r2, r7, r12, r2\n"
      "smlad r3, r8, r12, r3\n"
      "smlad r4, r9, r12, r4\n"
      "smlad r5, r10, r12, r5\n"
      "smlad r6, r11, r12, r6\n"
      "ldmia r0!, {r7-r11}\n"
      "smlad r2, r7, lr, r2\n"
      "smlad r3, r8, lr, r3\n"
      "smlad r4, r9, lr, r4\n"
      "smlad r5, r10, lr, r5\n"
      "smlad r6, r11, lr, r6\n"
      "ldmia r1!, {r12, lr}\n"
      "3:\n"  // second group
      "ldmia r0!, {r7-r11}\n"
      "smlad r2, r7, r12, r2\n"
      "smlad r3, r8, r12, r3\n"
      "smlad r4, r9, r12, r4\n"
      "smlad r5, r10, r12, r5\n"
      "smlad r6, r11, r12, r6\n"
      "ldmia r0!, {r7-r11}\n"
      "smlad r2, r7, lr, r2\n"
      "smlad r3, r8, lr, r3\n"
      "smlad r4, r9, lr, r4\n"
      "smlad r5, r10, lr, r5\n"
      "smlad r6, r11, lr, r6\n"
      "ldmia r1!, {r12, lr}\n"
      "cmp r12, #0x80000000\n"  // the end mark
      "bne 2b\n"
      // Requantization. r7 multiplier, r8 offset, r9 shift, r10 step, r11 output, r12 end.
      "add r7, sp, #28\n"
      "ldmia r7, {r7-r12}\n"
      "smmlar r1, r2, r7, r8\n"
      "smmlar lr, r3, r7, r8\n"
      "add r1, r1, r2, asr #31\n"
      "add lr, lr, r3, asr #31\n"
      "asr r2, r1, r9\n"
      "asr r3, lr, r9\n"
      "ssat r2, #8, r2\n"
      "ssat r3, #8, r3\n"
      "strb r2, [r11]\n"
      "strb r3, [r11, r10]\n"
      "smmlar r1, r4, r7, r8\n"
      "smmlar r2, r5, r7, r8\n"
      "smmlar r3, r6, r7, r8\n"
      "add r1, r1, r4, asr #31\n"
      "add r2, r2, r5, asr #31\n"
      "add r3, r3, r6, asr #31\n"
      "asr r1, r1, r9\n"
      "asr r2, r2, r9\n"
      "asr r3, r3, r9\n"
      "ssat r1, #8, r1\n"
      "ssat r2, #8, r2\n"
      "ssat r3, #8, r3\n"
      "strb r1, [r11, r10, lsl #1]\n"
      "add r1, r10, r10, lsl #1\n"
      "strb r2, [r11, r1]\n"
      "add r11, r11, r10, lsl #2\n"
      "strb r3, [r11]\n"
      "add r11, r10\n"
      "str r11, [sp, #44]\n"
      "cmp r0, r12\n"
      "bne 1b\n"
      "add sp, #52\n"
      "pop {r4-r11, pc}\n");
}

#else

static void multiply_blocks(const Row* row, const uint32_t* x) {
  int8_t* output = row->output;
  for (; x != row->end; output += kBlockPixels * (size_t)row->step) {
    uint32_t sums[kBlockPixels];
    memcpy(sums, row->sums, sizeof(sums));
    for (const uint32_t* weights = row->weights; *weights != kEndMark; ++weights) {
      for (size_t p = 0; p < kBlockPixels; ++p) sums[p] = dcsr_dsp_smlad(x[p], *weights, sums[p]);
      x += kBlockPixels;
    }
    for (size_t p = 0; p < kBlockPixels; ++p) {
      const int32_t sum = (int32_t)sums[p];
      const int32_t scaled = dcsr_multiply_high_add(sum, row->multiplier, row->offset);
      output[p * row->step] = dcsr_saturate_int8((scaled + (sum >> 31)) >> row->right);
    }
  }
}

#endif

// multiply_blocks() for a row that cannot be requantized from twice the sum.
DCSR_COLD static void multiply_blocks_slowly(const DcsrLayer* layer, uint32_t number,
                                             const Row* row, const uint32_t* x) {
  const DcsrRowTail tail = dcsr_row_tail(layer, number);
  int8_t* output = row->output;
  while (x != row->end) {
    const uint32_t* next = x;
    for (size_t p = 0; p < kBlockPixels; ++p) {
      uint32_t sum = 0;
      next = x + p;
      for (const uint32_t* weights = row->weights; *weights != kEndMark; ++weights) {
        sum = dcsr_dsp_smlad(*next, *weights, sum);
        next += kBlockPixels;
      }
      // Twice the sum without bias has at most 31 bits.
      const uint32_t acc = (uint32_t)((int32_t)sum >> 1) + (uint32_t)tail.bias;
      *output = dcsr_requantize_by(layer, tail.multiplier, tail.shift, acc);
      output += row->step;
    }
    x = next - (kBlockPixels - 1);
  }
}

static void multiply_any(const DcsrLayer* layer, uint32_t number, bool is_fast, const Row* row,
                         const uint32_t* x) {
  if (is_fast) {
    multiply_blocks(row, x);
  } else {
    multiply_blocks_slowly(layer, number, row, x);
  }
}

// Computes the outputs of a row for `pixels` pixels. `output` is that of the first. If the last
// block has too few pixels, it repeats those before them.
DCSR_NOINLINE static void multiply_row(const DcsrLayer* layer, uint32_t number,
                                       const Scratch* scratch, size_t pixels, size_t step,
                                       int8_t* output) {
  const DcsrRowScale scale = dcsr_row_scale(layer, number, layer->cols);
  expand_weights(layer->values + (size_t)number * layer->cols, layer->cols, scratch->weights);
  Row row;
  row.weights = scratch->weights;
  for (size_t p = 0; p < kBlockPixels; ++p) row.sums[p] = (uint32_t)scale.bias << 1;
  row.is_odd = scratch->groups % 2;
  row.multiplier = scale.multiplier;
  row.offset = scale.offset;
  row.right = scale.right;
  row.step = (uint32_t)step;
  row.output = output;
  const size_t block_words = dcsr_dsp_block_words(layer->cols);
  const size_t blocks = pixels / kBlockPixels;
  row.end = scratch->x + blocks * block_words;
  if (blocks > 0) multiply_any(layer, number, scale.fast, &row, scratch->x);
  if (pixels % kBlockPixels == 0) return;
  const uint32_t* last = row.end;
  row.end += block_words;
  row.output = output + ((ptrdiff_t)pixels - kBlockPixels) * (ptrdiff_t)step;
  multiply_any(layer, number, scale.fast, &row, last);
}

void dcsr_conv2d_dense_dsp(const DcsrPlan* plan, const DcsrLayer* layer, const DcsrConvShape* shape,
                           const void* input_data, void* output_data, void* scratch) {
  const int8_t* input = (const int8_t*)input_data;
  int8_t* output = (int8_t*)output_data;
  const Scratch parts = divide_scratch(plan, layer, scratch);
  const size_t pixels = (size_t)shape->output_height * (size_t)shape->output_width;
  const DcsrSteps steps = dcsr_output_steps(layer, shape);
  // A layer with planes has one image.
  const size_t image =
      dcsr_has_output_planes(layer) ? steps.channel * layer->rows : pixels * layer->rows;
  for (int32_t batch = 0; batch < shape->batches; ++batch) {
    for (size_t first = 0; first < pixels; first += plan->tile_pixels) {
      const size_t left = pixels - first;
      const size_t count = left < plan->tile_pixels ? left : plan->tile_pixels;
      expand_tile(layer, shape, input, first, count, &parts);
      for (uint32_t row = 0; row < layer->rows; ++row) {
        multiply_row(layer, row, &parts, count, steps.column,
                     output + first * steps.column + row * steps.channel);
      }
    }
    input += (size_t)shape->input_height * (size_t)shape->input_width * layer->channels;
    output += image;
  }
  dcsr_clamp_dsp(layer, image * (size_t)shape->batches, (int8_t*)output_data);
}
