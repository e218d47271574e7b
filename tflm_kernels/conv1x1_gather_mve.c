// 1x1 convolution by gathers on cores with MVE (Helium), every encoding: for few pixels.
// docs/kernels.md.
//
// A tile of up to 20 pixels shares the decoding of a row, chunks of up to five the loading of a
// group. The sums of 16 rows are kept, so that they are requantised four rows at a time, which lie
// side by side in the output.

#include "tflm_kernels/conv1x1_gather_mve.h"

#include "tflm_kernels/compiler.h"

#if DCSR_HAS_MVE

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
} Chunk;

typedef struct {
  Chunk chunks[kMostChunks];
  const Chunk* end;
  uint32_t pixels;                         // of all chunks
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
static void multiply_run(const DcsrOffsetRun* run, const Tile* tile, const int32_t* start,
                         int32_t* sums) {
  for (const Chunk* chunk = tile->chunks; chunk != tile->end; ++chunk) {
    kDcsrRunProducts[chunk->count - 1](run, &chunk->pixels, start == NULL ? kZeros : sums, sums);
    sums += chunk->count;
  }
}

// What is left of the reader's row, of any encoding; see multiply_run().
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

// The next row of the reader, of any encoding.
static void multiply_row(DcsrRowReader* reader, const Tile* tile, int32_t* sums) {
  dcsr_next_row(reader);
  multiply_rest(reader, tile, NULL, sums);
}

// Rows, at least one, whose lengths end at `end`. Moves `rows` but for its lengths behind them.
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

// The same, of the reader's next rows.
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

// Rows that are decoded together.
enum { kDecodedElements = 256, kDecodedGroups = kDecodedElements / kDcsrGroupLanes + kBlockRows };
typedef struct {
  uint32_t count;
  uint32_t groups;
  uint32_t elements;
  const int8_t* weight;
  uint32_t lengths[kBlockRows];
  int32_t base[kDecodedGroups];
  uint8_t offset[kDecodedElements + kDcsrGroupLanes];
} DecodedRows;

// Multiplies the decoded rows; returns where the sums of the next one are.
static int32_t* multiply_decoded(DecodedRows* decoded, const Tile* tile, int32_t* sums) {
  if (decoded->count > 0) {
    DcsrIndexRows rows = {(const uint8_t*)decoded->base, decoded->offset, decoded->weight,
                          decoded->lengths};
    multiply_rows(&rows, tile, kDcsrBaseRowsProducts, decoded->lengths + decoded->count, sums);
    sums += decoded->count * tile->pixels;
  }
  decoded->count = 0;
  decoded->groups = 0;
  decoded->elements = 0;
  return sums;
}

// Decodes the next rows of the reader, and multiplies them where memory ends, or a row that cannot
// be decoded so.
DCSR_NOINLINE static void decode_block(DcsrRowReader* reader, uint32_t count, Tile* tile) {
  DecodedRows decoded;
  decoded.count = 0;
  int32_t* sums = multiply_decoded(&decoded, tile, tile->sums);
  for (uint32_t r = 0; r < count; ++r) {
    dcsr_next_row(reader);
    const uint32_t length = reader->left;
    if (decoded.elements + length > kDecodedElements) {
      sums = multiply_decoded(&decoded, tile, sums);
      if (length > kDecodedElements) {
        multiply_rest(reader, tile, NULL, sums);
        sums += tile->pixels;
        continue;
      }
    }
    const int8_t* weight = reader->weight;
    int32_t* base = decoded.base + decoded.groups;
    uint8_t* offset = decoded.offset + decoded.elements;
    const uint32_t done = length > 0 ? dcsr_read_offsets_mve(reader, length, base, offset) : 0;
    if (done == length) {
      if (decoded.count == 0) decoded.weight = weight;
      decoded.lengths[decoded.count++] = length;
      decoded.groups += (length + kDcsrGroupLanes - 1) / kDcsrGroupLanes;
      decoded.elements += length;
      continue;
    }
    sums = multiply_decoded(&decoded, tile, sums);
    const DcsrOffsetRun run = {base, offset, weight, done};
    if (done > 0) multiply_run(&run, tile, NULL, sums);
    multiply_rest(reader, tile, done > 0 ? sums : NULL, sums);
    sums += tile->pixels;
  }
  multiply_decoded(&decoded, tile, sums);
}

// For dcsr with byte deltas: the lengths of the first row with planes or an escaped base.
static const uint32_t* plain_rows_end(const uint8_t* index, const uint32_t* lengths,
                                      const uint32_t* end) {
  for (; lengths != end; ++lengths) {
    for (int32_t left = (int32_t)*lengths; left > 0; left -= kDcsrGroupLanes) {
      const uint32_t descriptor = dcsr_load_u16(index);
      if ((descriptor & kDcsrPlaneMask) != 0) return lengths;
      // An escape without planes.
      if (descriptor == (uint32_t)kDcsrStepEscape << kDcsrStepShift) return lengths;
      index += kDcsrStepBytes;
    }
  }
  return lengths;
}

static void multiply_block(DcsrRowReader* reader, uint32_t count, Tile* tile) {
  const DcsrLayer* layer = reader->layer;
  const bool plain = layer->value_coding == kDcsrValuesPlain;
  const bool has_steps = plain && layer->encoding == kDcsrEncodingOffset8;
  const bool has_descriptors =
      plain && layer->encoding == kDcsrEncodingDcsr && dcsr_has_byte_deltas(layer);
  DcsrRowsProduct* const* products =
      has_steps ? kDcsrStepRowsProducts : kDcsrDescriptorRowsProducts;
  int32_t* sums = tile->sums;
  if (dcsr_reads_offsets_mve(layer)) {
    decode_block(reader, count, tile);
    return;
  }
  if (!has_steps && !has_descriptors) {
    for (uint32_t r = 0; r < count; ++r) multiply_row(reader, tile, sums + r * tile->pixels);
    return;
  }
  uint32_t lengths[kBlockRows];
  for (uint32_t r = 0; r < count; ++r) lengths[r] = dcsr_row_length(layer, reader->row + r);
  const uint32_t* end = lengths + count;
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

void dcsr_conv1x1_gather_mve(const DcsrLayer* layer, const DcsrConvShape* shape,
                             const int8_t* input, int8_t* output) {
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
