// Tests parsing and validation: handmade layers are read as docs/format.md says,
// and every kind of damage is refused with its own status.

#include "tflm_kernels/packed_layer.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "tflm_kernels/kernels.h"
#include "tflm_kernels/testing/check.h"
#include "tflm_kernels/testing/pack.h"

static DcsrStatus parse_and_validate(const void* data, size_t size, DcsrLayer* layer) {
  const DcsrStatus status = dcsr_layer_parse(data, size, layer);
  return status == kDcsrOk ? dcsr_layer_validate(layer) : status;
}

// FULLY_CONNECTED [2, 40]: row 0 has 5, -7, 127 in columns 1, 9, 38; row 1 has
// -128 in column 0.

// Row 0: slope floor(16 * 40 / 3) = 213, line 0, 13, 26; columns minus the line
// 1, -4, 12; base -4; deltas 5, 0, 16. The delta 16 needs a plane.
static const uint8_t kHandmadeDcsr[100] = {
    'd',  'C',  'S',  'R',  1,    2,    1,    0,     // FULLY_CONNECTED, dcsr
    100,  0,    0,    0,    2,    0,    0,    0,     // total_bytes, rows
    40,   0,    0,    0,    4,    0,    0,    0,     // cols, elements
    0x80, 0xFF, 0xFE, 0xFF,                          // zero points -128 and -2
    0x9C, 0xFF, 125,  0,                             // activations -100 .. 125
    1,    1,    0,    1,    4,    0,    0,    0,     // strides, flags, row_length_bytes, 4
    4,    0,    0,    0,    3,    0,    0,    0,     // index_bytes, delta_bytes
    1,    0,    0,    0,    0,    0,    0,    0,     // plane_bytes
    0,    0,    0,    0,    0,    0,    0,    0,     //
    10,   0,    0,    0,    0xFD, 0xFF, 0xFF, 0xFF,  // bias 10, -3
    0,    0,    0,    0x40, 1,    0,    0,    0,     // multiplier 2^30, shift 1: the factor is 1
    3,    1,    0,    0,                             // row_length
    0xC1, 0xFF, 0,    0,                             // step -4 and a plane; step 0
    0x05, 0x00, 0x00, 0,                             // delta: 5, 0, 0 and 0
    0x04, 0,    0,    0,                             // plane: lane 2
    5,    0xF9, 127,  0x80,                          // values
};

// There are 28 zeros between columns 9 and 38: a gap of 15 to a filler in column
// 25, then a gap of 12.
static const uint8_t kHandmadeRle[96] = {
    'd',  'C',  'S',  'R',  1,    2,    2,    0,     // FULLY_CONNECTED, rle
    96,   0,    0,    0,    2,    0,    0,    0,     // total_bytes, rows
    40,   0,    0,    0,    5,    0,    0,    0,     // cols, elements
    0x80, 0xFF, 0xFE, 0xFF,                          // zero points -128 and -2
    0x9C, 0xFF, 125,  0,                             // activations -100 .. 125
    1,    1,    0,    1,    0,    0,    0,    0,     // strides, flags, row_length_bytes
    3,    0,    0,    0,    0,    0,    0,    0,     // index_bytes
    0,    0,    0,    0,    0,    0,    0,    0,     //
    0,    0,    0,    0,    0,    0,    0,    0,     //
    10,   0,    0,    0,    0xFD, 0xFF, 0xFF, 0xFF,  // bias 10, -3
    0,    0,    0,    0x40, 1,    0,    0,    0,     // multiplier 2^30, shift 1: the factor is 1
    4,    1,    0,    0,                             // row_length
    0x71, 0xCF, 0,    0,                             // gaps 1, 7, 15, 12 and 0
    5,    0xF9, 0,    127,  0x80, 0,    0,    0,     // values
};

// Row 0: base 1, byte deltas 0, 8, 37.
static const uint8_t kHandmadeBytes[96] = {
    'd',  'C',  'S',  'R',  1,    2,    1,    0,     // FULLY_CONNECTED, dcsr
    96,   0,    0,    0,    2,    0,    0,    0,     // total_bytes, rows
    40,   0,    0,    0,    4,    0,    0,    0,     // cols, elements
    0x80, 0xFF, 0xFE, 0xFF,                          // zero points -128 and -2
    0x9C, 0xFF, 125,  0,                             // activations -100 .. 125
    1,    1,    0,    1,    8,    0,    0,    0,     // strides, flags, row_length_bytes, 8
    4,    0,    0,    0,    4,    0,    0,    0,     // index_bytes, delta_bytes
    0,    0,    0,    0,    0,    0,    0,    0,     // plane_bytes
    0,    0,    0,    0,    0,    0,    0,    0,     //
    10,   0,    0,    0,    0xFD, 0xFF, 0xFF, 0xFF,  // bias 10, -3
    0,    0,    0,    0x40, 1,    0,    0,    0,     // multiplier 2^30, shift 1: the factor is 1
    3,    1,    0,    0,                             // row_length
    0x10, 0x00, 0,    0,                             // step 1; step 0
    0,    8,    37,   0,                             // delta
    5,    0xF9, 127,  0x80,                          // values
};

// Row 0 is stored backwards, with base 0 and a filler that repeats a column.
static const uint8_t kHandmadeOffset8[104] = {
    'd',  'C',  'S',  'R',  1,    2,    3,    0,     // FULLY_CONNECTED, offset8
    104,  0,    0,    0,    2,    0,    0,    0,     // total_bytes, rows
    40,   0,    0,    0,    5,    0,    0,    0,     // cols, elements
    0x80, 0xFF, 0xFE, 0xFF,                          // zero points -128 and -2
    0x9C, 0xFF, 125,  0,                             // activations -100 .. 125
    1,    1,    0,    1,    0,    0,    0,    0,     // strides, flags, row_length_bytes
    4,    0,    0,    0,    5,    0,    0,    0,     // index_bytes, delta_bytes
    0,    0,    0,    0,    0,    0,    0,    0,     //
    0,    0,    0,    0,    0,    0,    0,    0,     //
    10,   0,    0,    0,    0xFD, 0xFF, 0xFF, 0xFF,  // bias 10, -3
    0,    0,    0,    0x40, 1,    0,    0,    0,     // multiplier 2^30, shift 1: the factor is 1
    4,    1,    0,    0,                             // row_length
    0,    0,    0,    0,                             // steps
    38,   9,    9,    1,    0,    0,    0,    0,     // offsets
    127,  0,    0xF9, 5,    0x80, 0,    0,    0,     // values
};

// Row lengths 3 and 1 have 2 bits each. Row 0: k = 3, as 16 * 40 / (32 * 3) = 6; gaps 1, 7, 28;
// quotients 0, 0, 3, remainders 1, 7, 4. Row 1: k = 5, as 16 * 40 / 32 = 20; gap 0. The upper
// halves 0, 15, 7, 8 of the values have the codes 0, 111, 10, 110.
static const uint8_t kHandmadeRice[104] = {
    'd',  'C',  'S',  'R',  1,    2,    4,    1,     // FULLY_CONNECTED, rice, huffman
    104,  0,    0,    0,    2,    0,    0,    0,     // total_bytes, rows
    40,   0,    0,    0,    4,    0,    0,    0,     // cols, elements
    0x80, 0xFF, 0xFE, 0xFF,                          // zero points -128 and -2
    0x9C, 0xFF, 125,  0,                             // activations -100 .. 125
    1,    1,    0,    0,    16,   2,    4,    0,     // strides, 16, row_length_bits, raw_bits
    1,    0,    0,    0,    2,    0,    0,    0,     // index_bytes, delta_bytes
    0,    0,    0,    0,    0,    0,    0,    0,     //
    12,   0,    0,    0,    0,    0,    0,    0,     // value_bytes
    10,   0,    0,    0,    0xFD, 0xFF, 0xFF, 0xFF,  // bias 10, -3
    0,    0,    0,    0x40, 1,    0,    0,    0,     // multiplier 2^30, shift 1: the factor is 1
    0x07, 0,    0,    0,                             // row_length
    0x63, 0,    0,    0,                             // quotients 1, 1, 0001, 1
    0x39, 0x01, 0,    0,                             // remainders 1, 7, 4 of 3 bits, 0 of 5
    0x25, 0xFF, 0xC1, 0x00,                          // 1010 0, 1001 111, 1111 10, 0000 110
    0x01, 0,    0,    0x20, 0x03, 0,    0,    0x30,  // lengths: 1 of 0, 2 of 7, 3 of 8 and 15
};

