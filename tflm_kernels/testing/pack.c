// The encoder of the tests: docs/format.md, from "Header" to "Arithmetic". It
// uses nothing of the library's decoder.

#include "tflm_kernels/testing/pack.h"

#include <stdlib.h>
#include <string.h>

#include "tflm_kernels/testing/pack_compact.h"

#define DCSR_DEFAULT_PACKING(Name, name, number) {.encoding = kDcsrEncoding##Name},

const PackOptions kPackings[] = {
    DCSR_ALL_ENCODINGS(DCSR_DEFAULT_PACKING)
    // The rest of the first kFewPackingCount.
    {.encoding = kDcsrEncodingDcsr,
     .row_length_bytes = 4,
     .escape_every_base = true,
     .huffman = true,
     .raw_bits = 2},
    {.encoding = kDcsrEncodingDcsr, .byte_deltas = true},
    {.encoding = kDcsrEncodingRice, .huffman = true, .raw_bits = 2, .compact_rows = true},
    {.encoding = kDcsrEncodingDense, .compact_rows = true},
    // Without Huffman codes.
    {.encoding = kDcsrEncodingRle, .row_length_bytes = 2},
    {.encoding = kDcsrEncodingRle, .row_length_bytes = 4},
    {.encoding = kDcsrEncodingDcsr, .row_length_bytes = 2},
    {.encoding = kDcsrEncodingDcsr, .row_length_bytes = 4, .escape_every_base = true},
    {.encoding = kDcsrEncodingDcsr, .byte_deltas = true, .escape_every_base = true},
    {.encoding = kDcsrEncodingOffset8, .row_length_bytes = 4, .any_order = true},
    {.encoding = kDcsrEncodingRice, .rice_parameter = 1, .wide_row_lengths = true},
    {.encoding = kDcsrEncodingDcsr, .compact_rows = true},
    {.encoding = kDcsrEncodingDcsr, .byte_deltas = true, .compact_rows = true},
    {.encoding = kDcsrEncodingOffset8, .compact_rows = true},
    {.encoding = kDcsrEncodingDcsr, .checksum = true},
    {.encoding = kDcsrEncodingRice, .compact_rows = true, .checksum = true},
    // With Huffman codes.
    {.encoding = kDcsrEncodingBitmap, .huffman = true, .raw_bits = 2, .checksum = true},
    {.encoding = kDcsrEncodingDense, .huffman = true, .raw_bits = 1},
    {.encoding = kDcsrEncodingRle, .huffman = true, .raw_bits = 4},
    {.encoding = kDcsrEncodingDcsr, .huffman = true},
    {.encoding = kDcsrEncodingDcsr, .byte_deltas = true, .huffman = true, .raw_bits = 3},
    {.encoding = kDcsrEncodingOffset8, .any_order = true, .huffman = true, .raw_bits = 3},
    {.encoding = kDcsrEncodingRice,
     .rice_parameter = 32,
     .wide_row_lengths = true,
     .huffman = true,
     .raw_bits = 3},
    {.encoding = kDcsrEncodingBitmap, .huffman = true, .equal_codes = true},
};

const size_t kPackingCount = sizeof(kPackings) / sizeof(kPackings[0]);

typedef struct {
  uint8_t* data;
  size_t size;
  size_t capacity;
} Bytes;

static void append(Bytes* bytes, uint32_t value, uint32_t width) {
  if (bytes->size + width > bytes->capacity) {
    bytes->capacity = 2 * bytes->capacity + 64;
    bytes->data = (uint8_t*)realloc(bytes->data, bytes->capacity);
    if (bytes->data == NULL) abort();
  }
  for (uint32_t i = 0; i < width; ++i) {
    bytes->data[bytes->size++] = (uint8_t)(value >> (8 * i));
  }
}

typedef struct {
  Bytes row_length;  // u32 until the layer is written
  Bytes index;
  Bytes delta;
  Bytes plane;
  Bytes values;
  uint32_t gaps;        // rle: number of nibbles in index
  uint32_t index_bits;  // rice, bitmap: number of bits in index
  uint32_t delta_bits;  // rice: number of bits in delta
} Streams;

// Appends a bit to a stream that has *at bits.
static void append_bit(Bytes* bytes, uint32_t* at, uint32_t bit) {
  if (*at % 8 == 0) append(bytes, 0, 1);
  uint8_t* last = &bytes->data[bytes->size - 1];
  *last = (uint8_t)(*last | (bit & 1) << (*at % 8));
  ++*at;
}

