// 1x1 convolution by gathers on cores with MVE (Helium), every encoding: for few pixels.
// docs/kernels.md.
//
// A tile of up to 20 pixels shares the decoding of a row, chunks of up to five the loading of a
// group. The sums of 16 rows are kept, so that they are requantised four rows at a time, which lie
// side by side in the output.

#include "tflm_kernels/conv1x1_gather_mve.h"

#if defined(__ARM_FEATURE_MVE)

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tflm_kernels/gather_products_mve.h"
#include "tflm_kernels/offset_runs_mve.h"
#include "tflm_kernels/pixels.h"
#include "tflm_kernels/requantize_mve.h"
#include "tflm_kernels/row_reader.h"

enum { kBlockRows = 16, kMostChunks = 4, kMostPixels = kMostChunks * kDcsrGatherPixels };

// Evenly spaced pixels, one after the other in the output.
typedef struct {
  DcsrGatherPixels pixels;
  uint32_t count;  // of pixels
  DcsrGatherProduct* product;
} Chunk;

typedef struct {
  Chunk chunks[kMostChunks];
  const Chunk* end;
  uint32_t pixels;  // of all chunks
  int32_t sums[kBlockRows * kMostPixels];  // [row][pixels]
} Tile;

static const int32_t kZeros[kDcsrGatherPixels];

// Takes the next pixels of the `left` that are still to come. `next`: the first of them, and then
// the one behind the last.
static void make_chunk(DcsrPixels* pixels, size_t left, const int8_t** next, Chunk* chunk) {
  chunk->pixels.x = *next;
  chunk->pixels.stride = 0;
  chunk->count = 1;
  while (chunk->count < left) {
    const int8_t* last = *next;
    *next = dcsr_next_pixel(pixels);
    const size_t stride = (size_t)(*next - last);
    if (chunk->count == kDcsrGatherPixels) break;
    if (chunk->count == 1) chunk->pixels.stride = stride;
    if (stride != chunk->pixels.stride) break;
    ++chunk->count;
  }
}

// Adds to sums that begin with `start`, which is NULL for zeros.
static inline void multiply_run(const DcsrOffsetRun* run, const Tile* tile, const int32_t* start,
                                int32_t* sums) {
  for (const Chunk* chunk = tile->chunks; chunk != tile->end; ++chunk) {
    chunk->product(run, &chunk->pixels, start == NULL ? kZeros : sums, sums);
    sums += chunk->count;
  }
}

// The next row of an offset8 layer as one run; `run` has that of the row before, or where the first
// begins.
static inline void next_step_run(const DcsrLayer* layer, uint32_t row, DcsrOffsetRun* run) {
  const uint32_t before = run->elements;
  run->index = (const uint8_t*)run->index +
               (before + kDcsrGroupLanes - 1) / kDcsrGroupLanes * kDcsrStepBytes;
  run->offset += before;
  run->weight += before;
  run->elements = dcsr_row_length(layer, row);
}

static void clear(int32_t* sums, uint32_t count) {
  for (uint32_t i = 0; i < count; ++i) sums[i] = 0;
}

static void multiply_step_rows(const DcsrLayer* layer, uint32_t row, uint32_t count,
                               DcsrOffsetRun* run, Tile* tile) {
  int32_t* sums = tile->sums;
  for (uint32_t r = 0; r < count; ++r) {
    next_step_run(layer, row + r, run);
    if (run->elements > 0) {
      multiply_run(run, tile, NULL, sums);
    } else {
      clear(sums, tile->pixels);
    }
    sums += tile->pixels;
  }
}

static void multiply_base_rows(uint32_t count, DcsrRowReader* reader, Tile* tile) {
  DcsrRunBuffer buffer;
  int32_t* sums = tile->sums;
  for (uint32_t r = 0; r < count; ++r) {
    dcsr_next_row(reader);
    const int32_t* start = NULL;
    if (reader->left == 0) clear(sums, tile->pixels);
    while (reader->left > 0) {
      DcsrOffsetRun run;
      dcsr_next_offset_run_mve(reader, &buffer, &run);
      multiply_run(&run, tile, start, sums);
      start = sums;
    }
    sums += tile->pixels;
  }
}

static void multiply_tile(const DcsrLayer* layer, Tile* tile, int8_t* output) {
  DcsrRowReader reader = dcsr_row_reader(layer);
  DcsrOffsetRun run = {layer->index, layer->delta, layer->values, 0};
  for (uint32_t row = 0; row < layer->rows; row += kBlockRows) {
    const uint32_t left = layer->rows - row;
    const uint32_t count = left < kBlockRows ? left : (uint32_t)kBlockRows;
    if (layer->encoding == kDcsrEncodingOffset8) {
      multiply_step_rows(layer, row, count, &run, tile);
    } else {
      multiply_base_rows(count, &reader, tile);
    }
    dcsr_requantize_rows_mve(layer, row, count, tile->sums, tile->pixels, output + row);
  }
}

void dcsr_conv1x1_gather_mve(const DcsrLayer* layer, const DcsrConvShape* shape,
                             const int8_t* input, int8_t* output) {
  DcsrGatherProduct* const* products =
      layer->encoding == kDcsrEncodingOffset8 ? kDcsrGatherStepProducts : kDcsrGatherBaseProducts;
  size_t left = dcsr_pixel_count(shape);
  if (left == 0) return;
  DcsrPixels pixels = dcsr_pixels(layer, shape, input);
  const int8_t* next = dcsr_next_pixel(&pixels);
  Tile tile;
  for (; left > 0; left -= tile.pixels) {
    Chunk* chunk = tile.chunks;
    tile.pixels = 0;
    while (chunk != tile.chunks + kMostChunks && tile.pixels < left) {
      make_chunk(&pixels, left - tile.pixels, &next, chunk);
      chunk->product = products[chunk->count - 1];
      tile.pixels += chunk->count;
      ++chunk;
    }
    tile.end = chunk;
    multiply_tile(layer, &tile, output);
    output += tile.pixels * layer->rows;
  }
}

#endif  // __ARM_FEATURE_MVE