static const uint8_t kHandmadeBitmap[96] = {
    'd',  'C',  'S',  'R',  1,    2,    5,    0,     // FULLY_CONNECTED, bitmap
    96,   0,    0,    0,    2,    0,    0,    0,     // total_bytes, rows
    40,   0,    0,    0,    4,    0,    0,    0,     // cols, elements
    0x80, 0xFF, 0xFE, 0xFF,                          // zero points -128 and -2
    0x9C, 0xFF, 125,  0,                             // activations -100 .. 125
    1,    1,    0,    0,    0,    0,    0,    0,     // strides
    10,   0,    0,    0,    0,    0,    0,    0,     // index_bytes
    0,    0,    0,    0,    0,    0,    0,    0,     //
    0,    0,    0,    0,    0,    0,    0,    0,     //
    10,   0,    0,    0,    0xFD, 0xFF, 0xFF, 0xFF,  // bias 10, -3
    0,    0,    0,    0x40, 1,    0,    0,    0,     // multiplier 2^30, shift 1: the factor is 1
    0x02, 0x02, 0,    0,    0x40, 0x01, 0,    0,     // bits 1, 9, 38, and 40 + 0
    0,    0,    0,    0,                             //
    5,    0xF9, 127,  0x80,                          // values
};

// FULLY_CONNECTED on one vector.
static void multiply(const DcsrLayer* layer, const int8_t* input, int8_t* output) {
  const DcsrConvShape shape = dcsr_fully_connected_shape(1);
  DcsrPlan plan;
  dcsr_plan(dcsr_fully_connected_kernels(), layer, &shape, 0, &plan);
  dcsr_run(&plan, layer, &shape, input, output, NULL);
}

static void check_handmade(const uint8_t* bytes, size_t size, uint32_t elements) {
  uint8_t* data = (uint8_t*)malloc(size);
  if (data == NULL) abort();
  memcpy(data, bytes, size);
  DcsrLayer layer;
  const DcsrStatus status = parse_and_validate(data, size, &layer);
  CHECK(status == kDcsrOk, "%s", dcsr_status_string(status));
  if (status != kDcsrOk) {
    free(data);
    return;
  }

  CHECK(layer.op == kDcsrOpFullyConnected, "%d", (int)layer.op);
  CHECK(layer.rows == 2 && layer.cols == 40, "%u x %u", (unsigned)layer.rows, (unsigned)layer.cols);
  CHECK(layer.elements == elements, "%u", (unsigned)layer.elements);
  CHECK(layer.input_zero_point == -128, "%d", (int)layer.input_zero_point);
  CHECK(layer.output_zero_point == -2, "%d", (int)layer.output_zero_point);
  CHECK(layer.activation_min == -100, "%d", (int)layer.activation_min);
  CHECK(layer.activation_max == 125, "%d", (int)layer.activation_max);
  CHECK(layer.stride_h == 1 && layer.stride_w == 1, "strides");
  CHECK(layer.requantize_stride == 0, "%u", (unsigned)layer.requantize_stride);
  CHECK(layer.bias[1] == -3, "%ld", (long)layer.bias[1]);

  int8_t input[40];
  memset(input, 99, sizeof(input));  // multiplied with no weight
  input[0] = 1;
  input[1] = 2;
  input[9] = 3;
  input[38] = 1;
  int8_t output[2];
  multiply(&layer, input, output);
  CHECK(output[0] == 10 + 5 * 2 - 7 * 3 + 127 * 1 - 2, "%d", output[0]);
  CHECK(output[1] == -100, "%d", output[1]);  // -3 - 128 - 2, clamped
  input[38] = 2;
  multiply(&layer, input, output);
  CHECK(output[0] == 125, "%d", output[0]);
  free(data);
}

static void test_handmade_dcsr_layer(void) {
  check_handmade(kHandmadeDcsr, sizeof(kHandmadeDcsr), 4);
}

static void test_handmade_rle_layer(void) { check_handmade(kHandmadeRle, sizeof(kHandmadeRle), 5); }

static void test_handmade_byte_delta_layer(void) {
  check_handmade(kHandmadeBytes, sizeof(kHandmadeBytes), 4);
}

static void test_handmade_offset8_layer(void) {
  check_handmade(kHandmadeOffset8, sizeof(kHandmadeOffset8), 5);
}

static void test_handmade_rice_layer(void) {
  check_handmade(kHandmadeRice, sizeof(kHandmadeRice), 4);
}

static void test_handmade_bitmap_layer(void) {
  check_handmade(kHandmadeBitmap, sizeof(kHandmadeBitmap), 4);
}

// The layers that the tests damage. Most are a convolution [3, 40]: row 0 as
// above, row 1 without nonzeros, row 2 with 20 nonzeros in all even columns
// (slope 32, all deltas and steps 0, groups of 16 and 4).
enum { kRows = 3, kCols = 40, kElements = 3 + 0 + 20 };

typedef enum {
  kDense,
  kDcsr,
  kDcsrEscapes,
  kDcsrDiagonal,  // [40, 40], escapes: much index for few values
  kDcsrFullyConnected,
  kDcsrBytes,
  kRle,
  kOffset8,
  kRice,
  kBitmap,
  kHuffman,
  kHuffmanBytes,
  kHuffmanDense,
  kBlobCount
} BlobKind;

static PackedBlob make_blob(BlobKind kind) {
  int8_t weights[kCols * kCols];
  int32_t bias[kCols];
  int32_t multiplier[kCols];
  int8_t shift[kCols];
  for (size_t r = 0; r < kCols; ++r) {
    bias[r] = (int32_t)r - 10;
    multiplier[r] = r % 2 == 0 ? 0 : INT32_MAX;
    shift[r] = r % 2 == 0 ? -31 : 30;
  }
  memset(weights, 0, sizeof(weights));
  if (kind == kDcsrDiagonal) {
    for (size_t c = 0; c < kCols; ++c) weights[c * kCols + c] = 1;
  } else {
    weights[1] = 5;
    weights[9] = -7;
    weights[38] = 127;
    for (size_t c = 0; c < kCols; c += 2) weights[2 * kCols + c] = (int8_t)((int)c - 21);
  }
  const bool is_conv = kind != kDcsrFullyConnected;
  const DenseLayer layer = {.op = is_conv ? kDcsrOpConv2d : kDcsrOpFullyConnected,
                            .rows = kind == kDcsrDiagonal ? kCols : kRows,
                            .cols = kCols,
                            .input_zero_point = -128,
                            .output_zero_point = 127,
                            .activation_min = -128,
                            .activation_max = 127,
                            .stride_h = is_conv ? 2 : 1,
                            .stride_w = is_conv ? 255 : 1,
                            .per_row = true,
                            .weights = weights,
                            .bias = bias,
                            .multiplier = multiplier,
                            .shift = shift};
  static const PackOptions kPackingOfKind[kBlobCount] = {
      [kDense] = {.encoding = kDcsrEncodingDense},
      [kDcsr] = {.encoding = kDcsrEncodingDcsr, .row_length_bytes = 1},
      [kDcsrEscapes] = {.encoding = kDcsrEncodingDcsr,
                        .row_length_bytes = 4,
                        .escape_every_base = true},
      [kDcsrDiagonal] = {.encoding = kDcsrEncodingDcsr,
                         .row_length_bytes = 1,
                         .escape_every_base = true},
      [kDcsrFullyConnected] = {.encoding = kDcsrEncodingDcsr, .row_length_bytes = 1},
      [kDcsrBytes] = {.encoding = kDcsrEncodingDcsr, .row_length_bytes = 1, .byte_deltas = true},
      [kRle] = {.encoding = kDcsrEncodingRle, .row_length_bytes = 2},
      [kOffset8] = {.encoding = kDcsrEncodingOffset8, .row_length_bytes = 1},
      [kRice] = {.encoding = kDcsrEncodingRice},
      [kBitmap] = {.encoding = kDcsrEncodingBitmap},
      [kHuffman] = {.encoding = kDcsrEncodingRice, .huffman = true, .raw_bits = 3},
      [kHuffmanBytes] = {.encoding = kDcsrEncodingDcsr,
                         .row_length_bytes = 1,
                         .byte_deltas = true,
                         .huffman = true,
                         .raw_bits = 3},
      [kHuffmanDense] = {.encoding = kDcsrEncodingDense, .huffman = true, .raw_bits = 3},
  };
  return pack_layer(&layer, &kPackingOfKind[kind]);
}