static void append_bits(Bytes* bytes, uint32_t* at, uint32_t value, uint32_t count) {
  for (uint32_t i = 0; i < count; ++i) append_bit(bytes, at, value >> i);
}

static void append_gap(Streams* streams, uint32_t gap) {
  if (streams->gaps % 2 == 0) append(&streams->index, 0, 1);
  uint8_t* last = &streams->index.data[streams->index.size - 1];
  *last = (uint8_t)(*last | gap << (4 * (streams->gaps % 2)));
  ++streams->gaps;
}

static void encode_dense_row(const int8_t* row, uint32_t cols, Streams* streams) {
  for (uint32_t c = 0; c < cols; ++c) append(&streams->values, (uint8_t)row[c], 1);
}

static void encode_rle_row(const int8_t* row, uint32_t cols, Streams* streams) {
  uint32_t length = 0;
  uint32_t zeros = 0;
  for (uint32_t c = 0; c < cols; ++c) {
    if (row[c] == 0) {
      ++zeros;
      continue;
    }
    for (; zeros >= 16; zeros -= 16) {
      append_gap(streams, 15);
      append(&streams->values, 0, 1);
      ++length;
    }
    append_gap(streams, zeros);
    append(&streams->values, (uint8_t)row[c], 1);
    ++length;
    zeros = 0;
  }
  append(&streams->row_length, length, 4);
}

static void encode_dcsr_group(const int32_t* rest, uint32_t lanes, int32_t base, int32_t step,
                              bool escape, uint32_t width, Streams* streams,
                              PackStatistics* statistics) {
  uint32_t max_delta = 0;
  for (uint32_t l = 0; l < lanes; ++l) {
    const uint32_t delta = (uint32_t)(rest[l] - base);
    if (delta > max_delta) max_delta = delta;
  }
  uint32_t planes = 0;
  while (max_delta >= UINT32_C(1) << (width + planes)) ++planes;

  const uint32_t step_bits = escape ? 0x800 : (uint32_t)step & 0xFFF;
  append(&streams->index, planes | step_bits << 4, 2);
  if (escape) append(&streams->index, (uint32_t)base, 4);

  for (uint32_t l = 0; width == 8 && l < lanes; ++l) {
    append(&streams->delta, (uint32_t)(rest[l] - base) & 0xFF, 1);
  }
  for (uint32_t l = 0; width == 4 && l < lanes; l += 2) {
    const uint32_t low = (uint32_t)(rest[l] - base) & 15;
    const uint32_t high = l + 1 < lanes ? (uint32_t)(rest[l + 1] - base) & 15 : 0;
    append(&streams->delta, low | high << 4, 1);
  }
  for (uint32_t p = 0; p < planes; ++p) {
    uint32_t bits = 0;
    for (uint32_t l = 0; l < lanes; ++l) {
      bits |= ((uint32_t)(rest[l] - base) >> (width + p) & 1) << l;
    }
    append(&streams->plane, bits, lanes > 8 ? 2 : 1);
  }

  ++statistics->lanes[lanes];
  ++statistics->planes[planes];
  if (escape) ++statistics->escapes;
  if (base < 0) ++statistics->negative_bases;
}

static void encode_dcsr_row(const int8_t* row, uint32_t cols, const PackOptions* options,
                            Streams* streams, PackStatistics* statistics) {
  uint32_t length = 0;
  for (uint32_t c = 0; c < cols; ++c) length += row[c] != 0;
  append(&streams->row_length, length, 4);
  if (length == 0) return;

  const uint32_t width = options->byte_deltas ? 8 : 4;
  const uint32_t slope = width == 4 ? 16 * cols / length : 0;
  int32_t expected = 0;  // the base if the step is 0
  uint32_t c = 0;
  for (uint32_t done = 0; done < length; done += 16) {
    const uint32_t lanes = length - done < 16 ? length - done : 16;
    int32_t rest[16];  // columns minus the line
    int32_t base = INT32_MAX;
    for (uint32_t l = 0; l < lanes; ++c) {
      if (row[c] == 0) continue;
      rest[l] = (int32_t)c - (int32_t)(slope * l / 16);
      if (rest[l] < base) base = rest[l];
      append(&streams->values, (uint8_t)row[c], 1);
      ++l;
    }
    const int32_t step = base - expected;
    const bool escape = options->escape_every_base || step < -2047 || step > 2047;
    encode_dcsr_group(rest, lanes, base, step, escape, width, streams, statistics);
    expected = base + (int32_t)slope;
  }
}

