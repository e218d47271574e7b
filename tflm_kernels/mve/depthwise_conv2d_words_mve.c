// Depthwise convolution on planes with MVE (Cortex-M55, M85): filters of up to 4x3 taps, 4x4 with a
// stride of two columns.
//
// Input:   planes, int8 (DcsrLayout).
// Output:  planes, int8.
// Scratch: words of a few rows, sums of a tile (plan_depthwise_conv2d_words_mve.h); 560 bytes of
//          stack.
// Cycles:  docs/kernels.md#planes-with-mve.
//
// Computes one channel after the other. VST4 interleaves four input rows, a set, so that a word
// holds the four pixels of a column. A vector of four words then has all taps of an output, and
// one VMLADAV multiplies them with the weights. Lanes without a tap have weight 0.
//
//   rows of a plane    words of the set                  weights of the output ...
//   a0 a1 a2 a3        a0 b0 c0 d0 | a1 b1 c1 d1 | ...   w00 w10 w20   0 | w01 w11 w21   0 | ...
//   b0 b1 b2 b3        ... to the right:                   0   0   0   0 | w00 w10 w20   0 | ...
//   c0 c1 c2 c3        ... below:                          0 w00 w10 w20 |   0 w01 w11 w21 | ...
//   d0 d1 d2 d3
//
// So a vector gives four outputs of a 3x3 filter with stride 1. A larger one, of up to four rows or
// with a stride or dilation of rows, gives two; a stride of two columns, with up to 4x4 taps, gives
// one. Sums have 32 bits and cannot overflow, whatever the weights.

#include <string.h>

#include "tflm_kernels/common/compiler.h"
#include "tflm_kernels/common/layout.h"
#include "tflm_kernels/mve/mve.h"
#include "tflm_kernels/mve/requantize_plane_mve.h"
#include "tflm_kernels/planning/plan_depthwise_conv2d_words_mve.h"

#if DCSR_HAS_MVE

#include <arm_mve.h>

// A tile of a channel, in the order in which the assembly loads it.
typedef struct {
  DcsrWordRows* rows;
  uint32_t sets;
  int8_t* words;         // of the first column of the map
  uint32_t loads;        // vectors of a row of the map
  int8_t* right;         // words behind the map
  uint32_t pad;          // the input zero point, four times
  const int8_t* vector;  // stride 1: of the last group of outputs; stride 2: of the first one
  uint32_t groups;
  int32_t* first_sums;    // stride 1: behind the last group of the first row; stride 2: before it
  uint32_t row_bytes;     // sums of a row
  int32_t next;           // bytes from where a set ends to where the next one begins
  const int8_t* weights;  // 16 zeros, then a vector
  DcsrPlaneOutputs outputs;
} Tile;

_Static_assert(offsetof(Tile, words) == 8 && offsetof(Tile, right) == 16, "assembly");
_Static_assert(offsetof(Tile, vector) == 24 && offsetof(Tile, first_sums) == 32, "assembly");
_Static_assert(offsetof(Tile, next) == 40 && offsetof(Tile, weights) == 44, "assembly");
_Static_assert(offsetof(Tile, outputs) == 48, "assembly");
_Static_assert(offsetof(DcsrWordRows, step) == 16 && sizeof(DcsrWordRows) == 32, "assembly");

// Compute the sums of a tile, and requantize them as dcsr_requantize_plane_mve() does.
void dcsr_words_mve_stride1(const Tile* tile);
void dcsr_words_mve_stride2(const Tile* tile);