typedef struct {
  const char* what;
  BlobKind blob;
  Section section;
  uint32_t offset;  // in the section
  uint32_t width;   // bytes of `value`
  uint64_t value;
  DcsrStatus expected;
} Corruption;

// clang-format off
static const Corruption kCorruptions[] = {
    {"magic", kDcsr, kSectionHeader, 0, 1, 'D', kDcsrErrorMagic},
    {"magic, last byte", kDcsr, kSectionHeader, 3, 1, 'r', kDcsrErrorMagic},
    {"version 0", kDcsr, kSectionHeader, 4, 1, 0, kDcsrErrorVersion},
    {"version 2", kDcsr, kSectionHeader, 4, 1, 2, kDcsrErrorVersion},
    {"op 0", kDcsr, kSectionHeader, 5, 1, 0, kDcsrErrorHeader},
    {"op 3", kDcsr, kSectionHeader, 5, 1, 3, kDcsrErrorHeader},
    {"fully connected with strides", kDcsr, kSectionHeader, 5, 1, 2, kDcsrErrorHeader},
    {"fully connected with stride_h", kDcsrFullyConnected, kSectionHeader, 32, 1, 2, kDcsrErrorHeader},
    {"fully connected with stride_w", kDcsrFullyConnected, kSectionHeader, 33, 1, 2, kDcsrErrorHeader},
    {"encoding 200", kDcsr, kSectionHeader, 6, 1, 200, kDcsrErrorHeader},
    {"dcsr as offset8", kDcsr, kSectionHeader, 6, 1, 3, kDcsrErrorHeader},
    {"dcsr with byte deltas as offset8", kDcsrBytes, kSectionHeader, 6, 1, 3, kDcsrErrorHeader},
    {"rle as offset8", kRle, kSectionHeader, 6, 1, 3, kDcsrErrorHeader},
    {"offset8 as dcsr", kOffset8, kSectionHeader, 6, 1, 1, kDcsrErrorHeader},
    {"offset8 as rle", kOffset8, kSectionHeader, 6, 1, 2, kDcsrErrorHeader},
    {"encoding 6", kDcsr, kSectionHeader, 6, 1, 6, kDcsrErrorHeader},
    {"dcsr as rice", kDcsr, kSectionHeader, 6, 1, 4, kDcsrErrorHeader},
    {"dcsr as bitmap", kDcsr, kSectionHeader, 6, 1, 5, kDcsrErrorHeader},
    {"encoding 255", kDcsr, kSectionHeader, 6, 1, 255, kDcsrErrorHeader},
    {"dcsr as rle", kDcsr, kSectionHeader, 6, 1, 2, kDcsrErrorHeader},
    {"dcsr as dense", kDcsr, kSectionHeader, 6, 1, 0, kDcsrErrorHeader},
    {"rle as dcsr", kRle, kSectionHeader, 6, 1, 1, kDcsrErrorHeader},
    {"value_coding 1", kDcsr, kSectionHeader, 7, 1, 1, kDcsrErrorHeader},
    {"total_bytes 0", kDcsr, kSectionHeader, 8, 4, 0, kDcsrErrorSections},
    {"total_bytes of the header", kDcsr, kSectionHeader, 8, 4, 64, kDcsrErrorSections},
    {"total_bytes 2^32 - 1", kDcsr, kSectionHeader, 8, 4, UINT32_MAX, kDcsrErrorSections},
    {"rows 0", kDcsr, kSectionHeader, 12, 4, 0, kDcsrErrorHeader},
    {"rows 1", kDcsr, kSectionHeader, 12, 4, 1, kDcsrErrorSections},
    {"rows 2^20", kDcsr, kSectionHeader, 12, 4, 1 << 20, kDcsrErrorSections},
    {"rows above 2^20", kDcsr, kSectionHeader, 12, 4, (1 << 20) + 1, kDcsrErrorHeader},
    {"rows 2^32 - 1", kDcsr, kSectionHeader, 12, 4, UINT32_MAX, kDcsrErrorHeader},
    {"rows * cols just below 2^31", kDcsr, kSectionHeader, 12, 8, UINT64_C(0x3FFFF00002000), kDcsrErrorSections},
    {"rows * cols above 2^31", kDcsr, kSectionHeader, 12, 8, UINT64_C(0x3FFFF00002001), kDcsrErrorHeader},
    {"cols 0", kDcsr, kSectionHeader, 16, 4, 0, kDcsrErrorHeader},
    {"cols too few for the elements", kDcsr, kSectionHeader, 16, 4, 7, kDcsrErrorHeader},
    {"cols too few for a row", kDcsr, kSectionHeader, 16, 4, 19, kDcsrErrorRowLength},
    {"cols fewer, so another slope", kDcsr, kSectionHeader, 16, 4, 38, kDcsrOk},
    {"cols 2^18", kDcsr, kSectionHeader, 16, 4, 1 << 18, kDcsrErrorHeader},
    {"cols too few for a column, rle", kRle, kSectionHeader, 16, 4, 38, kDcsrErrorIndex},
    {"cols of dense", kDense, kSectionHeader, 16, 4, 41, kDcsrErrorHeader},
    {"elements 0", kDcsr, kSectionHeader, 20, 4, 0, kDcsrErrorSections},
    {"elements one less", kDcsr, kSectionHeader, 20, 4, kElements - 1, kDcsrErrorRowLength},
    {"elements one more", kDcsr, kSectionHeader, 20, 4, kElements + 1, kDcsrErrorRowLength},
    {"elements a word more", kDcsr, kSectionHeader, 20, 4, kElements + 4, kDcsrErrorSections},
    {"elements above rows * cols", kDcsr, kSectionHeader, 20, 4, kRows * kCols + 1, kDcsrErrorHeader},
    {"elements 2^32 - 1", kDcsr, kSectionHeader, 20, 4, UINT32_MAX, kDcsrErrorHeader},
    {"elements of dense", kDense, kSectionHeader, 20, 4, kRows * kCols - 1, kDcsrErrorHeader},
    {"elements of rle", kRle, kSectionHeader, 20, 4, 1, kDcsrErrorHeader},
    {"input_zero_point 128", kDcsr, kSectionHeader, 24, 2, 128, kDcsrErrorHeader},
    {"input_zero_point -129", kDcsr, kSectionHeader, 24, 2, (uint32_t)-129, kDcsrErrorHeader},
    {"output_zero_point 128", kDcsr, kSectionHeader, 26, 2, 128, kDcsrErrorHeader},
    {"output_zero_point -129", kDcsr, kSectionHeader, 26, 2, (uint32_t)-129, kDcsrErrorHeader},
    {"activation_min above activation_max", kDcsr, kSectionHeader, 30, 2, (uint32_t)-129, kDcsrErrorHeader},
    {"activation_min -129", kDcsr, kSectionHeader, 28, 2, (uint32_t)-129, kDcsrErrorHeader},
    {"activation_max 128", kDcsr, kSectionHeader, 30, 2, 128, kDcsrErrorHeader},
    {"activations 127 .. 126", kDcsr, kSectionHeader, 28, 4, 127 | 126 << 16, kDcsrErrorHeader},
    {"stride_h 0", kDcsr, kSectionHeader, 32, 1, 0, kDcsrErrorHeader},
    {"stride_w 0", kDcsr, kSectionHeader, 33, 1, 0, kDcsrErrorHeader},
    {"one multiplier for all", kDcsr, kSectionHeader, 34, 1, 0, kDcsrErrorSections},
    {"unknown flag", kDcsr, kSectionHeader, 34, 1, 9, kDcsrErrorHeader},
    {"flag of a checksum in version 1", kDcsr, kSectionHeader, 34, 1, 0x41, kDcsrErrorVersion},
    {"slow gathers", kDcsr, kSectionHeader, 34, 1, 0x81, kDcsrOk},
    {"row_length_bytes 0", kDcsr, kSectionHeader, 35, 1, 0, kDcsrErrorHeader},
    {"row_length_bytes 3", kDcsr, kSectionHeader, 35, 1, 3, kDcsrErrorHeader},
    {"row_length_bytes 8", kDcsr, kSectionHeader, 35, 1, 8, kDcsrErrorHeader},
    {"row_length_bytes too many", kDcsr, kSectionHeader, 35, 1, 2, kDcsrErrorSections},
    {"row_length_bytes too few", kRle, kSectionHeader, 35, 1, 1, kDcsrErrorSections},
    {"row_length_bytes of dense", kDense, kSectionHeader, 35, 1, 1, kDcsrErrorHeader},
    {"index_parameter of dcsr 0", kDcsr, kSectionHeader, 36, 1, 0, kDcsrErrorHeader},
    {"index_parameter of dcsr 5", kDcsr, kSectionHeader, 36, 1, 5, kDcsrErrorHeader},
    {"index_parameter of dcsr 8 with nibbles", kDcsr, kSectionHeader, 36, 1, 8, kDcsrErrorIndex},
    {"index_parameter of dcsr 4 with bytes", kDcsrBytes, kSectionHeader, 36, 1, 4, kDcsrErrorIndex},
    {"index_parameter of offset8", kOffset8, kSectionHeader, 36, 1, 8, kDcsrErrorHeader},
    {"index_parameter of rle", kRle, kSectionHeader, 36, 1, 4, kDcsrErrorHeader},
    {"index_parameter of dense", kDense, kSectionHeader, 36, 1, 4, kDcsrErrorHeader},
    {"row_length_bits of dcsr", kDcsr, kSectionHeader, 37, 1, 1, kDcsrErrorHeader},
    {"raw_bits of dcsr", kDcsr, kSectionHeader, 38, 1, 1, kDcsrErrorHeader},
    {"depth multiplier 1", kDcsr, kSectionHeader, 39, 1, 1, kDcsrErrorHeader},
    {"any scratch_budget", kDcsr, kSectionHeader, 52, 4, UINT32_MAX, kDcsrOk},
    {"value_bytes of dcsr", kDcsr, kSectionHeader, 56, 4, 1, kDcsrErrorHeader},
    {"filter_h alone", kDcsr, kSectionHeader, 60, 1, 2, kDcsrErrorHeader},
    {"filter_w alone", kDcsr, kSectionHeader, 61, 1, 2, kDcsrErrorHeader},
    {"dilation_h alone", kDcsr, kSectionHeader, 62, 1, 2, kDcsrErrorHeader},
    {"dilation_w alone", kDcsr, kSectionHeader, 63, 1, 128, kDcsrErrorHeader},
    {"fully connected with a filter", kDcsrFullyConnected, kSectionHeader, 60, 4, 0x01010202, kDcsrErrorHeader},
    {"1x1 with padding", kDcsr, kSectionHeader, 34, 1, 5, kDcsrErrorHeader},
    {"index_bytes 2^32 - 1", kDcsr, kSectionHeader, 40, 4, UINT32_MAX, kDcsrErrorSections},
    {"index_bytes 2^32 - 4, wraps", kDcsr, kSectionHeader, 40, 4, UINT32_MAX - 3, kDcsrErrorSections},
    {"index_bytes a word less", kDcsr, kSectionHeader, 40, 4, 4, kDcsrErrorSections},
    {"index_bytes odd", kDcsr, kSectionHeader, 40, 4, 5, kDcsrErrorIndex},
    {"index_bytes one more", kDcsr, kSectionHeader, 40, 4, 7, kDcsrErrorIndex},
    {"index_bytes with the padding", kDcsr, kSectionHeader, 40, 4, 8, kDcsrErrorIndex},
    {"index_bytes of rle", kRle, kSectionHeader, 40, 4, 1, kDcsrErrorHeader},
    {"index_bytes of dense", kDense, kSectionHeader, 40, 4, 1, kDcsrErrorHeader},
    {"index_bytes and delta_bytes, sum wraps", kDcsr, kSectionHeader, 40, 8, UINT64_C(0x8000001480000000), kDcsrErrorSections},
    {"delta_bytes 2^32 - 1", kDcsr, kSectionHeader, 44, 4, UINT32_MAX, kDcsrErrorSections},
    {"delta_bytes one less", kDcsr, kSectionHeader, 44, 4, 11, kDcsrErrorIndex},
    {"delta_bytes of two rows less", kDcsr, kSectionHeader, 44, 4, 9, kDcsrErrorIndex},
    {"delta_bytes a word more", kDcsr, kSectionHeader, 44, 4, 16, kDcsrErrorSections},
    {"delta_bytes of offset8 one less", kOffset8, kSectionHeader, 44, 4, kElements - 1, kDcsrErrorHeader},
    {"delta_bytes of offset8 one more", kOffset8, kSectionHeader, 44, 4, kElements + 1, kDcsrErrorHeader},
    {"delta_bytes of rle", kRle, kSectionHeader, 44, 4, 1, kDcsrErrorHeader},
    {"delta_bytes of dense", kDense, kSectionHeader, 44, 4, 1, kDcsrErrorHeader},
    {"plane_bytes 2^32 - 1", kDcsr, kSectionHeader, 48, 4, UINT32_MAX, kDcsrErrorSections},
    {"plane_bytes 2^32 - 1 instead of 0", kDcsrDiagonal, kSectionHeader, 48, 4, UINT32_MAX, kDcsrErrorSections},
    {"plane_bytes 0", kDcsr, kSectionHeader, 48, 4, 0, kDcsrErrorSections},
    {"plane_bytes one more", kDcsr, kSectionHeader, 48, 4, 2, kDcsrErrorIndex},
    {"plane_bytes of offset8", kOffset8, kSectionHeader, 48, 4, 1, kDcsrErrorHeader},
    {"plane_bytes of rle", kRle, kSectionHeader, 48, 4, 1, kDcsrErrorHeader},
    {"plane_bytes of dense", kDense, kSectionHeader, 48, 4, 1, kDcsrErrorHeader},

    {"first multiplier -1", kDcsr, kSectionMultiplier, 0, 4, UINT32_MAX, kDcsrErrorRequantize},
    {"last multiplier -2^31", kDcsr, kSectionMultiplier, 8, 4, UINT32_C(1) << 31, kDcsrErrorRequantize},
    {"multiplier of dense -1", kDense, kSectionMultiplier, 4, 4, UINT32_MAX, kDcsrErrorRequantize},
    {"first shift 31", kDcsr, kSectionShift, 0, 1, 31, kDcsrErrorRequantize},
    {"last shift -32", kDcsr, kSectionShift, 2, 1, (uint32_t)-32, kDcsrErrorRequantize},
    {"shift of dense 127", kDense, kSectionShift, 1, 1, 127, kDcsrErrorRequantize},
    {"shift of rle -128", kRle, kSectionShift, 1, 1, 128, kDcsrErrorRequantize},

    {"row_length above cols", kDcsr, kSectionRowLength, 0, 1, kCols + 1, kDcsrErrorRowLength},
    {"row_length one more", kDcsr, kSectionRowLength, 1, 1, 1, kDcsrErrorRowLength},
    {"row_length one less", kDcsr, kSectionRowLength, 2, 1, 19, kDcsrErrorRowLength},
    {"row_length exchanged", kDcsr, kSectionRowLength, 0, 4, 0 | 3 << 8 | 20 << 16, kDcsrOk},
    {"row_length moved", kDcsr, kSectionRowLength, 0, 4, 4 | 0 << 8 | 19 << 16, kDcsrErrorIndex},
    {"row_length 2^32 - 1", kDcsrEscapes, kSectionRowLength, 4, 4, UINT32_MAX, kDcsrErrorRowLength},
    {"row_length 2^31", kDcsrEscapes, kSectionRowLength, 0, 4, UINT32_C(1) << 31, kDcsrErrorRowLength},
    {"row_length of rle 2^16 - 1", kRle, kSectionRowLength, 2, 2, 0xFFFF, kDcsrErrorRowLength},
    {"row_length of rle one more", kRle, kSectionRowLength, 2, 2, 1, kDcsrErrorRowLength},

    // Row 0 is step -4, 1 plane: columns 1, 9, 38 of 0 .. 39.
    {"columns one less", kDcsr, kSectionIndex, 0, 2, 0xFFB1, kDcsrOk},
    {"column -1", kDcsr, kSectionIndex, 0, 2, 0xFFA1, kDcsrErrorIndex},
    {"columns one more", kDcsr, kSectionIndex, 0, 2, 0xFFD1, kDcsrOk},
    {"column 40", kDcsr, kSectionIndex, 0, 2, 0xFFE1, kDcsrErrorIndex},
    {"step of 2047", kDcsr, kSectionIndex, 0, 2, 0x7FF1, kDcsrErrorIndex},
    {"a plane too few", kDcsr, kSectionIndex, 0, 2, 0xFFC0, kDcsrErrorIndex},
    {"a plane too many", kDcsr, kSectionIndex, 0, 2, 0xFFC2, kDcsrErrorIndex},
    {"15 planes in the last group", kDcsr, kSectionIndex, 4, 2, 0x000F, kDcsrErrorIndex},
    {"second group on the first", kDcsr, kSectionIndex, 4, 2, 0xFFE0, kDcsrErrorIndex},
    {"second group one less", kDcsr, kSectionIndex, 4, 2, 0xFFF0, kDcsrOk},
    {"second group one more", kDcsr, kSectionIndex, 4, 2, 0x0010, kDcsrOk},
    {"second group two more", kDcsr, kSectionIndex, 4, 2, 0x0020, kDcsrErrorIndex},
    {"escape at the end", kDcsr, kSectionIndex, 4, 2, 0x8000, kDcsrErrorIndex},
    {"escape in the middle", kDcsr, kSectionIndex, 2, 2, 0x8000, kDcsrErrorIndex},
    {"escaped base as step", kDcsrEscapes, kSectionIndex, 0, 2, 0xFFC1, kDcsrErrorIndex},
    {"base 2^24 + 1", kDcsrEscapes, kSectionIndex, 2, 4, (1 << 24) + 1, kDcsrErrorIndex},
    {"base -2^24 - 1", kDcsrEscapes, kSectionIndex, 2, 4, (uint32_t)(-(1 << 24) - 1), kDcsrErrorIndex},
    {"base 2^24", kDcsrEscapes, kSectionIndex, 2, 4, 1 << 24, kDcsrErrorIndex},
    {"base 2^31 - 1", kDcsrEscapes, kSectionIndex, 2, 4, INT32_MAX, kDcsrErrorIndex},
    {"base -2^31", kDcsrEscapes, kSectionIndex, 2, 4, UINT32_C(1) << 31, kDcsrErrorIndex},
    {"last base 2^31 - 1", kDcsrEscapes, kSectionIndex, 14, 4, INT32_MAX, kDcsrErrorIndex},
    {"delta to the next column", kDcsr, kSectionDelta, 0, 1, 0x0D, kDcsrErrorIndex},
    {"delta before the next column", kDcsr, kSectionDelta, 0, 1, 0x0C, kDcsrOk},
    {"delta of the last element", kDcsr, kSectionDelta, 11, 1, 0x10, kDcsrOk},
    {"delta behind the last column", kDcsr, kSectionDelta, 11, 1, 0x20, kDcsrErrorIndex},
    {"plane behind the next column", kDcsr, kSectionPlane, 0, 1, 0x01, kDcsrErrorIndex},

    // Row 0 is base 1 and deltas 0, 8, 37.
    {"byte delta in the last column", kDcsrBytes, kSectionDelta, 2, 1, 38, kDcsrOk},
    {"byte delta behind the last column", kDcsrBytes, kSectionDelta, 2, 1, 39, kDcsrErrorIndex},
    {"byte delta 255", kDcsrBytes, kSectionDelta, 2, 1, 255, kDcsrErrorIndex},
    {"byte delta on the column before", kDcsrBytes, kSectionDelta, 1, 1, 0, kDcsrErrorIndex},
    {"byte delta of the last element", kDcsrBytes, kSectionDelta, 22, 1, 8, kDcsrErrorIndex},
    {"column -1 of byte deltas", kDcsrBytes, kSectionIndex, 0, 2, 0xFFF0, kDcsrErrorIndex},
    {"a plane with byte deltas", kDcsrBytes, kSectionIndex, 0, 2, 0x0011, kDcsrErrorIndex},
    {"escape with byte deltas", kDcsrBytes, kSectionIndex, 4, 2, 0x8000, kDcsrErrorIndex},
    {"second byte group on the first", kDcsrBytes, kSectionIndex, 4, 2, 0xFFE0, kDcsrErrorIndex},
    // Row 2 is base 0 and then base 32, offsets 0, 2, 4, 6.
    {"offset in the last column", kOffset8, kSectionDelta, 2, 1, 38, kDcsrOk},
    {"offset behind the last column", kOffset8, kSectionDelta, 2, 1, 39, kDcsrErrorIndex},
    {"first offset behind the last column", kOffset8, kSectionDelta, 0, 1, 39, kDcsrErrorIndex},
    {"offset of the last element", kOffset8, kSectionDelta, 22, 1, 8, kDcsrErrorIndex},
    {"offset 255", kOffset8, kSectionDelta, 10, 1, 255, kDcsrErrorIndex},
    {"column twice", kOffset8, kSectionDelta, 1, 1, 0, kDcsrOk},
    {"columns backwards", kOffset8, kSectionDelta, 3, 4, 0x00020406, kDcsrOk},
    {"second offset group on the first", kOffset8, kSectionIndex, 4, 2, 0, kDcsrOk},
    {"base in the last column", kOffset8, kSectionIndex, 4, 2, 33, kDcsrOk},
    {"base one too far", kOffset8, kSectionIndex, 4, 2, 34, kDcsrErrorIndex},
    {"step 65535", kOffset8, kSectionIndex, 4, 2, 65535, kDcsrErrorIndex},
    {"first step 65535", kOffset8, kSectionIndex, 0, 2, 65535, kDcsrErrorIndex},
    {"row_length of offset8 moved, a group more", kOffset8, kSectionRowLength, 0, 4, 3 | 3 << 8 | 17 << 16, kDcsrErrorIndex},
    {"row_length of offset8 moved, a group fewer", kOffset8, kSectionRowLength, 0, 4, 7 | 0 << 8 | 16 << 16, kDcsrErrorIndex},
    {"row_length of offset8 moved, as many groups", kOffset8, kSectionRowLength, 0, 4, 4 | 0 << 8 | 19 << 16, kDcsrOk},

    {"gap behind the last column", kRle, kSectionIndex, 1, 1, 0xFF, kDcsrErrorIndex},
    {"last gap behind the last column", kRle, kSectionIndex, 11, 1, 0x31, kDcsrErrorIndex},
    {"last gap in the last column", kRle, kSectionIndex, 11, 1, 0x21, kDcsrOk},

    // Row lengths 3, 0, 20 have 5 bits each. Row 0 has gaps 1, 7, 28 with remainders of 3 bits: quotients
    // 0, 0, 3, remainders 1, 7, 4. Row 2 has gaps 0, 1, 1 ... without remainders.
    {"rice with row_length_bytes", kRice, kSectionHeader, 35, 1, 1, kDcsrErrorHeader},
    {"index_parameter of rice 0", kRice, kSectionHeader, 36, 1, 0, kDcsrErrorHeader},
    {"index_parameter of rice 33", kRice, kSectionHeader, 36, 1, 33, kDcsrErrorHeader},
    {"index_parameter of rice, same bits", kRice, kSectionHeader, 36, 1, 14, kDcsrOk},
    {"index_parameter of rice, more bits", kRice, kSectionHeader, 36, 1, 32, kDcsrErrorIndex},
    {"index_parameter of rice, fewer bits", kRice, kSectionHeader, 36, 1, 1, kDcsrErrorIndex},
    {"row_length_bits 19", kRice, kSectionHeader, 37, 1, 19, kDcsrErrorHeader},
    {"row_length_bits 18", kRice, kSectionHeader, 37, 1, 18, kDcsrErrorSections},
    {"row_length_bits 0", kRice, kSectionHeader, 37, 1, 0, kDcsrErrorSections},
    {"row_length_bits one less", kRice, kSectionHeader, 37, 1, 4, kDcsrErrorRowLength},
    {"raw_bits of plain values", kRice, kSectionHeader, 38, 1, 1, kDcsrErrorHeader},
    {"depth multiplier 1 of rice", kRice, kSectionHeader, 39, 1, 1, kDcsrErrorHeader},
    {"value_bytes of plain values", kRice, kSectionHeader, 56, 4, 24, kDcsrErrorHeader},
    {"elements of rice, more than bits", kRice, kSectionHeader, 20, 4, 49, kDcsrErrorHeader},
    {"index_bytes of rice one less", kRice, kSectionHeader, 40, 4, 5, kDcsrErrorIndex},
    {"index_bytes of rice one more", kRice, kSectionHeader, 40, 4, 7, kDcsrErrorIndex},
    {"delta_bytes of rice one less", kRice, kSectionHeader, 44, 4, 1, kDcsrErrorIndex},
    {"delta_bytes of rice one more", kRice, kSectionHeader, 44, 4, 3, kDcsrErrorIndex},
    {"plane_bytes of rice", kRice, kSectionHeader, 48, 4, 1, kDcsrErrorHeader},
    {"row_length of rice above cols", kRice, kSectionRowLength, 0, 2, 41, kDcsrErrorRowLength},
    {"row_length of rice one more", kRice, kSectionRowLength, 0, 1, 4, kDcsrErrorRowLength},
    {"row_length of rice moved", kRice, kSectionRowLength, 0, 2, 4 | 19 << 10, kDcsrOk},
    {"row_length of rice, unused bit", kRice, kSectionRowLength, 0, 2, 3 | 20 << 10 | 1 << 15, kDcsrOk},
    {"quotients, a one too few", kRice, kSectionIndex, 0, 1, 0x62, kDcsrErrorIndex},
    {"quotients, no ones", kRice, kSectionIndex, 0, 8, 0, kDcsrErrorIndex},
    {"quotients, all ones", kRice, kSectionIndex, 0, 6, UINT64_C(0xFFFFFFFFFFFF), kDcsrErrorIndex},
    {"quotient 3 moved", kRice, kSectionIndex, 0, 1, 0x71, kDcsrOk},
    {"quotient 3 becomes 4", kRice, kSectionIndex, 0, 1, 0xC3, kDcsrErrorIndex},
    {"quotients, unused bits", kRice, kSectionIndex, 5, 1, 0xF5, kDcsrOk},
    {"remainder in the last column", kRice, kSectionDelta, 0, 1, 0x79, kDcsrOk},
    {"remainder behind the last column", kRice, kSectionDelta, 0, 1, 0xB9, kDcsrErrorIndex},
    {"remainders, unused bits", kRice, kSectionDelta, 1, 1, 0xFF, kDcsrOk},

    {"bitmap with row_length_bytes", kBitmap, kSectionHeader, 35, 1, 1, kDcsrErrorHeader},
    {"bitmap with index_parameter", kBitmap, kSectionHeader, 36, 1, 1, kDcsrErrorHeader},
    {"bitmap with row_length_bits", kBitmap, kSectionHeader, 37, 1, 1, kDcsrErrorHeader},
    {"index_bytes of bitmap one less", kBitmap, kSectionHeader, 40, 4, 14, kDcsrErrorHeader},
    {"index_bytes of bitmap one more", kBitmap, kSectionHeader, 40, 4, 16, kDcsrErrorHeader},
    {"delta_bytes of bitmap", kBitmap, kSectionHeader, 44, 4, 1, kDcsrErrorHeader},
    {"plane_bytes of bitmap", kBitmap, kSectionHeader, 48, 4, 1, kDcsrErrorHeader},
    {"cols of bitmap, a one too few", kBitmap, kSectionHeader, 16, 4, 39, kDcsrErrorRowLength},
    {"bitmap, a one too many", kBitmap, kSectionIndex, 0, 1, 0x03, kDcsrErrorRowLength},
    {"bitmap, a one too few", kBitmap, kSectionIndex, 14, 1, 0x15, kDcsrErrorRowLength},
    {"bitmap, a one elsewhere", kBitmap, kSectionIndex, 0, 1, 0x01, kDcsrOk},
    {"bitmap, a one in another row", kBitmap, kSectionIndex, 4, 2, 0x0100, kDcsrOk},

    {"value_coding 2", kHuffman, kSectionHeader, 7, 1, 2, kDcsrErrorHeader},
    {"huffman as plain", kHuffman, kSectionHeader, 7, 1, 0, kDcsrErrorHeader},
    {"raw_bits 5", kHuffman, kSectionHeader, 38, 1, 5, kDcsrErrorHeader},
    {"raw_bits 4 instead of 3", kHuffman, kSectionHeader, 38, 1, 4, kDcsrErrorValues},
    {"value_bytes 0", kHuffman, kSectionHeader, 56, 4, 0, kDcsrErrorHeader},
    {"value_bytes without codes", kHuffman, kSectionHeader, 56, 4, 16, kDcsrErrorHeader},
    {"value_bytes for elements of less than a bit", kHuffman, kSectionHeader, 56, 4, 18, kDcsrErrorHeader},
    {"value_bytes for elements of a bit", kHuffman, kSectionHeader, 56, 4, 19, kDcsrErrorSections},
    {"value_bytes 2^32 - 1", kHuffman, kSectionHeader, 56, 4, UINT32_MAX, kDcsrErrorSections},
    {"raw bits, others", kHuffman, kSectionValues, 0, 1, 0x97, kDcsrOk},
};
// clang-format on

