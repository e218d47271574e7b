// 1x1 convolution in C for cores whose only multiplication is 32 bits wide (Cortex-M0+, M23), any
// encoding.
//
// Input:   [batches, input_height, input_width, cols], int8.
// Output:  [batches, output_height, output_width, rows], int8.
// Scratch: list of a row, sums, a tile of activations (plan_conv1x1_c.h).
// Cycles:  counted in costs/costs.c (docs/kernels.md#cores-without-mve).
//
// Two pixels share one word, and so one multiplication:
//
//   word = x1 * 2^16 + x0        acc += weight * word        acc = sum1 * 2^16 + sum0
//
// Neither half overflows while sum |weight| <= kGroupWeight. The nonzeros of a row are therefore
// split into groups of at most that weight. After each group both halves are added to 32-bit sums.
// acc starts with 2^15, which keeps its low half from becoming negative and borrowing.
//
// A tile of activations is transposed to channel-major blocks of 8 pixels: x[block][cols][4] words.
// For each row the nonzeros are decoded to a list once, and the list is multiplied with every block
// of the tile.

#include <stdint.h>

#include "tflm_kernels/common/pixels.h"
#include "tflm_kernels/common/row_scale.h"
#include "tflm_kernels/format/group_decoder.h"
#include "tflm_kernels/format/row_reader.h"
#include "tflm_kernels/planning/plan_conv1x1_c.h"
#include "tflm_kernels/scalar/scalar.h"

enum {
  kBlockPixels = kDcsrCBlockPixels,
  kBlockWords = kBlockPixels / 2,
  kGroupWeight = 255,  // 255 * 128 < 2^15
  kUpperShift = 16,    // of the second pixel in a word
  kAccStart = 1 << 15,
};

typedef struct {
  uint32_t offset;  // of the column in a block, in bytes; plus 1 in the last entry of a group
  int32_t weight;
} ListEntry;

typedef struct {
  size_t entries;
  size_t groups;
  uint32_t weight;  // sum of |weight| in the current group
} ListState;

_Static_assert(sizeof(ListEntry) == kDcsrCListEntryBytes, "plan_conv1x1_c.h");

static void transpose_pair(const int8_t* even, const int8_t* odd, uint32_t cols, uint32_t* x) {
  for (uint32_t c = 0; c < cols; ++c) {
    *x = ((uint32_t)odd[c] << kUpperShift) + (uint32_t)even[c];
    x += kBlockWords;
  }
}

static void transpose_tile(DcsrPixels* pixels, size_t count, uint32_t cols, uint32_t* x) {
  while (count > 0) {
    const size_t block = count < kBlockPixels ? count : (size_t)kBlockPixels;
    const int8_t* pixel[kBlockPixels];
    for (size_t p = 0; p < kBlockPixels; ++p) {
      // Repeat the last pixel to fill the block. The surplus sums are not read.
      pixel[p] = p < block ? dcsr_next_pixel(pixels) : pixel[p - 1];
    }
    for (uint32_t w = 0; w < kBlockWords; ++w) {
      transpose_pair(pixel[2 * w], pixel[2 * w + 1], cols, x + w);
    }
    x += (size_t)cols * kBlockWords;
    count -= block;
  }
}

static inline void flush(uint32_t acc, uint32_t* sums) {
  sums[0] += acc & 0xFFFF;
  sums[1] += (uint32_t)((int32_t)acc >> kUpperShift);
}

// Each group adds kAccStart to the sums of even pixels. Requantization subtracts it.
static void multiply_block(const ListEntry* list, const ListEntry* end, const uint32_t* x,
                           uint32_t* sums) {
  const uint8_t* base = (const uint8_t*)x;
  while (list != end) {
    uint32_t acc0 = kAccStart;
    uint32_t acc1 = kAccStart;
    uint32_t acc2 = kAccStart;
    uint32_t acc3 = kAccStart;
    uint32_t last;
    do {
      const uint32_t weight = (uint32_t)list->weight;
      last = list->offset & 1;
      const uint32_t* words = (const uint32_t*)(const void*)(base + (list->offset - last));
      ++list;
      acc0 += weight * words[0];
      acc1 += weight * words[1];
      acc2 += weight * words[2];
      acc3 += weight * words[3];
    } while (last == 0);
    flush(acc0, sums);
    flush(acc1, sums + 2);
    flush(acc2, sums + 4);
    flush(acc3, sums + 6);
  }
}

