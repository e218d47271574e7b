// The encoder of the kernel tests: packs a dense weight matrix into a layer. It implements
// docs/format.md and shares no code with the decoder. Allocates memory. Also the list of packings
// that tests iterate over.

#ifndef DCSR_TFLM_KERNELS_TESTING_PACK_H_
#define DCSR_TFLM_KERNELS_TESTING_PACK_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tflm_kernels/packed_layer.h"

#ifdef __cplusplus
extern "C" {
#endif

// The filter of a convolution; all 0 for a 1x1 filter.
typedef struct {
  uint32_t filter_h;
  uint32_t filter_w;
  uint32_t dilation_h;
  uint32_t dilation_w;
  bool same_padding;  // else VALID
} Window;

// A layer before compression, as in TFLite.
typedef struct {
  DcsrOp op;
  uint32_t rows;
  uint32_t cols;  // filter_h * filter_w * channels; DEPTHWISE_CONV_2D: filter_h * filter_w
  int32_t input_zero_point;
  int32_t output_zero_point;
  int32_t activation_min;
  int32_t activation_max;
  uint32_t stride_h;
  uint32_t stride_w;
  bool per_row;               // multiplier and shift are per row
  const int8_t* weights;      // [rows, cols]
  const int32_t* bias;        // [rows], not folded
  const int32_t* multiplier;  // [rows] or [1]
  const int8_t* shift;        // [rows] or [1]
  Window window;
  const int64_t* int16_bias;  // [rows]; if not NULL, activations are int16 and there is no `bias`
  uint32_t depth_multiplier;  // DEPTHWISE_CONV_2D; else 0
  bool int32_sums;            // with int16_bias, of which only the lower 32 bits count then
} DenseLayer;

// How to pack a layer. Except for `encoding`, the fields are choices that the format leaves to the
// encoder.
typedef struct {
  DcsrEncoding encoding;
  uint32_t row_length_bytes;  // 1, 2, 4; 0: as few as possible
  bool escape_every_base;     // dcsr
  bool byte_deltas;           // dcsr: base deltas of 8 bits instead of 4
  bool any_order;             // offset8: lanes backwards, fillers and bases anywhere allowed
  uint32_t rice_parameter;    // 1 .. 32; 0: 15
  bool wide_row_lengths;      // rice: 18 bits instead of as few as possible
  bool huffman;               // Huffman-code the values, with long codes for rare ones
  bool equal_codes;           // huffman: codes as equal in length as possible instead
  uint32_t raw_bits;          // huffman
  bool compact_rows;          // version 2; without effect on int16 or per-tensor layers
  bool checksum;              // version 2; without effect on shared rows
} PackOptions;

// The packings that tests iterate over: first one of each encoding with default options, in the
// order of DCSR_ALL_ENCODINGS; then the variants of dcsr that kernels treat differently, and
// compact rows; then the others. A test that takes long for each packing takes the first
// kFewPackingCount.
extern const PackOptions kPackings[];
extern const size_t kPackingCount;

#define DCSR_PLUS_ONE(Name, name, number) +1
enum { kEncodingCount = DCSR_ALL_ENCODINGS(DCSR_PLUS_ONE), kFewPackingCount = kEncodingCount + 4 };
#undef DCSR_PLUS_ONE

typedef enum {
  kSectionHeader,
  kSectionBias,
  kSectionMultiplier,
  kSectionShift,
  kSectionRowLength,
  kSectionIndex,
  kSectionDelta,
  kSectionPlane,
  kSectionValues,
  kSectionCount,
} Section;

// Counts the kinds of groups that were encoded, to check that the tests cover the format.
typedef struct {
  uint32_t lanes[kDcsrGroupLanes + 1];     // [n]: groups with n lanes
  uint32_t nonzeros[kDcsrGroupLanes + 1];  // offset8: [n]: groups with n lanes that are no fillers
  uint32_t planes[16];                     // dcsr: [n]: groups with n planes
  uint32_t escapes;
  uint32_t negative_bases;
} PackStatistics;

typedef struct {
  uint8_t* data;  // malloc of exactly `size` bytes, so that ASan detects reads past its end
  size_t size;
  size_t offset[kSectionCount];
  PackStatistics statistics;
} PackedBlob;

PackedBlob pack_layer(const DenseLayer* layer, const PackOptions* options);

// Adds a checksum to a packed layer with its own rows.
void add_checksum(PackedBlob* blob);

// Writes the right checksum into a packed layer that has one.
void correct_checksum(PackedBlob* blob);

// The scales of a layer with shared rows, as docs/format.md#shared-rows stores them.
typedef struct {
  const uint32_t* weight_scale;  // [rows] or [1], bits of a float32
  uint64_t ratio;
  int16_t exponent;
  bool has_bias;  // store the layer's bias, else 0
} SharedScales;

// A layer with shared rows.
typedef struct {
  PackedBlob own;
  PackedBlob shared;
} SharedBlobs;

// Packs a layer with shared rows. Its multipliers and shifts are ignored, and its bias without
// has_bias.
SharedBlobs pack_shared_layer(const DenseLayer* layer, const PackOptions* options,
                              const SharedScales* scales);

void free_shared_blobs(SharedBlobs* blobs);

// Whether row_length_bytes can hold the length of every row.
bool pack_row_length_fits(const DenseLayer* layer, const PackOptions* options);

// Gives a packed layer a layout. `offset` of the blob moves with its sections.
void add_layout(PackedBlob* blob, const DcsrLayout* layout);

void free_packed_blob(PackedBlob* blob);

#ifdef __cplusplus
}
#endif

#endif  // DCSR_TFLM_KERNELS_TESTING_PACK_H_