static void test_each_corruption_has_its_status(void) {
  for (size_t i = 0; i < sizeof(kCorruptions) / sizeof(kCorruptions[0]); ++i) {
    const Corruption* c = &kCorruptions[i];
    PackedBlob blob = make_blob(c->blob);
    const size_t offset = blob.offset[c->section] + c->offset;
    bool changes = false;
    for (uint32_t k = 0; k < c->width; ++k) {
      const uint8_t byte = (uint8_t)(c->value >> (8 * k));
      changes = changes || blob.data[offset + k] != byte;
      blob.data[offset + k] = byte;
    }
    CHECK(changes, "%s: changes nothing", c->what);
    DcsrLayer layer;
    const DcsrStatus status = parse_and_validate(blob.data, blob.size, &layer);
    CHECK(status == c->expected, "%s: expected '%s', is '%s'", c->what,
          dcsr_status_string(c->expected), dcsr_status_string(status));
    free_packed_blob(&blob);
  }
}

static void test_untouched_blobs_are_valid(void) {
  for (BlobKind kind = kDense; kind < kBlobCount; ++kind) {
    PackedBlob blob = make_blob(kind);
    DcsrLayer layer;
    const DcsrStatus status = parse_and_validate(blob.data, blob.size, &layer);
    CHECK(status == kDcsrOk, "blob %d: %s", (int)kind, dcsr_status_string(status));
    free_packed_blob(&blob);
  }
}

