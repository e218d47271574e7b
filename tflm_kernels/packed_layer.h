// The packed layer: parsing and validation. Format: docs/format.md.
//
// dcsr_layer_parse() reads the header and finds the sections in constant time.
// dcsr_layer_validate() walks every stream once. Kernels accept a DcsrLayer for which both returned
// kDcsrOk. They then stay in bounds for any bytes of the blob, without further checks.
//
// The target has to be little-endian, as every Cortex-M that runs TFLM and x86-64 are.

#ifndef DCSR_TFLM_KERNELS_PACKED_LAYER_H_
#define DCSR_TFLM_KERNELS_PACKED_LAYER_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// The version of this library.
#define DCSR_VERSION_MAJOR 0
#define DCSR_VERSION_MINOR 1
#define DCSR_VERSION_PATCH 0
#define DCSR_VERSION_STRING "0.1.0"

#ifdef __cplusplus
extern "C" {
#endif

enum {
  kDcsrFormatVersion = 1,
  kDcsrFormatVersion2 = 2,  // with shared rows, compact rows or a checksum
  kDcsrHeaderBytes = 64,
  kDcsrLayoutBytes = 8,
  kDcsrMaxRows = 1 << 20,
  kDcsrMaxCols = (1 << 18) - 1,
  kDcsrMaxWeights = INT32_MAX,  // rows * cols
  kDcsrGroupLanes = 16,
};

typedef enum {
  kDcsrOpConv2d = 1,  // CONV_2D with any filter
  kDcsrOpFullyConnected = 2,
  kDcsrOpDepthwiseConv2d = 3,  // DEPTHWISE_CONV_2D with any filter; int8 activations only
} DcsrOp;

// The encodings, with their numbers in the header: the only list of them in C. The enum, the row
// reader and the lists of tests are made from it. docs/extending.md#an-encoding.
#define DCSR_ALL_ENCODINGS(E) \
  E(Dense, dense, 0)          \
  E(Dcsr, dcsr, 1)            \
  E(Rle, rle, 2)              \
  E(Offset8, offset8, 3)      \
  E(Rice, rice, 4)            \
  E(Bitmap, bitmap, 5)

#define DCSR_ENCODING_NUMBER(Name, name, number) kDcsrEncoding##Name = number,
typedef enum { DCSR_ALL_ENCODINGS(DCSR_ENCODING_NUMBER) } DcsrEncoding;
#undef DCSR_ENCODING_NUMBER

typedef enum {
  kDcsrValuesPlain = 0,
  kDcsrValuesHuffman = 1,
} DcsrValueCoding;

typedef enum {
  kDcsrOk = 0,
  kDcsrErrorAlignment,  // data is not at a multiple of 4
  kDcsrErrorTruncated,  // the blob ends before the layer does
  kDcsrErrorMagic,
  kDcsrErrorVersion,
  kDcsrErrorHeader,      // a header field is out of its range
  kDcsrErrorLayout,      // a field of the layout is out of its range
  kDcsrErrorSections,    // section sizes do not add up to total_bytes
  kDcsrErrorRequantize,  // multiplier or shift out of range
  kDcsrErrorRowLength,   // a row length exceeds cols, or their sum is not `elements`
  kDcsrErrorIndex,       // an index leaves the row, or a stream runs out or over
  kDcsrErrorValues,      // the code of the values is incomplete, or they run out or over
  kDcsrErrorDecoder,     // nothing is listed for the encoding, the coding of the values or layouts
  kDcsrErrorChecksum,    // the checksum is wrong, or there is none
} DcsrStatus;

// The functions that read one encoding, or one coding of the values (format/decoders.h).
typedef struct DcsrDecoder DcsrDecoder;
typedef struct DcsrValueDecoder DcsrValueDecoder;

// The unchecked ones do not link the validation. They are for dcsr_layer_check_sum():
// dcsr_layer_validate() refuses layers that need more than a check of their rows.
#define DCSR_DECLARE_DECODER(Name, name, number) \
  extern const DcsrDecoder kDcsr##Name##Decoder; \
  extern const DcsrDecoder kDcsr##Name##UncheckedDecoder;
DCSR_ALL_ENCODINGS(DCSR_DECLARE_DECODER)
#undef DCSR_DECLARE_DECODER
extern const DcsrValueDecoder kDcsrHuffmanDecoder;
extern const DcsrValueDecoder kDcsrHuffmanUncheckedDecoder;

#define DCSR_COUNT_ENCODING(Name, name, number) +1
enum { kDcsrEncodingCount = DCSR_ALL_ENCODINGS(DCSR_COUNT_ENCODING) };
#undef DCSR_COUNT_ENCODING

// The functions that check layouts (format/layout.c).
typedef struct DcsrLayouts DcsrLayouts;
extern const DcsrLayouts kDcsrLayouts;

// The encodings and layouts that a program reads. It links only the functions of those that its
// lists name, and layers of others are refused.
typedef struct {
  const DcsrDecoder* encoding[kDcsrEncodingCount];  // indexed by DcsrEncoding; NULL: none
  const DcsrValueDecoder* huffman;                  // NULL: none
  const DcsrLayouts* layouts;                       // NULL: activations in planes are refused
} DcsrDecoders;

extern const DcsrDecoders kDcsrAllDecoders;

// An int64 at a multiple of 4 bytes.
typedef struct {
  uint32_t low;
  int32_t high;
} DcsrInt64;

// The head of compact rows (version 2), in memory as in the blob. dcsr_row_tail() reads a row.
typedef struct {
  uint32_t ratio;
  int32_t first_multiplier;
  int32_t first_bias;
  int16_t first_shift;
  uint16_t exceptions;
} DcsrCompactRows;

// How the activations of a layer lie in memory, in memory as in the blob.
//
// Planes are a tensor int8 [1, channels, dcsr_channel_bytes(height, width)]. Pixel (y, x) of a
// channel is byte y * width + x of its plane. Up to three bytes behind the pixels are unspecified.
typedef struct {
  uint16_t input_height;  // of the map, in pixels
  uint16_t input_width;
  uint8_t input_planes;   // 1: the input is in planes, 0: it is NHWC
  uint8_t output_planes;  // likewise; one of them is 1
  uint8_t is_transposed;  // 1: rows of the map are columns of the image, so that an NHWC tensor of
                          // the layer is [1, width, height, channels]
  uint8_t reserved;       // 0
} DcsrLayout;

// Returns the bytes of a plane, a multiple of 4.
static inline uint32_t dcsr_channel_bytes(uint32_t height, uint32_t width) {
  return (height * width + 3) / 4 * 4;
}

// View of a packed layer: scalars by value, sections by pointer into the blob.
typedef struct {
  const DcsrDecoder* decoder;
  const DcsrValueDecoder* value_decoder;  // NULL: plain values
  DcsrOp op;
  DcsrEncoding encoding;
  DcsrValueCoding value_coding;
  uint32_t rows;      // output channels
  uint32_t cols;      // filter_h * filter_w * channels; DEPTHWISE_CONV_2D: filter_h * filter_w
  uint32_t elements;  // stored values
  int32_t input_zero_point;
  int32_t output_zero_point;
  int32_t activation_min;
  int32_t activation_max;
  uint32_t stride_h;
  uint32_t stride_w;
  uint32_t filter_h;  // 1 for FULLY_CONNECTED, like the next three
  uint32_t filter_w;
  uint32_t dilation_h;
  uint32_t dilation_w;
  bool same_padding;           // else VALID
  uint32_t channels;           // of the input
  uint32_t depth_multiplier;   // DEPTHWISE_CONV_2D: rows / channels; else 0
  bool int16_activations;      // input and output; else int8
  bool int32_sums;             // with int16 activations: sums and bias of 32 bits; else 64
  bool slow_gathers;           // the data is behind a cache: gather up to fewer pixels (MVE)
  uint32_t requantize_stride;  // 1: multiplier and shift per row, 0: one for all rows
  uint32_t row_length_bytes;   // 1, 2, 4; 0 for dense, rice and bitmap
  uint32_t row_length_bits;    // rice
  uint32_t index_parameter;    // dcsr: bits of a base delta, 4 or 8; rice
  uint32_t raw_bits;           // huffman: raw bits of a value, before its code
  uint32_t index_bytes;
  uint32_t delta_bytes;
  uint32_t plane_bytes;
  uint32_t value_bytes;                 // stored bytes of the values
  uint32_t scratch_budget;              // bytes; 0: the build's default
  const DcsrCompactRows* compact_rows;  // version 2, else NULL
  const DcsrLayout* layout;             // NULL: input and output are NHWC
  union {
    const int32_t* bias;          // [rows], input zero point folded in; NULL with compact_rows
    const DcsrInt64* bias_int64;  // [rows], if int16_activations and not int32_sums
  };
  union {
    const int32_t* multiplier;   // [rows] or [1]
    const uint32_t* row_record;  // [rows], with compact_rows
  };
  union {
    const int8_t* shift;            // [rows] or [1]
    const uint16_t* row_bias_high;  // [rows], with compact_rows
  };
  const uint8_t* row_length;  // [rows], row_length_bytes or row_length_bits each
  const uint8_t* index;  // dcsr: descriptors; rle: gaps; offset8: steps; rice: quotients; bitmap
  const uint8_t* delta;  // dcsr: deltas; offset8: offsets; rice: remainders
  const uint8_t* plane;  // dcsr
  const int8_t* values;  // [elements]; huffman: [value_bytes], codes and their lengths
  const uint32_t* checksum;  // behind everything else; NULL: none
} DcsrLayer;

// Reads the header of the blob `data` of `size` bytes and makes all checks that take constant time.
// `data` is aligned to 4 and may be longer than the layer. `layer` points into it. On an error
// `layer` is unspecified. `decoders` lists the encodings that are read.
DcsrStatus dcsr_layer_parse_with(const DcsrDecoders* decoders, const void* data, size_t size,
                                 DcsrLayer* layer);

// The same for all encodings.
static inline DcsrStatus dcsr_layer_parse(const void* data, size_t size, DcsrLayer* layer) {
  return dcsr_layer_parse_with(&kDcsrAllDecoders, data, size, layer);
}

// Checks all streams of a parsed layer, in time proportional to the size of the layer.
DcsrStatus dcsr_layer_validate(const DcsrLayer* layer);

// Checks the checksum of a parsed layer, in place of dcsr_layer_validate(). A checksum tells
// whether the layer is as `compress` wrote it, but anybody can compute one. Kernels stay in bounds
// only if the layer is from a trusted source: a firmware whose image is verified as a whole before
// it runs.
DcsrStatus dcsr_layer_check_sum(const DcsrLayer* layer);

// The parts of a layer with shared rows (version 2) from which bias, multiplier and shift are
// derived. Pointers point into the layer's two tensors.
typedef struct {
  const uint32_t* weight_scale;  // [rows] or [1], bits of a float32; shared
  // input scale / output scale = (ratio_high * 2^32 + ratio_low) * 2^(ratio_exponent - 48)
  uint32_t ratio_low;
  uint16_t ratio_high;
  int16_t ratio_exponent;
  const void* bias;  // [rows], int32, or DcsrInt64 if int16_activations; not folded; NULL: all 0
} DcsrSharedRows;

// dcsr_layer_parse_with() for a layer of version 2, whose streams are in `shared`, a second blob of
// `shared_size` bytes. `shared` is aligned to 4 and may be longer than the streams. The fields
// bias, multiplier and shift of `layer` are unspecified until one of the functions below sets them.
DcsrStatus dcsr_shared_layer_parse_with(const DcsrDecoders* decoders, const void* data, size_t size,
                                        const void* shared, size_t shared_size, DcsrLayer* layer,
                                        DcsrSharedRows* rows);

// The same for all encodings.
static inline DcsrStatus dcsr_shared_layer_parse(const void* data, size_t size, const void* shared,
                                                 size_t shared_size, DcsrLayer* layer,
                                                 DcsrSharedRows* rows) {
  return dcsr_shared_layer_parse_with(&kDcsrAllDecoders, data, size, shared, shared_size, layer,
                                      rows);
}

// Returns the bytes of the memory in which a layer with shared rows has its bias, multipliers and
// shifts: 9 for each row, or 13 with int16 activations; if all rows have one multiplier, 4 or 8 for
// each row and 5.
size_t dcsr_derived_rows_bytes(const DcsrLayer* layer);

// dcsr_layer_validate() for a layer with shared rows. Derives its bias, multipliers and shifts, as
// TFLM does from the scales, in `memory`: dcsr_derived_rows_bytes(layer) bytes, aligned to 4, which
// the layer uses from then on.
DcsrStatus dcsr_shared_layer_validate(DcsrLayer* layer, const DcsrSharedRows* rows, void* memory);

// Gives a parsed layer the memory that dcsr_shared_layer_validate() has filled for the same blobs.
void dcsr_use_derived_rows(DcsrLayer* layer, const void* memory);

// Describes the status as a lower-case English phrase about the packed layer. Never NULL.
const char* dcsr_status_string(DcsrStatus status);

#ifdef __cplusplus
}
#endif

#endif  // DCSR_TFLM_KERNELS_PACKED_LAYER_H_
