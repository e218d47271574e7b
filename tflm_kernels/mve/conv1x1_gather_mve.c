// 1x1 convolution of few pixels with gathers on MVE (Cortex-M55, M85), any encoding. Also
// FULLY_CONNECTED with any number of batches.
//
// Input:   [batches, input_height, input_width, cols], int8.
// Output:  [batches, output_height, output_width, rows], int8.
// Scratch: none.
// Cycles:  docs/kernels.md#few-pixels-with-mve.
//
// A row is decoded once for a tile of up to 20 pixels. A tile has up to four sets of up to five
// evenly spaced pixels (`Chunk` in the code). A group is loaded once per set. The sums of 16 rows
// are buffered and requantized four rows at a time, because the outputs of consecutive rows are
// adjacent.

#include "tflm_kernels/common/compiler.h"
#include "tflm_kernels/mve/mve.h"

#if DCSR_HAS_MVE

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tflm_kernels/common/pixels.h"
#include "tflm_kernels/format/row_reader.h"
#include "tflm_kernels/mve/gather_products_mve.h"
#include "tflm_kernels/mve/offset_runs_mve.h"
#include "tflm_kernels/mve/requantize_mve.h"

enum {
  kBlockRows = 16,
  kMostChunks = kDcsrGatherMostChunks,
  kMostPixels = kDcsrGatherTilePixels,
};

// A set of evenly spaced input pixels. Their outputs are consecutive.
typedef struct {
  DcsrGatherPixels pixels;
  uint32_t count;  // number of pixels
} Chunk;

typedef struct {
  Chunk chunks[kMostChunks];
  const Chunk* end;
  uint32_t pixels;                         // number of pixels of all sets
  int32_t sums[kBlockRows * kMostPixels];  // [row][pixels]
} Tile;

static const int32_t kZeros[kDcsrGatherPixels];

// Makes a set of up to five of the `left` remaining pixels. `next` is the first pixel of the set.
// It becomes the pixel after the last.
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

// Sets the sums to `start` plus the products of a run. If `start` is NULL, sums start from 0.
static void multiply_run(const DcsrOffsetRun* run, const Tile* tile, const int32_t* start,
                         int32_t* sums) {
  for (const Chunk* chunk = tile->chunks; chunk != tile->end; ++chunk) {
    kDcsrRunProducts[chunk->count - 1](run, &chunk->pixels, start == NULL ? kZeros : sums, sums);
    sums += chunk->count;
  }
}

// The same for the rest of the reader's row, any encoding.
DCSR_NOINLINE static void multiply_rest(DcsrRowReader* reader, const Tile* tile,
                                        const int32_t* start, int32_t* sums) {
  if (start == NULL && reader->left == 0) {
    for (uint32_t p = 0; p < tile->pixels; ++p) sums[p] = 0;
  }
  DcsrRunBuffer buffer;
  for (; reader->left > 0; start = sums) {
    DcsrOffsetRun run;
    dcsr_next_offset_run_mve(reader, &buffer, &run);
    multiply_run(&run, tile, start, sums);
  }
}

// Computes the sums of the reader's next row, any encoding.
static void multiply_row(DcsrRowReader* reader, const Tile* tile, int32_t* sums) {
  dcsr_next_row(reader);
  multiply_rest(reader, tile, NULL, sums);
}

// Computes the sums of one or more rows, up to the row whose length is at `end`. Advances the
// fields of `rows` past these rows, except `lengths`.
static void multiply_rows(DcsrIndexRows* rows, const Tile* tile, DcsrRowsProduct* const* products,
                          const uint32_t* end, int32_t* sums) {
  DcsrIndexRows next;
  for (const Chunk* chunk = tile->chunks; chunk != tile->end; ++chunk) {
    next = *rows;
    products[chunk->count - 1](&next, &chunk->pixels, end, sums);
    sums += chunk->count;
  }
  *rows = next;
}

// The same for the reader's next rows.
static void multiply_plain_rows(DcsrRowReader* reader, const Tile* tile,
                                DcsrRowsProduct* const* products, const uint32_t* lengths,
                                const uint32_t* end, int32_t* sums) {
  DcsrIndexRows rows = {reader->index, reader->delta, reader->weight, lengths};
  multiply_rows(&rows, tile, products, end, sums);
  reader->index = rows.index;
  reader->delta = rows.offset;
  reader->weight = rows.weight;
  reader->row += (uint32_t)(end - lengths);
}

// Maximum number of elements and groups that are decoded at a time.
enum { kDecodedElements = 384, kDecodedGroups = kDecodedElements / kDcsrGroupLanes + kBlockRows };