static void store_u32(uint8_t* p, size_t value) {
  for (uint32_t i = 0; i < 4; ++i) p[i] = (uint8_t)(value >> (8 * i));
}

static size_t padded(size_t size) { return (size + 3) / 4 * 4; }

// Copies `blob` so that section `section` has `bytes` bytes and the header agrees.
// Returns the size of the copy.
static size_t resize_section(const PackedBlob* blob, Section section, size_t bytes,
                             uint8_t** copy) {
  const size_t begin = blob->offset[section];
  const size_t end = blob->offset[section + 1];  // padding included
  const size_t size = blob->size - (end - begin) + padded(bytes);
  const size_t kept = bytes < end - begin ? bytes : end - begin;
  *copy = (uint8_t*)calloc(size, 1);
  if (*copy == NULL) abort();
  memcpy(*copy, blob->data, begin + kept);
  memcpy(*copy + begin + padded(bytes), blob->data + end, blob->size - end);
  store_u32(*copy + 8, size);
  store_u32(*copy + 40 + 4 * (section - kSectionIndex), bytes);
  return size;
}

static void test_every_stream_has_to_end_with_the_rows(void) {
  static const BlobKind kKinds[] = {kDcsr, kDcsrEscapes, kDcsrDiagonal, kDcsrBytes};
  for (size_t k = 0; k < sizeof(kKinds) / sizeof(kKinds[0]); ++k) {
    PackedBlob blob = make_blob(kKinds[k]);
    for (int section = kSectionIndex; section <= kSectionPlane; ++section) {
      const uint8_t* field = blob.data + 40 + 4 * (section - kSectionIndex);
      const size_t right = (size_t)field[0] | (size_t)field[1] << 8;
      for (size_t bytes = 0; bytes < right + 10; ++bytes) {
        uint8_t* data;
        const size_t size = resize_section(&blob, (Section)section, bytes, &data);
        DcsrLayer layer;
        const DcsrStatus status = parse_and_validate(data, size, &layer);
        CHECK(status == (bytes == right ? kDcsrOk : kDcsrErrorIndex),
              "blob %d, section %d, %u instead of %u bytes: %s", (int)kKinds[k], section,
              (unsigned)bytes, (unsigned)right, dcsr_status_string(status));
        free(data);
      }
    }
    free_packed_blob(&blob);
  }
}