// M, I and L name the pipe of a vector instruction: multiplication, integer, loads and stores. A
// pipe takes a vector instruction every second cycle, so neighbours should differ.
__asm__(
    ".syntax unified\n"
    ".section .text.dcsr_words_mve, \"ax\", %progbits\n"
    ".macro dcsr_words_begin name\n"
    ".p2align 2\n"
    ".global \\name\n"
    ".thumb_func\n"
    ".type \\name, %function\n"
    "\\name:\n"
    "push {r4-r11, lr}\n"
    "vpush {d8-d15}\n"
    "mov r9, r0\n"
    ".endm\n"
    ".macro dcsr_words_end name\n"
    ".size \\name, . - \\name\n"
    ".endm\n"

    // Writes the words of the set at r11, and moves its addresses to the next channel. Then r1 is
    // the vector, lr the number of groups. r9 is the tile.
    ".macro dcsr_words_set\n"
    "vldrw.32 q4, [r11]\n"
    "vldrw.32 q5, [r11, #16]\n"
    "ldm r11, {r2, r4, r6, r8}\n"
    "vadd.i32 q4, q4, q5\n"
    "ldrd r10, lr, [r9, #8]\n"
    "vstrw.32 q4, [r11], #32\n"
    "dls lr, lr\n"
    ".p2align 2\n"
    "2:\n"
    "vldrb.8 q4, [r2], #16\n"
    "vldrb.8 q5, [r4], #16\n"
    "vldrb.8 q6, [r6], #16\n"
    "vldrb.8 q7, [r8], #16\n"
    "vst40.8 {q4, q5, q6, q7}, [r10]\n"
    "vst41.8 {q4, q5, q6, q7}, [r10]\n"
    "vst42.8 {q4, q5, q6, q7}, [r10]\n"
    "vst43.8 {q4, q5, q6, q7}, [r10]!\n"
    "le lr, 2b\n"
    "ldrd r0, r2, [r9, #16]\n"
    "ldrd r1, lr, [r9, #24]\n"
    "strd r2, r2, [r0]\n"  // what lies behind the map
    ".endm\n"

    // Stride 1, one or two rows of outputs for each set. q0 to q3 are the weights of an output, of
    // that to its right, and of both below. The groups of a row are computed from the last to the
    // first one, because its last sums reach into the next row. A pass also stores the last two
    // sums of the pass before it; the first one stores anything behind the row.
    "dcsr_words_begin dcsr_words_mve_stride1\n"
    "ldr r1, [r9, #44]\n"
    "ldrd r11, r7, [r9]\n"
    "ldrd r3, r5, [r9, #32]\n"
    "vldrb.8 q0, [r1, #16]\n"
    "add r5, r5, r3\n"
    "vldrb.8 q1, [r1, #12]\n"
    "vldrb.8 q2, [r1, #15]\n"
    "vldrb.8 q3, [r1, #11]\n"
    "1:\n"
    "dcsr_words_set\n"
    "vldrw.32 q5, [r1, #8]\n"
    "vldrw.32 q4, [r1], #-16\n"
    "dls lr, lr\n"
    ".p2align 2\n"
    "2:\n"
    "vmladav.s8 r4, q5, q0\n"
    "strd r0, r8, [r5], #-16\n"
    "vmladav.s8 r6, q5, q1\n"
    "vmladav.s8 r0, q4, q0\n"
    "strd r4, r6, [r3, #-8]\n"
    "vmladav.s8 r2, q4, q1\n"
    "vmladav.s8 r12, q5, q3\n"
    "strd r0, r2, [r3, #-16]!\n"
    "vmladav.s8 r10, q5, q2\n"
    "vldrw.32 q5, [r1, #8]\n"
    "vmladav.s8 r8, q4, q3\n"
    "strd r10, r12, [r5, #8]\n"
    "vmladav.s8 r0, q4, q2\n"
    "vldrw.32 q4, [r1], #-16\n"
    "le lr, 2b\n"
    "strd r0, r8, [r5]\n"
    "ldr r0, [r9, #40]\n"
    "add r3, r3, r0\n"
    "add r5, r5, r0\n"
    "subs r7, r7, #1\n"
    "bne 1b\n"
    "add r9, r9, #48\n"
    "b dcsr_requantize_plane_mve_entered\n"
    "dcsr_words_end dcsr_words_mve_stride1\n"

    // Stride 2, one row of outputs for each set.
    "dcsr_words_begin dcsr_words_mve_stride2\n"
    "ldr r1, [r9, #44]\n"
    "ldrd r11, r7, [r9]\n"
    "ldr r3, [r9, #32]\n"
    "vldrb.8 q0, [r1, #16]\n"
    "ldr r5, [r9, #40]\n"
    "1:\n"
    "dcsr_words_set\n"
    "dls lr, lr\n"
    ".p2align 2\n"
    "2:\n"
    "vldrw.32 q5, [r1, #8]\n"
    "vmladav.s8 r2, q5, q0\n"
    "vldrw.32 q6, [r1, #16]\n"
    "vmladav.s8 r4, q6, q0\n"
    "vldrw.32 q7, [r1, #24]\n"
    "vmladav.s8 r6, q7, q0\n"
    "vldrw.32 q4, [r1], #32\n"
    "vmladav.s8 r0, q4, q0\n"
    "strd r4, r6, [r3, #8]\n"
    "strd r0, r2, [r3], #16\n"
    "le lr, 2b\n"
    "add r3, r3, r5\n"
    "subs r7, r7, #1\n"
    "bne 1b\n"
    "add r9, r9, #48\n"
    "b dcsr_requantize_plane_mve_entered\n"
    "dcsr_words_end dcsr_words_mve_stride2\n"

    ".text\n");