// Encodes one group of up to 16 columns, at most 255 apart. `last`: the row has no further group.
static void encode_offset8_group(const int8_t* row, const uint32_t* column, uint32_t nonzeros,
                                 bool last, bool any_order, uint32_t* base, Streams* streams,
                                 PackStatistics* statistics) {
  const uint32_t lanes = last ? nonzeros : 16;
  uint32_t next = column[0];
  if (any_order) {
    // The lowest base for which all offsets fit a byte and the step is not negative.
    const uint32_t room = 255 - (column[nonzeros - 1] - column[0]);
    next -= room < next - *base ? room : next - *base;
  }
  for (; next - *base > 65535; *base += 65535) {
    append(&streams->index, 65535, 2);
    for (uint32_t l = 0; l < 16; ++l) append(&streams->delta, 0, 1);
    for (uint32_t l = 0; l < 16; ++l) append(&streams->values, 0, 1);
    ++statistics->lanes[16];
    ++statistics->nonzeros[0];
  }
  append(&streams->index, next - *base, 2);
  *base = next;
  for (uint32_t l = 0; l < lanes; ++l) {
    const uint32_t i = any_order ? lanes - 1 - l : l;
    const bool filler = i >= nonzeros;
    const uint32_t any = column[any_order ? i % nonzeros : nonzeros - 1];
    append(&streams->delta, (filler ? any : column[i]) - *base, 1);
    append(&streams->values, filler ? 0 : (uint8_t)row[column[i]], 1);
  }
  ++statistics->lanes[lanes];
  ++statistics->nonzeros[nonzeros];
}

static void encode_offset8_row(const int8_t* row, uint32_t cols, bool any_order, Streams* streams,
                               PackStatistics* statistics) {
  const size_t before = streams->values.size;
  uint32_t column[16];
  uint32_t nonzeros = 0;
  uint32_t base = 0;
  for (uint32_t c = 0; c < cols; ++c) {
    if (row[c] == 0) continue;
    if (nonzeros == 16 || (nonzeros > 0 && c - column[0] > 255)) {
      encode_offset8_group(row, column, nonzeros, false, any_order, &base, streams, statistics);
      nonzeros = 0;
    }
    column[nonzeros++] = c;
  }
  if (nonzeros > 0) {
    encode_offset8_group(row, column, nonzeros, true, any_order, &base, streams, statistics);
  }
  append(&streams->row_length, (uint32_t)(streams->values.size - before), 4);
}

static void encode_bitmap_row(const int8_t* row, uint32_t cols, Streams* streams) {
  uint32_t length = 0;
  for (uint32_t c = 0; c < cols; ++c) {
    append_bit(&streams->index, &streams->index_bits, row[c] != 0);
    if (row[c] == 0) continue;
    append(&streams->values, (uint8_t)row[c], 1);
    ++length;
  }
  append(&streams->row_length, length, 4);
}

static void encode_rice_row(const int8_t* row, uint32_t cols, uint32_t parameter,
                            Streams* streams) {
  uint32_t length = 0;
  for (uint32_t c = 0; c < cols; ++c) length += row[c] != 0;
  append(&streams->row_length, length, 4);
  uint32_t k = 0;
  while (length > 0 && parameter * cols / (32 * length) >> k != 0) ++k;
  uint32_t gap = 0;
  for (uint32_t c = 0; c < cols; ++c) {
    if (row[c] == 0) {
      ++gap;
      continue;
    }
    for (uint32_t q = 0; q < gap >> k; ++q) append_bit(&streams->index, &streams->index_bits, 0);
    append_bit(&streams->index, &streams->index_bits, 1);
    append_bits(&streams->delta, &streams->delta_bits, gap, k);
    append(&streams->values, (uint8_t)row[c], 1);
    gap = 0;
  }
}

static uint32_t rice_parameter(const PackOptions* options) {
  return options->rice_parameter != 0 ? options->rice_parameter : 15;
}