static void test_steps_of_offset8_have_to_end_with_the_rows(void) {
  PackedBlob blob = make_blob(kOffset8);
  for (size_t bytes = 0; bytes < 16; ++bytes) {
    uint8_t* data;
    const size_t size = resize_section(&blob, kSectionIndex, bytes, &data);
    DcsrLayer layer;
    const DcsrStatus status = parse_and_validate(data, size, &layer);
    CHECK(status == (bytes == 6 ? kDcsrOk : kDcsrErrorIndex), "%u bytes: %s", (unsigned)bytes,
          dcsr_status_string(status));
    free(data);
  }
  free_packed_blob(&blob);
}

enum { kLengthBytes = 16 };  // of a code with 3 raw bits

// Copies a blob with Huffman-coded values, with `code_bytes` bytes of codes, and with the code
// lengths `lengths` if these are not NULL. Returns the size of the copy.
static size_t change_codes(const PackedBlob* blob, size_t code_bytes, const uint8_t* lengths,
                           uint8_t** copy) {
  const size_t begin = blob->offset[kSectionValues];
  const size_t right = blob->data[56] - kLengthBytes;
  const size_t size = begin + padded(code_bytes + kLengthBytes);
  *copy = (uint8_t*)calloc(size, 1);
  if (*copy == NULL) abort();
  memcpy(*copy, blob->data, begin + (code_bytes < right ? code_bytes : right));
  memcpy(*copy + begin + code_bytes, lengths != NULL ? lengths : blob->data + begin + right,
         kLengthBytes);
  store_u32(*copy + 8, size);
  store_u32(*copy + 56, code_bytes + kLengthBytes);
  return size;
}