// Computes the sums of the reader's next rows, up to the row whose length is at `end`. Decodes as
// many rows at a time as fit into the buffers.
DCSR_NOINLINE static void decode_rows(DcsrRowReader* reader, const Tile* tile,
                                      const uint32_t* lengths, const uint32_t* end, int32_t* sums) {
  int32_t base[kDecodedGroups];
  uint8_t offset[kDecodedElements + kDcsrMostReadAhead];
  while (lengths != end) {
    const uint32_t* last = lengths;
    uint32_t elements = 0;
    while (last != end && elements + *last <= kDecodedElements) elements += *last++;
    DcsrIndexRows rows = {(const uint8_t*)base, offset, reader->weight, lengths};
    const uint32_t count = (uint32_t)(last - lengths);
    const uint32_t done =
        count > 0 ? dcsr_read_rows_offsets_mve(reader, lengths, count, base, offset) : 0;
    if (done > 0) multiply_rows(&rows, tile, kDcsrBaseRowsProducts, lengths + done, sums);
    sums += done * tile->pixels;
    lengths += done;
    if (count > 0 && done == count) continue;
    // The next row is longer than the buffers, or only its beginning was decoded.
    const int32_t* start = NULL;
    if (done < count) {
      const DcsrOffsetRun run = {(const int32_t*)(const void*)rows.index, rows.offset, rows.weight,
                                 *lengths - reader->left};
      if (run.elements > 0) {
        multiply_run(&run, tile, NULL, sums);
        start = sums;
      }
    } else {
      dcsr_next_row(reader);
    }
    multiply_rest(reader, tile, start, sums);
    sums += tile->pixels;
    ++lengths;
  }
}

// Finds the first row with planes or an escaped base in dcsr with byte deltas. Returns the pointer
// to its length, or `end` if no row has any.
static const uint32_t* plain_rows_end(const uint8_t* index, const uint32_t* lengths,
                                      const uint32_t* end) {
  for (; lengths != end; ++lengths) {
    for (int32_t left = (int32_t)*lengths; left > 0; left -= kDcsrGroupLanes) {
      const uint32_t descriptor = dcsr_load_u16(index);
      if ((descriptor & kDcsrPlaneMask) != 0) return lengths;
      // An escaped base, without planes.
      if (descriptor == (uint32_t)kDcsrStepEscape << kDcsrStepShift) return lengths;
      index += kDcsrStepBytes;
    }
  }
  return lengths;
}

static void multiply_block(DcsrRowReader* reader, uint32_t count, Tile* tile) {
  const DcsrLayer* layer = reader->layer;
  // The products of plain rows read past the offsets: the values, one byte each, stand behind them.
  const bool plain =
      layer->value_coding == kDcsrValuesPlain && layer->elements >= kDcsrMostReadAhead;
  const bool has_steps = plain && layer->encoding == kDcsrEncodingOffset8;
  const bool has_descriptors =
      plain && layer->encoding == kDcsrEncodingDcsr && dcsr_has_byte_deltas(layer);
  const bool is_decoded = dcsr_reads_offsets_mve(layer);
  int32_t* sums = tile->sums;
  if (!has_steps && !has_descriptors && !is_decoded) {
    for (uint32_t r = 0; r < count; ++r) multiply_row(reader, tile, sums + r * tile->pixels);
    return;
  }
  uint32_t lengths[kBlockRows];
  dcsr_row_lengths(layer, reader->row, count, lengths);
  const uint32_t* end = lengths + count;
  if (is_decoded) {
    decode_rows(reader, tile, lengths, end, sums);
    return;
  }
  DcsrRowsProduct* const* products =
      has_steps ? kDcsrStepRowsProducts : kDcsrDescriptorRowsProducts;
  for (const uint32_t* next = lengths; next != end;) {
    const uint32_t* plain_end = has_steps ? end : plain_rows_end(reader->index, next, end);
    if (plain_end != next) {
      multiply_plain_rows(reader, tile, products, next, plain_end, sums);
      sums += (uint32_t)(plain_end - next) * tile->pixels;
      next = plain_end;
    } else {
      multiply_row(reader, tile, sums);
      sums += tile->pixels;
      ++next;
    }
  }
}

static void multiply_tile(const DcsrLayer* layer, Tile* tile, int8_t* output) {
  DcsrRowReader reader = dcsr_row_reader(layer);
  for (uint32_t row = 0; row < layer->rows; row += kBlockRows) {
    const uint32_t left = layer->rows - row;
    const uint32_t count = left < kBlockRows ? left : (uint32_t)kBlockRows;
    multiply_block(&reader, count, tile);
    dcsr_requantize_rows_mve(layer, row, count, tile->sums, tile->pixels, output + row);
  }
}

void dcsr_conv1x1_gather_mve(const DcsrPlan* plan, const DcsrLayer* layer,
                             const DcsrConvShape* shape, const void* input_data, void* output_data,
                             void* scratch) {
  (void)plan;
  (void)scratch;
  const int8_t* input = (const int8_t*)input_data;
  int8_t* output = (int8_t*)output_data;
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
      tile.pixels += chunk->count;
      ++chunk;
    }
    tile.end = chunk;
    for (chunk = tile.chunks; chunk != tile.end; ++chunk) {
      chunk->pixels.sum_stride = tile.pixels * sizeof(int32_t);
    }
    multiply_tile(layer, &tile, output);
    output += tile.pixels * layer->rows;
  }
}

#endif  // DCSR_HAS_MVE