// Writes the lengths of a complete code for `count` = 2 .. 256 symbols, shortest first. `equal`:
// the lengths differ by at most one.
static void make_code_lengths(uint32_t count, bool equal, uint32_t* lengths) {
  lengths[0] = 0;
  for (uint32_t n = 1; n < count; ++n) {
    // Split a symbol into two: the shortest one, or the longest one below 8 bits.
    uint32_t split = 0;
    for (uint32_t i = 1; i < n; ++i) {
      const bool better = equal ? lengths[i] < lengths[split] : lengths[i] > lengths[split];
      if (lengths[i] < 8 && (better || lengths[split] == 8)) split = i;
    }
    ++lengths[split];
    lengths[n] = lengths[split];
  }
  for (uint32_t i = 1; i < count; ++i) {
    const uint32_t length = lengths[i];
    uint32_t k = i;
    for (; k > 0 && lengths[k - 1] > length; --k) lengths[k] = lengths[k - 1];
    lengths[k] = length;
  }
}

// Replaces the values by their codes and the code lengths.
static void encode_values(const PackOptions* options, Bytes* values) {
  const uint32_t raw_bits = options->raw_bits;
  const uint32_t symbols = UINT32_C(256) >> raw_bits;
  uint32_t frequency[256] = {0};
  uint32_t used = 0;
  for (size_t i = 0; i < values->size; ++i) {
    if (frequency[values->data[i] >> raw_bits]++ == 0) ++used;
  }
  // A complete code has at least two symbols.
  for (uint32_t s = 0; used < 2; ++s) {
    if (frequency[s] == 0) {
      frequency[s] = 1;
      ++used;
    }
  }

  uint32_t by_rank[256];
  make_code_lengths(used, options->equal_codes, by_rank);
  uint32_t length[256] = {0};
  for (uint32_t rank = 0; rank < used; ++rank) {
    uint32_t most = 0;
    for (uint32_t s = 0; s < symbols; ++s) {
      if (frequency[s] > frequency[most]) most = s;
    }
    length[most] = by_rank[rank];
    frequency[most] = 0;
  }
  uint32_t code[256] = {0};
  uint32_t next = 0;
  for (uint32_t bits = 1; bits <= 8; ++bits) {
    for (uint32_t s = 0; s < symbols; ++s) {
      if (length[s] == bits) code[s] = next++;
    }
    next *= 2;
  }

  Bytes codes = {NULL, 0, 0};
  uint32_t at = 0;
  for (size_t i = 0; i < values->size; ++i) {
    const uint32_t s = values->data[i] >> raw_bits;
    append_bits(&codes, &at, values->data[i], raw_bits);
    for (uint32_t bit = length[s]; bit > 0; --bit) append_bit(&codes, &at, code[s] >> (bit - 1));
  }
  for (uint32_t s = 0; s < symbols; s += 2) append(&codes, length[s] | length[s + 1] << 4, 1);
  free(values->data);
  *values = codes;
}

static Streams encode_rows(const DenseLayer* layer, const PackOptions* options,
                           PackStatistics* statistics) {
  Streams streams;
  memset(&streams, 0, sizeof(streams));
  for (uint32_t r = 0; r < layer->rows; ++r) {
    const int8_t* row = layer->weights + (size_t)r * layer->cols;
    switch (options->encoding) {
      case kDcsrEncodingDense:
        encode_dense_row(row, layer->cols, &streams);
        break;
      case kDcsrEncodingRle:
        encode_rle_row(row, layer->cols, &streams);
        break;
      case kDcsrEncodingDcsr:
        encode_dcsr_row(row, layer->cols, options, &streams, statistics);
        break;
      case kDcsrEncodingOffset8:
        encode_offset8_row(row, layer->cols, options->any_order, &streams, statistics);
        break;
      case kDcsrEncodingRice:
        encode_rice_row(row, layer->cols, rice_parameter(options), &streams);
        break;
      case kDcsrEncodingBitmap:
        encode_bitmap_row(row, layer->cols, &streams);
        break;
    }
  }
  return streams;
}

static void free_streams(Streams* streams) {
  free(streams->row_length.data);
  free(streams->index.data);
  free(streams->delta.data);
  free(streams->plane.data);
  free(streams->values.data);
}

static uint32_t longest_row(const Streams* streams) {
  uint32_t longest = 0;
  for (size_t i = 0; i < streams->row_length.size; i += 4) {
    uint32_t length;
    memcpy(&length, streams->row_length.data + i, 4);
    if (length > longest) longest = length;
  }
  return longest;
}