static void test_codes_have_to_end_with_the_rows(void) {
  static const BlobKind kKinds[] = {kHuffman, kHuffmanBytes, kHuffmanDense};
  for (size_t k = 0; k < sizeof(kKinds) / sizeof(kKinds[0]); ++k) {
    PackedBlob blob = make_blob(kKinds[k]);
    const size_t elements = kKinds[k] == kHuffmanDense ? kRows * kCols : kElements;
    const size_t right = blob.data[56] - kLengthBytes;
    for (size_t bytes = 0; bytes < right + 10; ++bytes) {
      uint8_t* data;
      const size_t size = change_codes(&blob, bytes, NULL, &data);
      DcsrLayer layer;
      const DcsrStatus status = parse_and_validate(data, size, &layer);
      const DcsrStatus expected = bytes == right         ? kDcsrOk
                                  : 8 * bytes < elements ? kDcsrErrorHeader
                                                         : kDcsrErrorValues;
      CHECK(status == expected, "blob %d, %u instead of %u bytes: %s", (int)kKinds[k],
            (unsigned)bytes, (unsigned)right, dcsr_status_string(status));
      free(data);
    }
    free_packed_blob(&blob);
  }
}

// Code lengths of symbols 0 and 1. The codes of the next `rest` symbols have `rest_bits` bits, 8 if
// that is 0.
typedef struct {
  const char* what;
  uint8_t first;
  uint8_t second;
  uint32_t rest;
  bool complete;
  uint8_t rest_bits;
} CodeLengths;

static void test_code_has_to_be_complete(void) {
  static const CodeLengths kLengths[] = {
      {"two of 1 bit", 1, 1, 0, true, 0},
      {"none", 0, 0, 0, false, 0},
      {"one of 1 bit", 1, 0, 0, false, 0},
      {"1 and 2 bits", 1, 2, 0, false, 0},
      {"three of 1 bit", 1, 1, 1, false, 0},
      {"3 and 3 bits and some", 3, 3, 30, false, 0},
      {"9 bits", 1, 9, 0, false, 0},
      {"15 bits", 15, 1, 0, false, 0},
      {"1, 2 and 8 bits", 1, 2, 30, false, 0},
      {"1, 3, and 8 bits", 1, 3, 30, false, 0},
      {"too many bits", 1, 1, 30, false, 0},
      {"2, 1, and 8 bits", 2, 1, 30, false, 0},
      {"two of 1 bit and two of 9", 1, 1, 2, false, 9},
      {"two of 1 bit and two of 15", 1, 1, 2, false, 15},
  };
  PackedBlob blob = make_blob(kHuffman);
  for (size_t i = 0; i < sizeof(kLengths) / sizeof(kLengths[0]); ++i) {
    const CodeLengths* c = &kLengths[i];
    uint8_t lengths[kLengthBytes] = {0};
    lengths[0] = (uint8_t)(c->first | c->second << 4);
    const uint32_t rest_bits = c->rest_bits != 0 ? c->rest_bits : 8;
    for (uint32_t s = 2; s < 2 + c->rest; ++s) {
      lengths[s / 2] = (uint8_t)(lengths[s / 2] | rest_bits << (s % 2 * 4));
    }
    // An element takes 4 bits: 1 bit of code and 3 raw bits.
    uint8_t* data;
    const size_t size = change_codes(&blob, (4 * kElements + 7) / 8, lengths, &data);
    DcsrLayer layer;
    const DcsrStatus status = parse_and_validate(data, size, &layer);
    CHECK(status == (c->complete ? kDcsrOk : kDcsrErrorValues), "%s: %s", c->what,
          dcsr_status_string(status));
    free(data);
  }
  free_packed_blob(&blob);
}

// Five rows of one element. The index stream has 2 bytes, an escape. The bytes
// after it read as further escapes; the last one ends the blob.
static void test_escape_is_not_read_behind_the_blob(void) {
  enum { kFive = 5, kIndex = kDcsrHeaderBytes + 4 * kFive + 4 + 4 + 8, kSize = kIndex + 20 };
  static const uint8_t kStreams[20] = {0x00, 0x80, 5,    0,    0, 0, 0x00, 0x80, 5,    0,
                                       0,    0,    0x00, 0x80, 5, 0, 0,    0,    0x00, 0x80};
  uint8_t* data = (uint8_t*)calloc(kSize, 1);
  if (data == NULL) abort();
  memcpy(data, kHandmadeDcsr, kDcsrHeaderBytes);
  store_u32(data + 8, kSize);
  store_u32(data + 12, kFive);
  store_u32(data + 20, kFive);
  store_u32(data + 40, 2);
  store_u32(data + 44, kFive);
  store_u32(data + 48, 0);
  memset(data + kIndex - 8, 1, kFive);  // row lengths
  memcpy(data + kIndex, kStreams, sizeof(kStreams));
  DcsrLayer layer;
  const DcsrStatus status = parse_and_validate(data, kSize, &layer);
  CHECK(status == kDcsrErrorIndex, "%s", dcsr_status_string(status));
  free(data);
}

enum { kWideRows = 1 << 15, kWideCols = 1 << 17 };  // 2^32 weights

// Makes an rle layer with one element: -1 in the last row, column 15.
static uint8_t* make_wide_blob(size_t* size) {
  const size_t row_length = kDcsrHeaderBytes + 4 * kWideRows + 4 + 4;
  const size_t index = row_length + 4 * kWideRows;
  *size = index + 4 + 4;
  uint8_t* data = (uint8_t*)calloc(*size, 1);
  if (data == NULL) abort();
  memcpy(data, kHandmadeRle, kDcsrHeaderBytes);
  store_u32(data + 8, *size);
  store_u32(data + 12, kWideRows);
  store_u32(data + 16, kWideCols);
  store_u32(data + 20, 1);
  data[35] = 4;
  store_u32(data + 40, 1);
  store_u32(data + index - 4, 1);
  data[index] = 15;
  data[index + 4] = 0xFF;
  return data;
}

static void test_number_of_weights_does_not_wrap(void) {
  size_t size;
  uint8_t* data = make_wide_blob(&size);
  DcsrLayer layer;
  DcsrStatus status = parse_and_validate(data, size, &layer);
  CHECK(status == kDcsrErrorHeader, "%s", dcsr_status_string(status));

  // As a dense layer, whose 2^32 elements wrap to 0.
  data[6] = kDcsrEncodingDense;
  data[35] = 0;
  store_u32(data + 20, 0);
  store_u32(data + 40, 0);
  store_u32(data + 8, size - 4 * kWideRows - 8);
  status = parse_and_validate(data, size, &layer);
  CHECK(status == kDcsrErrorHeader, "%s", dcsr_status_string(status));
  free(data);
}

// Filter fields of a convolution with 40 columns, and the expected result of the parser.
typedef struct {
  uint8_t filter_h;
  uint8_t filter_w;
  uint8_t dilation_h;
  uint8_t dilation_w;
  DcsrStatus status;
  uint32_t channels;
} FilterField;

static const FilterField kFilterFields[] = {
    {0, 0, 0, 0, kDcsrOk, 40},         {1, 1, 1, 1, kDcsrErrorHeader, 0},
    {2, 4, 1, 1, kDcsrOk, 5},          {40, 1, 255, 255, kDcsrOk, 1},
    {1, 20, 1, 7, kDcsrOk, 2},         {3, 3, 1, 1, kDcsrErrorHeader, 0},
    {0, 2, 1, 1, kDcsrErrorHeader, 0}, {2, 0, 1, 1, kDcsrErrorHeader, 0},
    {2, 2, 0, 1, kDcsrErrorHeader, 0}, {2, 2, 1, 0, kDcsrErrorHeader, 0},
    {1, 1, 2, 2, kDcsrErrorHeader, 0}, {255, 255, 1, 1, kDcsrErrorHeader, 0},
};