// A layer and its scratch.
typedef struct {
  const DcsrLayer* layer;
  const DcsrConvShape* shape;
  DcsrWordsShape words;
  size_t plane_bytes;      // from a plane of the input to the next one
  DcsrWordRows* rows;      // of all sets
  int8_t* weights;         // 16 zeros, then a vector
  int32_t* sums;           // of a tile
  const int8_t* padding;   // a row
  int8_t* last_rows;       // of a plane, at the end of the input
  uint8_t tap[16];         // place of the weight of each lane
  uint32_t first_rows[4];  // of the first set; far outside if no tap needs them
  mve_pred16_t taps;       // lanes with a weight
  uint32_t pixels;         // of the output
  uint32_t tile_pixels;
  uint32_t tile_sets;
  void (*run)(const Tile* tile);
  Tile tile;
} Work;

// Sets the addresses of all sets for the plane at `input`. Rows from `copied` on are those of
// work->last_rows.
DCSR_NOINLINE static void set_rows(const Work* work, const int8_t* input, uint32_t copied) {
  const uint32_t height = (uint32_t)work->shape->input_height;
  const uint32_t width = (uint32_t)work->shape->input_width;
  const uint32_t between = work->words.set_rows * work->layer->stride_h;
  const uint32x4_t of_input = vdupq_n_u32((uint32_t)(uintptr_t)input);
  const uint32x4_t of_copy = vdupq_n_u32((uint32_t)(uintptr_t)work->last_rows - copied * width);
  const uint32x4_t padding = vdupq_n_u32((uint32_t)(uintptr_t)work->padding);
  const uint32x4_t step = vdupq_n_u32((uint32_t)work->plane_bytes);
  uint32x4_t y = vld1q_u32(work->first_rows);
  DcsrWordRows* rows = work->rows;
  for (const DcsrWordRows* end = rows + work->words.sets; rows != end; ++rows) {
    const uint32x4_t base = vpselq_u32(of_copy, of_input, vcmpcsq_n_u32(y, copied));
    const mve_pred16_t is_outside = vcmpcsq_n_u32(y, height);
    vst1q_u32(rows->row, vpselq_u32(padding, vmlaq_n_u32(base, y, width), is_outside));
    vst1q_u32(rows->step, vpselq_u32(vdupq_n_u32(0), step, is_outside));
    y = vaddq_n_u32(y, between);
  }
}

// Lists the rows of the first set, and the lanes of the taps.
static void list_taps(Work* work) {
  const DcsrLayer* layer = work->layer;
  const bool is_pair = work->words.set_rows == 2;
  for (uint32_t j = 0; j < 4; ++j) {
    work->first_rows[j] = is_pair               ? j - work->words.top
                          : j < layer->filter_h ? j * layer->dilation_h - work->words.top
                                                : UINT32_C(1) << 31;
  }
  const uint32_t between = is_pair ? layer->dilation_h : 1;
  for (uint32_t y = 0; y < layer->filter_h; ++y) {
    for (uint32_t x = 0; x < layer->filter_w; ++x) {
      const uint32_t lane = 4 * x + y * between;
      work->tap[lane] = (uint8_t)(y * layer->filter_w + x);
      work->taps |= (mve_pred16_t)(1 << lane);
    }
  }
}