static uint32_t index_parameter(const PackOptions* options) {
  switch (options->encoding) {
    case kDcsrEncodingDcsr:
      return options->byte_deltas ? 8 : 4;
    case kDcsrEncodingRice:
      return rice_parameter(options);
    default:
      return 0;
  }
}

static uint32_t bytes_of(uint32_t value) { return value <= 0xFF ? 1 : value <= 0xFFFF ? 2 : 4; }

static uint32_t folded_bias(const DenseLayer* layer, uint32_t row) {
  int32_t sum = 0;  // at most 2^25 in magnitude
  for (uint32_t c = 0; c < layer->cols; ++c) sum += layer->weights[(size_t)row * layer->cols + c];
  return (uint32_t)layer->bias[row] - (uint32_t)layer->input_zero_point * (uint32_t)sum;
}

static void append_bias(Bytes* out, const DenseLayer* layer, uint32_t row) {
  if (layer->int16_bias == NULL) {
    append(out, folded_bias(layer, row), 4);
    return;
  }
  const uint64_t bias = (uint64_t)layer->int16_bias[row];
  append(out, (uint32_t)bias, 4);
  if (!layer->int32_sums) append(out, (uint32_t)(bias >> 32), 4);
}

static void pad(Bytes* out) {
  while (out->size % 4 != 0) append(out, 0, 1);
}

static void append_bytes(Bytes* out, const Bytes* bytes) {
  for (size_t i = 0; i < bytes->size; ++i) append(out, bytes->data[i], 1);
  pad(out);
}

static bool is_compact(const DenseLayer* layer, const PackOptions* options) {
  return options->compact_rows && layer->per_row && layer->int16_bias == NULL;
}

static void append_header(Bytes* out, const DenseLayer* layer, const PackOptions* options,
                          const Streams* streams, uint32_t elements, uint32_t row_length_bytes,
                          uint32_t row_length_bits) {
  append(out, 0x52534364, 4);  // "dCSR"
  append(out, is_compact(layer, options) ? 2 : 1, 1);
  append(out, (uint32_t)layer->op, 1);
  append(out, (uint32_t)options->encoding, 1);
  append(out, options->huffman ? 1 : 0, 1);
  append(out, 0, 4);  // total_bytes, filled in at the end
  append(out, layer->rows, 4);
  append(out, layer->cols, 4);
  append(out, elements, 4);
  append(out, (uint32_t)layer->input_zero_point, 2);
  append(out, (uint32_t)layer->output_zero_point, 2);
  append(out, (uint32_t)layer->activation_min, 2);
  append(out, (uint32_t)layer->activation_max, 2);
  append(out, layer->stride_h, 1);
  append(out, layer->stride_w, 1);
  append(out,
         (layer->per_row ? 1 : 0) | (layer->int16_bias != NULL ? 2 : 0) |
             (layer->window.same_padding ? 4 : 0) | (is_compact(layer, options) ? 16 : 0) |
             (layer->int32_sums ? 32 : 0),
         1);
  append(out, row_length_bytes, 1);
  append(out, index_parameter(options), 1);
  append(out, row_length_bits, 1);
  append(out, options->huffman ? options->raw_bits : 0, 1);
  append(out, layer->depth_multiplier, 1);
  append(out, (uint32_t)streams->index.size, 4);
  append(out, (uint32_t)streams->delta.size, 4);
  append(out, (uint32_t)streams->plane.size, 4);
  append(out, 0, 4);
  append(out, options->huffman ? (uint32_t)streams->values.size : 0, 4);
  append(out, layer->window.filter_h, 1);
  append(out, layer->window.filter_w, 1);
  append(out, layer->window.dilation_h, 1);
  append(out, layer->window.dilation_w, 1);
}

static bool has_row_length_bytes(const PackOptions* options) {
  return options->encoding != kDcsrEncodingDense && options->encoding != kDcsrEncodingRice &&
         options->encoding != kDcsrEncodingBitmap;
}

static void finish_blob(Bytes* out, PackedBlob* blob) {
  blob->size = out->size;
  blob->data = (uint8_t*)malloc(out->size);
  if (blob->data == NULL) abort();
  memcpy(blob->data, out->data, out->size);
  free(out->data);
}

