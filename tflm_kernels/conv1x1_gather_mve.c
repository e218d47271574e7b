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

enum { kBlockRows = 16, kMostChunks = 4 };

// Evenly spaced pixels, one after the other in the output.
typedef struct {
  DcsrGatherPixels pixels;
  uint32_t count;  // of pixels
  DcsrGatherProduct* product;
  int32_t sums[kBlockRows * kDcsrGatherPixels];  // [row][count]
} Chunk;

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

static inline void multiply_run(const DcsrOffsetRun* run, Chunk* chunks, uint32_t chunk_count,
                                uint32_t r, bool first) {
  for (Chunk* chunk = chunks; chunk != chunks + chunk_count; ++chunk) {
    int32_t* sums = chunk->sums + r * chunk->count;
    chunk->product(run, &chunk->pixels, first ? kZeros : sums, sums);
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

static void clear_row(Chunk* chunks, uint32_t chunk_count, uint32_t r) {
  for (Chunk* chunk = chunks; chunk != chunks + chunk_count; ++chunk) {
    for (uint32_t p = 0; p < chunk->count; ++p) chunk->sums[r * chunk->count + p] = 0;
  }
}

static void multiply_tile(const DcsrLayer* layer, Chunk* chunks, uint32_t chunk_count,
                          int8_t* output) {
  const bool has_steps = layer->encoding == kDcsrEncodingOffset8;
  DcsrRunBuffer buffer;
  DcsrRowReader reader = dcsr_row_reader(layer);
  DcsrOffsetRun run = {layer->index, layer->delta, layer->values, 0};
  for (uint32_t row = 0; row < layer->rows; row += kBlockRows) {
    const uint32_t left = layer->rows - row;
    const uint32_t count = left < kBlockRows ? left : (uint32_t)kBlockRows;
    for (uint32_t r = 0; r < count; ++r) {
      if (has_steps) {
        next_step_run(layer, row + r, &run);
        if (run.elements > 0) {
          multiply_run(&run, chunks, chunk_count, r, true);
        } else {
          clear_row(chunks, chunk_count, r);
        }
        continue;
      }
      dcsr_next_row(&reader);
      if (reader.left == 0) clear_row(chunks, chunk_count, r);
      for (bool first = true; reader.left > 0; first = false) {
        dcsr_next_offset_run_mve(&reader, &buffer, &run);
        multiply_run(&run, chunks, chunk_count, r, first);
      }
    }
    int8_t* out = output + row;
    for (const Chunk* chunk = chunks; chunk != chunks + chunk_count; ++chunk) {
      dcsr_requantize_rows_mve(layer, row, count, chunk->sums, chunk->count, out);
      out += chunk->count * layer->rows;
    }
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
  Chunk chunks[kMostChunks];
  while (left > 0) {
    uint32_t chunk_count = 0;
    size_t count = 0;
    while (chunk_count < kMostChunks && count < left) {
      Chunk* chunk = &chunks[chunk_count++];
      make_chunk(&pixels, left - count, &next, chunk);
      chunk->product = products[chunk->count - 1];
      count += chunk->count;
    }
    multiply_tile(layer, chunks, chunk_count, output);
    output += count * layer->rows;
    left -= count;
  }
}

#endif  // __ARM_FEATURE_MVE
