// Packs a dense weight matrix into a layer: the encoder of the kernel tests,
// written from docs/format.md alone. It allocates.

#ifndef DCSR_TFLM_KERNELS_TESTING_PACK_H_
#define DCSR_TFLM_KERNELS_TESTING_PACK_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tflm_kernels/packed_layer.h"

#ifdef __cplusplus
extern "C" {
#endif

// A layer before compression, as TFLite has it.
typedef struct {
  DcsrOp op;
  uint32_t rows;
  uint32_t cols;
  int32_t input_zero_point;
  int32_t output_zero_point;
  int32_t activation_min;
  int32_t activation_max;
  uint32_t stride_h;
  uint32_t stride_w;
  bool per_row;               // of multiplier and shift
  const int8_t* weights;      // [rows, cols]
  const int32_t* bias;        // [rows], not folded
  const int32_t* multiplier;  // [rows] or [1]
  const int8_t* shift;        // [rows] or [1]
} DenseLayer;

// How to pack it. All but the encoding are choices that the format leaves open.
typedef struct {
  DcsrEncoding encoding;
  uint32_t row_length_bytes;  // 1, 2, 4; 0: the smallest that is wide enough
  bool escape_every_base;     // dcsr
  bool byte_deltas;           // dcsr: base deltas of 8 bits, not 4
  bool any_order;             // offset8: lanes backwards, fillers and bases anywhere
  uint32_t rice_parameter;    // 1 .. 32; 0: 15
  bool wide_row_lengths;      // rice: of 18 bits, not as few as possible
  bool huffman;               // values; long codes for rare ones, else as equal as they can be
  bool equal_codes;           // huffman
  uint32_t raw_bits;          // huffman
} PackOptions;

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

// What the encoders of groups came upon: whether the tests meet all of the format.
typedef struct {
  uint32_t lanes[kDcsrGroupLanes + 1];     // groups with so many lanes
  uint32_t nonzeros[kDcsrGroupLanes + 1];  // offset8: groups with so many that are no fillers
  uint32_t planes[16];                     // dcsr: groups with so many planes
  uint32_t escapes;
  uint32_t negative_bases;
} PackStatistics;

typedef struct {
  uint8_t* data;  // malloc of exactly `size` bytes, so that ASan sees its end
  size_t size;
  size_t offset[kSectionCount];
  PackStatistics statistics;
} PackedBlob;

PackedBlob pack_layer(const DenseLayer* layer, const PackOptions* options);

// Whether row_length_bytes can hold the length of every row.
bool pack_row_length_fits(const DenseLayer* layer, const PackOptions* options);

void free_packed_blob(PackedBlob* blob);

#ifdef __cplusplus
}
#endif

#endif  // DCSR_TFLM_KERNELS_TESTING_PACK_H_