static void append_plain_rows(Bytes* out, const DenseLayer* layer, PackedBlob* blob) {
  const uint32_t requantize_rows = layer->per_row ? layer->rows : 1;
  blob->offset[kSectionBias] = out->size;
  for (uint32_t r = 0; r < layer->rows; ++r) {
    append_bias(out, layer, r);
  }
  blob->offset[kSectionMultiplier] = out->size;
  for (uint32_t r = 0; r < requantize_rows; ++r) {
    append(out, (uint32_t)layer->multiplier[r], 4);
  }
  blob->offset[kSectionShift] = out->size;
  for (uint32_t r = 0; r < requantize_rows; ++r) {
    append(out, (uint32_t)layer->shift[r], 1);
  }
  pad(out);
}

static void append_compact_rows(Bytes* out, const DenseLayer* layer, PackedBlob* blob) {
  uint32_t* folded = (uint32_t*)malloc(layer->rows * sizeof(*folded));
  if (folded == NULL) abort();
  for (uint32_t r = 0; r < layer->rows; ++r) folded[r] = folded_bias(layer, r);
  size_t words;
  uint32_t* rows = encode_compact_rows(layer, folded, &words);
  blob->offset[kSectionBias] = out->size;
  blob->offset[kSectionMultiplier] = out->size;
  blob->offset[kSectionShift] = out->size;
  for (size_t i = 0; i < words; ++i) append(out, rows[i], 4);
  free(rows);
  free(folded);
}

PackedBlob pack_layer(const DenseLayer* layer, const PackOptions* options) {
  PackedBlob blob;
  memset(&blob, 0, sizeof(blob));
  Streams streams = encode_rows(layer, options, &blob.statistics);
  const uint32_t elements = (uint32_t)streams.values.size;
  if (options->huffman) encode_values(options, &streams.values);
  const uint32_t longest = longest_row(&streams);
  uint32_t row_length_bytes = 0;
  uint32_t row_length_bits = 0;
  if (options->encoding == kDcsrEncodingRice) {
    while (longest >> row_length_bits != 0) ++row_length_bits;
    if (options->wide_row_lengths) row_length_bits = 18;
  } else if (has_row_length_bytes(options)) {
    row_length_bytes =
        options->row_length_bytes > 0 ? options->row_length_bytes : bytes_of(longest);
  }

  Bytes out = {NULL, 0, 0};
  append_header(&out, layer, options, &streams, elements, row_length_bytes, row_length_bits);
  if (is_compact(layer, options)) {
    append_compact_rows(&out, layer, &blob);
  } else {
    append_plain_rows(&out, layer, &blob);
  }
  blob.offset[kSectionRowLength] = out.size;
  uint32_t bits = 0;
  for (size_t i = 0; i < streams.row_length.size; i += 4) {
    uint32_t length;
    memcpy(&length, streams.row_length.data + i, 4);
    append(&out, length, row_length_bytes);
    append_bits(&out, &bits, length, row_length_bits);
  }
  pad(&out);
  blob.offset[kSectionIndex] = out.size;
  append_bytes(&out, &streams.index);
  blob.offset[kSectionDelta] = out.size;
  append_bytes(&out, &streams.delta);
  blob.offset[kSectionPlane] = out.size;
  append_bytes(&out, &streams.plane);
  blob.offset[kSectionValues] = out.size;
  append_bytes(&out, &streams.values);
  for (uint32_t i = 0; i < 4; ++i) {
    out.data[8 + i] = (uint8_t)(out.size >> (8 * i));
  }

  finish_blob(&out, &blob);
  free_streams(&streams);
  if (options->checksum) add_checksum(&blob);
  return blob;
}

void add_checksum(PackedBlob* blob) {
  blob->size += 4;
  blob->data = (uint8_t*)realloc(blob->data, blob->size);
  if (blob->data == NULL) abort();
  blob->data[4] = kDcsrFormatVersion2;
  blob->data[34] |= 64;
  for (uint32_t i = 0; i < 4; ++i) blob->data[8 + i] = (uint8_t)(blob->size >> (8 * i));
  correct_checksum(blob);
}

void correct_checksum(PackedBlob* blob) {
  // Multiplies by 2^32 / golden ratio in 64 bits, where the library wraps.
  uint64_t sum = 0;
  const size_t end = blob->size - 4;
  for (size_t i = 0; i < end; i += 4) {
    uint32_t word = 0;
    for (uint32_t b = 0; b < 4; ++b) word |= (uint32_t)blob->data[i + b] << (8 * b);
    const uint64_t turned = (sum * 32 + sum / (UINT64_C(1) << 27)) % (UINT64_C(1) << 32);
    sum = (turned ^ word) * UINT64_C(2654435769) % (UINT64_C(1) << 32);
  }
  for (uint32_t b = 0; b < 4; ++b) blob->data[end + b] = (uint8_t)(sum >> (8 * b));
}

