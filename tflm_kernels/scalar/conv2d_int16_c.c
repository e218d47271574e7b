// Convolution with any filter and int16 activations for any core, any encoding
// (docs/format.md#arithmetic).
//
// Input:   [batches, input_height, input_width, channels], int16.
// Output:  [batches, output_height, output_width, rows], int16.
// Scratch: list of a row, sums, the patches of a tile (plan_conv2d_int16_c.h).
// Cycles:  counted in costs/costs.c (docs/kernels.md#int16-activations).
//
// Transposes the patches of a tile of output pixels to channel-major blocks of 4 pixels,
// x[block][cols][4]. Taps outside of the image are set to 0. For each row the nonzeros are decoded
// to a list once, and the list is multiplied with every block of the tile. A product is at most
// 2^22, and a list is short enough that its sum fits in 32 bits.

#include <stdint.h>

#include "tflm_kernels/common/patches.h"
#include "tflm_kernels/common/pixels.h"
#include "tflm_kernels/common/requantize.h"
#include "tflm_kernels/format/group_decoder.h"
#include "tflm_kernels/planning/plan_conv2d_int16_c.h"
#include "tflm_kernels/scalar/scalar.h"

enum {
  kBlockPixels = kDcsrInt16BlockPixels,
};

typedef struct {
  uint32_t offset;  // of the column in a block, in bytes
  int32_t weight;
} ListEntry;

_Static_assert(sizeof(ListEntry) == kDcsrInt16ListEntryBytes, "plan_conv2d_int16_c.h");

// Copies one tap of one pixel of a block. `source` is NULL outside of the image.
static void copy_tap(const int16_t* source, uint32_t channels, int16_t* x) {
  for (uint32_t c = 0; c < channels; ++c) {
    *x = source != NULL ? source[c] : 0;
    x += kBlockPixels;
  }
}

static void copy_patch(const DcsrLayer* layer, const DcsrConvShape* shape, const DcsrPatch* patch,
                       int16_t* x) {
  const uint32_t channels = layer->channels;
  const size_t width = (size_t)shape->input_width;
  for (uint32_t fy = 0; fy < layer->filter_h; ++fy) {
    const uint32_t in_y = patch->y + fy * layer->dilation_h;
    for (uint32_t fx = 0; fx < layer->filter_w; ++fx) {
      const uint32_t in_x = patch->x + fx * layer->dilation_w;
      const bool inside = in_y < (uint32_t)shape->input_height && in_x < (uint32_t)width;
      const int16_t* image = (const int16_t*)patch->image;
      copy_tap(inside ? image + (in_y * width + in_x) * channels : NULL, channels, x);
      x += (size_t)channels * kBlockPixels;
    }
  }
}

static void copy_tile(const DcsrLayer* layer, const DcsrConvShape* shape, DcsrPatches* patches,
                      size_t count, int16_t* x) {
  DcsrPatch patch = {NULL, 0, 0};
  for (size_t p = 0; p < count || p % kBlockPixels != 0; ++p) {
    // Repeat the last patch to fill the block. The surplus sums are not read.
    if (p < count) patch = dcsr_next_patch(patches);
    copy_patch(layer, shape, &patch, x + p % kBlockPixels);
    if (p % kBlockPixels == kBlockPixels - 1) x += (size_t)layer->cols * kBlockPixels;
  }
}

static void multiply_block(const ListEntry* list, const ListEntry* end, const int16_t* x,
                           int64_t* sums) {
  const uint8_t* base = (const uint8_t*)x;
  int32_t acc0 = 0, acc1 = 0, acc2 = 0, acc3 = 0;
  for (; list != end; ++list) {
    const int32_t weight = list->weight;
    const int16_t* column = (const int16_t*)(const void*)(base + list->offset);
    acc0 += weight * column[0];
    acc1 += weight * column[1];
    acc2 += weight * column[2];
    acc3 += weight * column[3];
  }
  sums[0] += acc0;
  sums[1] += acc1;
  sums[2] += acc2;
  sums[3] += acc3;
}

static void multiply_tile(const ListEntry* list, size_t entries, const int16_t* x, uint32_t cols,
                          size_t blocks, int64_t* sums) {
  for (; blocks > 0; --blocks) {
    multiply_block(list, list + entries, x, sums);
    x += (size_t)cols * kBlockPixels;
    sums += kBlockPixels;
  }
}

// Appends a group to a list of `count` entries. Skips fillers, whose weight is 0.
static size_t append_group(const DcsrGroup* group, ListEntry* list, size_t count) {
  for (uint32_t l = 0; l < group->lanes; ++l) {
    if (group->weight[l] == 0) continue;
    list[count].offset = (uint32_t)group->column[l] * kDcsrInt16ColumnBytes;
    list[count].weight = group->weight[l];
    ++count;
  }
  return count;
}

static void multiply_rows(const DcsrLayer* layer, size_t list_limit, ListEntry* list, int64_t* sums,
                          const int16_t* x, size_t pixels, int16_t* output) {
  const size_t blocks = (pixels + kBlockPixels - 1) / kBlockPixels;
  DcsrRowReader reader = dcsr_row_reader(layer);
  for (uint32_t row = 0; row < layer->rows; ++row) {
    for (size_t p = 0; p < blocks * kBlockPixels; ++p) sums[p] = 0;
    dcsr_next_row(&reader);
    size_t entries = 0;
    DcsrGroup group;
    while (dcsr_decode_group(&reader, &group)) {
      if (entries + group.lanes > list_limit) {
        // The list is full. This only occurs with more than kDcsrInt16MostListEntries columns.
        multiply_tile(list, entries, x, layer->cols, blocks, sums);
        entries = 0;
      }
      entries = append_group(&group, list, entries);
    }
    multiply_tile(list, entries, x, layer->cols, blocks, sums);
    const uint64_t bias = dcsr_int16_bias(layer, row);
    for (size_t p = 0; p < pixels; ++p) {
      output[p * layer->rows + row] = dcsr_requantize_int16(layer, row, bias + (uint64_t)sums[p]);
    }
  }
}

void dcsr_conv2d_int16_c(const DcsrPlan* plan, const DcsrLayer* layer, const DcsrConvShape* shape,
                         const void* input_data, void* output_data, void* scratch) {
  const int16_t* input = (const int16_t*)input_data;
  int16_t* output = (int16_t*)output_data;
  size_t left = dcsr_pixel_count(shape);
  const size_t tile_pixels = plan->tile_pixels;
  const size_t list_entries = dcsr_conv2d_int16_c_list_entries(layer->cols);
  ListEntry* list = (ListEntry*)scratch;
  int64_t* sums = (int64_t*)(void*)(list + list_entries);
  int16_t* x = (int16_t*)(void*)(sums + tile_pixels);
  DcsrPatches patches = dcsr_patches(layer, shape, input);
  while (left > 0) {
    const size_t count = left < tile_pixels ? left : tile_pixels;
    copy_tile(layer, shape, &patches, count, x);
    multiply_rows(layer, list_entries, list, sums, x, count, output);
    output += count * layer->rows;
    left -= count;
  }
}
