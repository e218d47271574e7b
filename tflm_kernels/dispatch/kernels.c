// The choice of a kernel for a layer and a target.
//
// A kernel for a particular core goes into a file of its own, named
// op_encoding_isa. It is chosen here, in the product and in its
// *_scratch_bytes function alike, by the compiler's macros for the target's
// instructions and, where that matters, by a test of the layer's encoding and
// shape. Hosts run the references, so that what is compared on them is the
// formula.

#include "tflm_kernels/kernels.h"

#include <stdbool.h>

#include "tflm_kernels/common/compiler.h"
#include "tflm_kernels/common/pixels.h"
#include "tflm_kernels/mve/conv1x1_gather_mve.h"
#include "tflm_kernels/mve/conv1x1_mve.h"
#include "tflm_kernels/mve/fully_connected_dcsr_mve.h"
#include "tflm_kernels/mve/fully_connected_offset8_mve.h"
#include "tflm_kernels/reference/reference.h"
#include "tflm_kernels/scalar/conv1x1_c.h"
#include "tflm_kernels/scalar/conv1x1_smlal.h"
#include "tflm_kernels/scalar/conv2d_im2col.h"
#include "tflm_kernels/scalar/conv2d_int16_c.h"
#include "tflm_kernels/scalar/fully_connected_c.h"
#include "tflm_kernels/scalar/fully_connected_int16_c.h"

// Bytes of scratch that a kernel may ask for if the packed layer does not say. Define it for the
// whole build to have another.
#ifndef DCSR_SCRATCH_BUDGET
#if DCSR_HAS_MVE
#define DCSR_SCRATCH_BUDGET (48 * 1024)
#else
#define DCSR_SCRATCH_BUDGET (32 * 1024)
#endif
#endif

static inline size_t scratch_budget(const DcsrLayer* layer) {
  return layer->scratch_budget != 0 ? layer->scratch_budget : DCSR_SCRATCH_BUDGET;
}

#if DCSR_HAS_MVE

// Whether steps, offsets and values can be gathered from as they are.
static bool is_plain_offset8(const DcsrLayer* layer) {
  return layer->encoding == kDcsrEncodingOffset8 && layer->value_coding == kDcsrValuesPlain;
}

// Convolutions of up to so many pixels are done with gathers: measured, docs/kernels.md. Define it
// for the whole build if its memory takes longer for a gather than for a few loads.
#ifndef DCSR_MOST_GATHER_PIXELS
#define DCSR_MOST_GATHER_PIXELS 36
#endif
// The same for encodings that take long to decode to offsets.
enum { kMostDecodedPixels = 12 };

static bool is_gathered(const DcsrLayer* layer, const DcsrConvShape* shape) {
  const size_t pixels = dcsr_pixel_count(shape);
  if (pixels > DCSR_MOST_GATHER_PIXELS) return false;
  const bool is_plain_rle =
      layer->encoding == kDcsrEncodingRle && layer->value_coding == kDcsrValuesPlain;
  return pixels <= kMostDecodedPixels || is_plain_rle || is_plain_offset8(layer);
}

// Cortex-M55 and M85.
size_t dcsr_conv1x1_scratch_bytes(const DcsrLayer* layer, const DcsrConvShape* shape) {
  if (is_gathered(layer, shape)) return 0;
  const size_t budget = scratch_budget(layer);
  const size_t bytes = dcsr_conv1x1_mve_scratch_bytes(layer, shape, budget);
  return bytes != 0 ? bytes : dcsr_conv1x1_smlal_scratch_bytes(layer, shape, budget);
}

void dcsr_conv1x1(const DcsrLayer* layer, const DcsrConvShape* shape, const int8_t* input,
                  int8_t* output, void* scratch) {
  if (is_gathered(layer, shape)) {
    dcsr_conv1x1_gather_mve(layer, shape, input, output);
    return;
  }
  const size_t budget = scratch_budget(layer);
  if (dcsr_conv1x1_mve(layer, shape, input, output, scratch, budget)) return;
  dcsr_conv1x1_smlal(layer, shape, input, output, scratch,
                     dcsr_conv1x1_smlal_scratch_bytes(layer, shape, budget));
}

#elif defined(__arm__) && defined(__thumb2__)

// Cortex-M3 and later, all of which have SMLAL.
size_t dcsr_conv1x1_scratch_bytes(const DcsrLayer* layer, const DcsrConvShape* shape) {
  return dcsr_conv1x1_smlal_scratch_bytes(layer, shape, scratch_budget(layer));
}

void dcsr_conv1x1(const DcsrLayer* layer, const DcsrConvShape* shape, const int8_t* input,
                  int8_t* output, void* scratch) {
  dcsr_conv1x1_smlal(layer, shape, input, output, scratch,
                     dcsr_conv1x1_scratch_bytes(layer, shape));
}

#elif defined(__arm__)

// Cortex-M0, M0+ and M23.
size_t dcsr_conv1x1_scratch_bytes(const DcsrLayer* layer, const DcsrConvShape* shape) {
  return dcsr_conv1x1_c_scratch_bytes(layer, shape, scratch_budget(layer));
}

void dcsr_conv1x1(const DcsrLayer* layer, const DcsrConvShape* shape, const int8_t* input,
                  int8_t* output, void* scratch) {
  dcsr_conv1x1_c(layer, shape, input, output, scratch, dcsr_conv1x1_scratch_bytes(layer, shape));
}

#else