static void multiply_tile(const ListEntry* list, size_t entries, const uint32_t* x, uint32_t cols,
                          size_t pixels, uint32_t* sums) {
  for (size_t p = 0; p < pixels; p += kBlockPixels) {
    multiply_block(list, list + entries, x, sums + p);
    x += (size_t)cols * kBlockWords;
  }
}

// Skips fillers, whose weight is 0.
static inline void append_group(const DcsrGroup* group, ListEntry* list, ListState* state) {
  for (uint32_t l = 0; l < group->lanes; ++l) {
    const int32_t weight = group->weight[l];
    const uint32_t magnitude = (uint32_t)(weight < 0 ? -weight : weight);
    if (magnitude == 0) continue;
    state->weight += magnitude;
    if (state->weight > kGroupWeight) {
      // The previous entry ends its group. It exists: no single weight exceeds the limit.
      list[state->entries - 1].offset |= 1;
      ++state->groups;
      state->weight = magnitude;
    }
    list[state->entries].offset = (uint32_t)group->column[l] * kDcsrCColumnBytes;
    list[state->entries].weight = weight;
    ++state->entries;
  }
}

static void end_list(ListEntry* list, ListState* state) {
  if (state->entries == 0) return;
  list[state->entries - 1].offset |= 1;
  ++state->groups;
  state->weight = 0;
}

static void requantize_tile(const DcsrLayer* layer, uint32_t row, uint32_t length, size_t groups,
                            const uint32_t* sums, size_t pixels, int8_t* output) {
  const DcsrRowScale scale = dcsr_row_scale(layer, row, length);
  const uint32_t odd_start = (uint32_t)scale.bias;
  const uint32_t even_start = odd_start - (uint32_t)groups * kAccStart;
  const size_t rows = layer->rows;
  for (size_t p = 0; p < pixels; ++p) {
    *output = dcsr_scale_any(layer, row, &scale, sums[p] + (p % 2 == 0 ? even_start : odd_start));
    output += rows;
  }
}

static void multiply_rows(const DcsrLayer* layer, size_t list_limit, size_t sum_count,
                          ListEntry* list, uint32_t* sums, const uint32_t* x, size_t pixels,
                          int8_t* output) {
  DcsrRowReader reader = dcsr_row_reader(layer);
  for (uint32_t row = 0; row < layer->rows; ++row) {
    dcsr_next_row(&reader);
    const uint32_t length = reader.left;
    for (size_t p = 0; p < sum_count; ++p) sums[p] = 0;
    ListState state = {0, 0, 0};
    DcsrGroup group;
    while (dcsr_decode_group(&reader, &group)) {
      if (state.entries + group.lanes > list_limit) {
        // The list is full. This only occurs with more than kDcsrCMostListEntries columns.
        end_list(list, &state);
        multiply_tile(list, state.entries, x, layer->cols, pixels, sums);
        state.entries = 0;
      }
      append_group(&group, list, &state);
    }
    end_list(list, &state);
    multiply_tile(list, state.entries, x, layer->cols, pixels, sums);
    requantize_tile(layer, row, length, state.groups, sums, pixels, output + row);
  }
}

void dcsr_conv1x1_c(const DcsrPlan* plan, const DcsrLayer* layer, const DcsrConvShape* shape,
                    const void* input_data, void* output_data, void* scratch) {
  const int8_t* input = (const int8_t*)input_data;
  int8_t* output = (int8_t*)output_data;
  size_t left = dcsr_pixel_count(shape);
  const size_t tile_pixels = plan->tile_pixels;
  const size_t list_entries = dcsr_conv1x1_c_list_entries(layer->cols);
  ListEntry* list = (ListEntry*)scratch;
  uint32_t* sums = (uint32_t*)(void*)(list + list_entries);
  uint32_t* x = sums + tile_pixels;
  DcsrPixels pixels = dcsr_pixels(layer, shape, input);
  while (left > 0) {
    const size_t count = left < tile_pixels ? left : tile_pixels;
    transpose_tile(&pixels, count, layer->cols, x);
    multiply_rows(layer, list_entries, tile_pixels, list, sums, x, count, output);
    output += count * layer->rows;
    left -= count;
  }
}