static void append_original_bias(Bytes* out, const DenseLayer* layer, uint32_t row) {
  if (layer->int16_bias != NULL) {
    append_bias(out, layer, row);
  } else {
    append(out, (uint32_t)layer->bias[row], 4);
  }
}

SharedBlobs pack_shared_layer(const DenseLayer* layer, const PackOptions* options,
                              const SharedScales* scales) {
  SharedBlobs blobs;
  memset(&blobs, 0, sizeof(blobs));
  // Header and streams are those of the layer with its own rows.
  PackOptions plain = *options;
  plain.compact_rows = false;
  plain.checksum = false;
  PackedBlob whole = pack_layer(layer, &plain);
  Bytes own = {NULL, 0, 0};
  for (uint32_t i = 0; i < kDcsrHeaderBytes; ++i) append(&own, whole.data[i], 1);
  append(&own, (uint32_t)scales->ratio, 4);
  append(&own, (uint32_t)(scales->ratio >> 32), 2);
  append(&own, (uint32_t)(uint16_t)scales->exponent, 2);
  for (uint32_t r = 0; r < layer->rows && scales->has_bias; ++r) {
    append_original_bias(&own, layer, r);
  }
  own.data[4] = kDcsrFormatVersion2;
  own.data[34] = (uint8_t)(own.data[34] | (scales->has_bias ? 8 : 0));
  for (uint32_t i = 0; i < 4; ++i) own.data[8 + i] = (uint8_t)(own.size >> (8 * i));
  blobs.own.offset[kSectionBias] = kDcsrHeaderBytes + 8;

  Bytes shared = {NULL, 0, 0};
  const uint32_t count = layer->per_row ? layer->rows : 1;
  for (uint32_t r = 0; r < count; ++r) append(&shared, scales->weight_scale[r], 4);
  for (int section = kSectionRowLength; section < kSectionCount; ++section) {
    blobs.shared.offset[section] =
        whole.offset[section] - whole.offset[kSectionRowLength] + shared.size;
  }
  for (size_t i = whole.offset[kSectionRowLength]; i < whole.size; ++i) {
    append(&shared, whole.data[i], 1);
  }
  finish_blob(&own, &blobs.own);
  finish_blob(&shared, &blobs.shared);
  free_packed_blob(&whole);
  return blobs;
}

void free_shared_blobs(SharedBlobs* blobs) {
  free_packed_blob(&blobs->own);
  free_packed_blob(&blobs->shared);
}

bool pack_row_length_fits(const DenseLayer* layer, const PackOptions* options) {
  if (!has_row_length_bytes(options) || options->row_length_bytes == 0) return true;
  PackStatistics ignored;
  memset(&ignored, 0, sizeof(ignored));
  Streams streams = encode_rows(layer, options, &ignored);
  const bool fits = bytes_of(longest_row(&streams)) <= options->row_length_bytes;
  free_streams(&streams);
  return fits;
}

void add_layout(PackedBlob* blob, const DcsrLayout* layout) {
  Bytes out = {NULL, 0, 0};
  for (size_t i = 0; i < kDcsrHeaderBytes; ++i) append(&out, blob->data[i], 1);
  out.data[5] = out.data[5] == kDcsrOpConv2d ? 4 : 5;
  append(&out, layout->input_height, 2);
  append(&out, layout->input_width, 2);
  append(&out, layout->input_planes, 1);
  append(&out, layout->output_planes, 1);
  append(&out, layout->is_transposed, 1);
  append(&out, layout->reserved, 1);
  for (size_t i = kDcsrHeaderBytes; i < blob->size; ++i) append(&out, blob->data[i], 1);
  for (uint32_t i = 0; i < 4; ++i) out.data[8 + i] = (uint8_t)(out.size >> (8 * i));
  for (int i = kSectionHeader + 1; i < kSectionCount; ++i) blob->offset[i] += kDcsrLayoutBytes;
  free(blob->data);
  finish_blob(&out, blob);
}

void free_packed_blob(PackedBlob* blob) {
  free(blob->data);
  blob->data = NULL;
}