static void test_filter_divides_the_columns(void) {
  for (size_t i = 0; i < sizeof(kFilterFields) / sizeof(kFilterFields[0]); ++i) {
    const FilterField* field = &kFilterFields[i];
    PackedBlob blob = make_blob(kDcsr);
    blob.data[60] = field->filter_h;
    blob.data[61] = field->filter_w;
    blob.data[62] = field->dilation_h;
    blob.data[63] = field->dilation_w;
    const bool is_1x1 = field->filter_h == 0;
    if (!is_1x1) blob.data[34] |= 4;
    DcsrLayer layer;
    const DcsrStatus status = parse_and_validate(blob.data, blob.size, &layer);
    CHECK(status == field->status, "filter %u: %s", (unsigned)i, dcsr_status_string(status));
    if (status == kDcsrOk && field->status == kDcsrOk) {
      CHECK(layer.filter_h == (is_1x1 ? 1 : field->filter_h), "filter %u", (unsigned)i);
      CHECK(layer.filter_w == (is_1x1 ? 1 : field->filter_w), "filter %u", (unsigned)i);
      CHECK(layer.dilation_h == (is_1x1 ? 1 : field->dilation_h), "filter %u", (unsigned)i);
      CHECK(layer.dilation_w == (is_1x1 ? 1 : field->dilation_w), "filter %u", (unsigned)i);
      CHECK(layer.channels == field->channels, "filter %u", (unsigned)i);
      CHECK(layer.same_padding == !is_1x1, "filter %u", (unsigned)i);
    }
    free_packed_blob(&blob);
  }
}

static void test_int16_activations_have_no_zero_points_and_a_bias_of_64_bits(void) {
  static const int8_t kWeights[4] = {1, 0, 0, -128};
  static const int64_t kBias[2] = {INT64_C(-0x123456789A), INT64_C(0x7FFF00000001)};
  static const int32_t kMultiplier[2] = {0, INT32_MAX};
  static const int8_t kShift[2] = {-31, 7};
  const DenseLayer dense = {.op = kDcsrOpFullyConnected,
                            .rows = 2,
                            .cols = 2,
                            .activation_min = -32768,
                            .activation_max = 32767,
                            .stride_h = 1,
                            .stride_w = 1,
                            .per_row = true,
                            .weights = kWeights,
                            .multiplier = kMultiplier,
                            .shift = kShift,
                            .int16_bias = kBias};
  const PackOptions options = {.encoding = kDcsrEncodingDcsr};
  PackedBlob blob = pack_layer(&dense, &options);
  DcsrLayer layer;
  CHECK(parse_and_validate(blob.data, blob.size, &layer) == kDcsrOk, "untouched");
  CHECK(layer.int16_activations && layer.activation_min == -32768, "%d", (int)layer.activation_min);
  CHECK(layer.bias_int64[0].low == 0xCBA98766 && layer.bias_int64[0].high == -0x13, "%lx %lx",
        (unsigned long)layer.bias_int64[0].low, (unsigned long)layer.bias_int64[0].high);
  CHECK(layer.bias_int64[1].low == 1 && layer.bias_int64[1].high == 0x7FFF, "row 1");

  static const struct {
    size_t offset;
    uint8_t value;
    DcsrStatus expected;
  } kSpoilt[] = {
      {24, 1, kDcsrErrorHeader},     // zero points
      {26, 255, kDcsrErrorHeader},   //
      {29, 0x7F, kDcsrOk},           // activation_min becomes 32512
      {31, 0x80, kDcsrErrorHeader},  // activation_max below it
      {34, 1, kDcsrErrorHeader},     // int8 with a clamp of int16
      {34, 9, kDcsrErrorHeader},
  };
  for (size_t i = 0; i < sizeof(kSpoilt) / sizeof(kSpoilt[0]); ++i) {
    const uint8_t before = blob.data[kSpoilt[i].offset];
    blob.data[kSpoilt[i].offset] = kSpoilt[i].value;
    const DcsrStatus status = parse_and_validate(blob.data, blob.size, &layer);
    CHECK(status == kSpoilt[i].expected, "%u: %s", (unsigned)i, dcsr_status_string(status));
    if (kSpoilt[i].expected != kDcsrOk) blob.data[kSpoilt[i].offset] = before;
  }
  blob.data[blob.offset[kSectionShift] + 1] = 8;
  CHECK(parse_and_validate(blob.data, blob.size, &layer) == kDcsrErrorRequantize, "shift 8");
  free_packed_blob(&blob);
}

static void test_every_shorter_blob_is_truncated(void) {
  for (BlobKind kind = kDense; kind < kBlobCount; ++kind) {
    PackedBlob blob = make_blob(kind);
    for (size_t size = 0; size < blob.size; ++size) {
      uint8_t* data = (uint8_t*)malloc(size + 1);  // malloc(0) may be NULL
      if (data == NULL) abort();
      memcpy(data, blob.data, size);
      DcsrLayer layer;
      const DcsrStatus status = dcsr_layer_parse(data, size, &layer);
      CHECK(status == kDcsrErrorTruncated, "blob %d, %u of %u bytes: %s", (int)kind, (unsigned)size,
            (unsigned)blob.size, dcsr_status_string(status));
      free(data);
    }
    free_packed_blob(&blob);
  }
}

static void test_tensor_may_be_larger_than_the_layer(void) {
  PackedBlob blob = make_blob(kDcsr);
  uint8_t* data = (uint8_t*)malloc(blob.size + 5);
  if (data == NULL) abort();
  memset(data, 0xFF, blob.size + 5);
  memcpy(data, blob.data, blob.size);
  DcsrLayer layer;
  const DcsrStatus status = parse_and_validate(data, blob.size + 5, &layer);
  CHECK(status == kDcsrOk, "%s", dcsr_status_string(status));
  free(data);
  free_packed_blob(&blob);
}

static void test_unaligned_blob_is_refused(void) {
  PackedBlob blob = make_blob(kDcsr);
  uint8_t* data = (uint8_t*)malloc(blob.size + 3);
  if (data == NULL) abort();
  for (size_t offset = 1; offset < 4; ++offset) {
    memcpy(data + offset, blob.data, blob.size);
    DcsrLayer layer;
    const DcsrStatus status = dcsr_layer_parse(data + offset, blob.size, &layer);
    CHECK(status == kDcsrErrorAlignment, "offset %u: %s", (unsigned)offset,
          dcsr_status_string(status));
  }
  free(data);
  free_packed_blob(&blob);
}

static void test_every_status_has_its_own_string(void) {
  for (int a = kDcsrOk; a <= kDcsrErrorValues + 1; ++a) {
    const char* string = dcsr_status_string((DcsrStatus)a);
    CHECK(string != NULL && string[0] != '\0', "status %d", a);
    for (int b = kDcsrOk; b < a; ++b) {
      CHECK(strcmp(string, dcsr_status_string((DcsrStatus)b)) != 0, "status %d and %d", a, b);
    }
  }
}

int main(void) {
  RUN_TEST(test_handmade_dcsr_layer);
  RUN_TEST(test_handmade_rle_layer);
  RUN_TEST(test_handmade_byte_delta_layer);
  RUN_TEST(test_handmade_offset8_layer);
  RUN_TEST(test_handmade_rice_layer);
  RUN_TEST(test_handmade_bitmap_layer);
  RUN_TEST(test_untouched_blobs_are_valid);
  RUN_TEST(test_each_corruption_has_its_status);
  RUN_TEST(test_every_stream_has_to_end_with_the_rows);
  RUN_TEST(test_steps_of_offset8_have_to_end_with_the_rows);
  RUN_TEST(test_codes_have_to_end_with_the_rows);
  RUN_TEST(test_code_has_to_be_complete);
  RUN_TEST(test_escape_is_not_read_behind_the_blob);
  RUN_TEST(test_number_of_weights_does_not_wrap);
  RUN_TEST(test_filter_divides_the_columns);
  RUN_TEST(test_int16_activations_have_no_zero_points_and_a_bias_of_64_bits);
  RUN_TEST(test_every_shorter_blob_is_truncated);
  RUN_TEST(test_tensor_may_be_larger_than_the_layer);
  RUN_TEST(test_unaligned_blob_is_refused);
  RUN_TEST(test_every_status_has_its_own_string);
  return check_exit_status();
}