static void begin(const DcsrPlan* plan, const DcsrLayer* layer, const DcsrConvShape* shape,
                  int8_t* scratch, Work* work) {
  memset(work, 0, sizeof(*work));
  work->layer = layer;
  work->shape = shape;
  work->words = dcsr_words_mve_shape(layer, shape);
  const DcsrWordsShape* words = &work->words;
  work->pixels = (uint32_t)(shape->output_height * shape->output_width);
  work->tile_pixels = (uint32_t)plan->tile_pixels;
  work->run = layer->stride_w == 1 ? dcsr_words_mve_stride1 : dcsr_words_mve_stride2;
  work->tile_sets = (uint32_t)(plan->tile_pixels / (uint32_t)shape->output_width) / words->set_rows;
  work->plane_bytes = dcsr_input_steps(layer, shape).channel;
  work->rows = (DcsrWordRows*)(void*)scratch;
  work->weights = scratch + words->sets * sizeof(DcsrWordRows);
  int8_t* const first = work->weights + 3 * kDcsrWordsVector;
  work->sums = (int32_t*)(void*)(first + words->words * sizeof(uint32_t));
  int8_t* const padding =
      (int8_t*)work->sums + dcsr_words_mve_sum_bytes(shape, words, work->tile_sets);
  work->padding = padding;
  work->last_rows = padding + words->padding_bytes;
  memset(work->weights, 0, kDcsrWordsVector);
  memset(first, layer->input_zero_point, words->words * sizeof(uint32_t));
  memset(padding, layer->input_zero_point, words->padding_bytes);
  list_taps(work);
  Tile* tile = &work->tile;
  const uint32_t group_bytes = words->groups * kDcsrWordsGroup * (uint32_t)sizeof(int32_t);
  tile->words = first + words->left * sizeof(uint32_t);
  tile->loads = words->loads;
  tile->right = tile->words + (uint32_t)shape->input_width * sizeof(uint32_t);
  tile->pad = (uint32_t)(uint8_t)layer->input_zero_point * UINT32_C(0x01010101);
  tile->vector = first;
  tile->groups = words->groups;
  tile->row_bytes = (uint32_t)shape->output_width * (uint32_t)sizeof(int32_t);
  tile->next = (int32_t)(words->set_rows * tile->row_bytes) - (int32_t)group_bytes;
  tile->first_sums = work->sums;
  tile->weights = work->weights;
  tile->outputs = dcsr_plane_outputs(layer, work->sums);
  if (layer->stride_w == 1) {
    tile->vector += group_bytes - kDcsrWordsVector;
    tile->next += (int32_t)(2 * group_bytes);
    tile->first_sums += words->groups * kDcsrWordsGroup;
  }
}

// Computes the outputs of a channel, at `output`. The tensor ends at `end`.
static void run_channel(Work* work, uint32_t row, int8_t* output, const int8_t* end) {
  const DcsrLayer* layer = work->layer;
  Tile* tile = &work->tile;
  const DcsrRowTail tail = dcsr_fast_row_tail(layer, row);
  vst1q_s8(work->weights + kDcsrWordsVector,
           vldrbq_gather_offset_z_s8(layer->values + (size_t)row * layer->cols, vld1q_u8(work->tap),
                                     work->taps));
  dcsr_set_plane_row(&tail, &tile->outputs);
  uint32_t pixels_left = work->pixels;
  tile->rows = work->rows;
  for (uint32_t left = work->words.sets; left > 0; left -= tile->sets) {
    tile->sets = left < work->tile_sets ? left : work->tile_sets;
    const uint32_t pixels = pixels_left < work->tile_pixels ? pixels_left : work->tile_pixels;
    tile->outputs.output = output;
    if (dcsr_plane_row_is_plain(&tail) && dcsr_plane_steps_fit(pixels, output, end)) {
      tile->outputs.steps = (uint32_t)dcsr_plane_steps(pixels);
      work->run(tile);
    } else {
      tile->outputs.steps = 0;
      work->run(tile);
      dcsr_requantize_plane(layer, &tail, pixels, end, &tile->outputs);
    }
    tile->rows += tile->sets;
    pixels_left -= pixels;
    output += pixels;
  }
}

void dcsr_depthwise_conv2d_words_mve(const DcsrPlan* plan, const DcsrLayer* layer,
                                     const DcsrConvShape* shape, const void* input_data,
                                     void* output_data, void* scratch) {
  Work work;
  begin(plan, layer, shape, (int8_t*)scratch, &work);
  const size_t output_bytes = dcsr_output_steps(layer, shape).channel;
  const uint32_t width = (uint32_t)shape->input_width;
  const uint32_t height = (uint32_t)shape->input_height;
  const uint32_t copied = height - dcsr_words_mve_last_rows(shape);
  const int8_t* input = (const int8_t*)input_data;
  const int8_t* const input_end = input + layer->rows * work.plane_bytes;
  int8_t* output = (int8_t*)output_data;
  const int8_t* const output_end = output + layer->rows * output_bytes;
  set_rows(&work, input, height);
  for (uint32_t row = 0; row < layer->rows; ++row) {
    // The vectors of the last rows may reach behind the plane, but not behind the tensor.
    if ((size_t)(input_end - input) < (size_t)height * width + kDcsrWordsVector - 1) {
      memcpy(work.last_rows, input + copied * width, (height - copied) * width);
      set_rows(&work, input, copied);
    }
    run_channel(&work, row, output, output_end);
    input += work.plane_bytes;
    output += output_bytes;
  }
}

#endif  // DCSR_HAS_MVE