size_t dcsr_conv1x1_scratch_bytes(const DcsrLayer* layer, const DcsrConvShape* shape) {
  (void)scratch_budget(layer);
  (void)shape;
  return 0;
}

void dcsr_conv1x1(const DcsrLayer* layer, const DcsrConvShape* shape, const int8_t* input,
                  int8_t* output, void* scratch) {
  (void)scratch;
  dcsr_conv1x1_ref(layer, shape, input, output);
}

#endif

static inline bool has_1x1_filter(const DcsrLayer* layer) {
  return layer->filter_h == 1 && layer->filter_w == 1;
}

#if defined(__arm__)

// The build's 1x1 kernel, in as much scratch as it is given. A budget of 0 would be the default.
static size_t conv1x1_within_scratch_bytes(const DcsrLayer* layer, const DcsrConvShape* shape,
                                           size_t budget) {
  DcsrLayer bounded = *layer;
  bounded.scratch_budget = (uint32_t)budget;
  return dcsr_conv1x1_scratch_bytes(&bounded, shape);
}

static void conv1x1_within(const DcsrLayer* layer, const DcsrConvShape* shape, const int8_t* input,
                           int8_t* output, void* scratch, size_t scratch_bytes) {
  DcsrLayer bounded = *layer;
  bounded.scratch_budget = scratch_bytes > 0 ? (uint32_t)scratch_bytes : 1;
  dcsr_conv1x1(&bounded, shape, input, output, scratch);
}

static const DcsrConv1x1Kernel kConv1x1 = {conv1x1_within_scratch_bytes, conv1x1_within};

size_t dcsr_conv2d_scratch_bytes(const DcsrLayer* layer, const DcsrConvShape* shape) {
  if (has_1x1_filter(layer)) return dcsr_conv1x1_scratch_bytes(layer, shape);
  return dcsr_conv2d_im2col_scratch_bytes(layer, shape, scratch_budget(layer), &kConv1x1);
}

void dcsr_conv2d(const DcsrLayer* layer, const DcsrConvShape* shape, const int8_t* input,
                 int8_t* output, void* scratch) {
  if (has_1x1_filter(layer)) {
    dcsr_conv1x1(layer, shape, input, output, scratch);
  } else {
    dcsr_conv2d_im2col(layer, shape, input, output, scratch,
                       dcsr_conv2d_scratch_bytes(layer, shape), &kConv1x1);
  }
}

#else

size_t dcsr_conv2d_scratch_bytes(const DcsrLayer* layer, const DcsrConvShape* shape) {
  return has_1x1_filter(layer) ? dcsr_conv1x1_scratch_bytes(layer, shape) : 0;
}

void dcsr_conv2d(const DcsrLayer* layer, const DcsrConvShape* shape, const int8_t* input,
                 int8_t* output, void* scratch) {
  if (has_1x1_filter(layer)) {
    dcsr_conv1x1(layer, shape, input, output, scratch);
  } else {
    dcsr_conv2d_ref(layer, shape, input, output);
  }
}

#endif

size_t dcsr_fully_connected_scratch_bytes(const DcsrLayer* layer, int32_t batches) {
  (void)layer;
  (void)batches;
  return 0;
}

void dcsr_fully_connected(const DcsrLayer* layer, int32_t batches, const int8_t* input,
                          int8_t* output, void* scratch) {
  (void)scratch;
#if DCSR_HAS_MVE
  if (batches == 1 && is_plain_offset8(layer)) {
    dcsr_fully_connected_offset8_mve(layer, input, output);
  } else if (batches == 1 && dcsr_fully_connected_dcsr_mve_takes(layer)) {
    dcsr_fully_connected_dcsr_mve(layer, input, output);
  } else {
    const DcsrConvShape shape = {batches, 1, 1, 1, 1};
    dcsr_conv1x1_gather_mve(layer, &shape, input, output);
  }
#elif defined(__arm__)
  dcsr_fully_connected_c(layer, batches, input, output);
#else
  dcsr_fully_connected_ref(layer, batches, input, output);
#endif
}

#if defined(__arm__)

size_t dcsr_conv2d_int16_scratch_bytes(const DcsrLayer* layer, const DcsrConvShape* shape) {
  return dcsr_conv2d_int16_c_scratch_bytes(layer, shape, scratch_budget(layer));
}

void dcsr_conv2d_int16(const DcsrLayer* layer, const DcsrConvShape* shape, const int16_t* input,
                       int16_t* output, void* scratch) {
  dcsr_conv2d_int16_c(layer, shape, input, output, scratch,
                      dcsr_conv2d_int16_scratch_bytes(layer, shape));
}

void dcsr_fully_connected_int16(const DcsrLayer* layer, int32_t batches, const int16_t* input,
                                int16_t* output) {
  dcsr_fully_connected_int16_c(layer, batches, input, output);
}

#else

size_t dcsr_conv2d_int16_scratch_bytes(const DcsrLayer* layer, const DcsrConvShape* shape) {
  (void)layer;
  (void)shape;
  return 0;
}

void dcsr_conv2d_int16(const DcsrLayer* layer, const DcsrConvShape* shape, const int16_t* input,
                       int16_t* output, void* scratch) {
  (void)scratch;
  dcsr_conv2d_int16_ref(layer, shape, input, output);
}

void dcsr_fully_connected_int16(const DcsrLayer* layer, int32_t batches, const int16_t* input,
                                int16_t* output) {
  const DcsrConvShape shape = {batches, 1, 1, 1, 1};
  dcsr_conv2d_int16_ref(layer, &shape, input, output);
}

#endif
