// Fuzzes packed layers: for any bytes, a blob is refused, or its kernel stays in bounds and writes
// the whole output.
//
// tflm_kernels/README.md has the command that builds this file with libFuzzer.

#include "tflm_kernels/testing/fuzz_packed_layer.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tflm_kernels/common/conv_geometry.h"
#include "tflm_kernels/dispatch/tables.h"
#include "tflm_kernels/kernels.h"

enum { kMaxInputBytes = 1 << 18 };

static void* allocate(size_t size) {
  void* memory = malloc(size);
  if (memory == NULL) abort();
  return memory;
}

// FNV-1a. Shapes and activations are derived from the hash of the blob, so a blob is one test case.
static uint32_t hash_bytes(const uint8_t* data, size_t size) {
  uint32_t hash = UINT32_C(2166136261);
  for (size_t i = 0; i < size; ++i) hash = (hash ^ data[i]) * UINT32_C(16777619);
  return hash;
}

// Returns the smallest number of input pixels for `output` pixels along one dimension.
static int32_t smallest_input(int32_t output, uint32_t stride, int64_t extent, bool same_padding) {
  return (int32_t)((output - 1) * (int64_t)stride + (same_padding ? 1 : extent));
}

// Makes the shape of an output of up to 7 x 7 pixels, with the smallest input for it, so that ASan
// detects reads past its end. Returns false if even one pixel needs more than kMaxInputBytes.
static bool make_shape(const DcsrLayer* layer, uint32_t hash, DcsrConvShape* shape) {
  const int64_t extent_h = dcsr_filter_extent(layer->filter_h, layer->dilation_h);
  const int64_t extent_w = dcsr_filter_extent(layer->filter_w, layer->dilation_w);
  int32_t batches = 1 + (int32_t)(hash % 2);
  int32_t rows = 1 + (int32_t)(hash / 2 % 7);
  int32_t columns = 1 + (int32_t)(hash / 16 % 7);
  for (;;) {
    const int32_t height = smallest_input(rows, layer->stride_h, extent_h, layer->same_padding);
    const int32_t width = smallest_input(columns, layer->stride_w, extent_w, layer->same_padding);
    const uint64_t bytes = (uint64_t)height * (uint64_t)width * layer->channels;
    if ((uint64_t)batches * bytes <= kMaxInputBytes) {
      if (dcsr_conv_shape(layer, batches, height, width, shape)) return true;
      printf("an output of %d x %d pixels cannot be had\n", (int)rows, (int)columns);
      abort();
    }
    if (rows > 1) {
      rows /= 2;
    } else if (columns > 1) {
      columns /= 2;
    } else if (batches > 1) {
      batches = 1;
    } else {
      return false;
    }
  }
}

static void run_table(const DcsrKernels* kernels, const DcsrLayer* layer,
                      const DcsrConvShape* shape, const void* input, void* output) {
  DcsrPlan plan;
  dcsr_plan(kernels, layer, shape, dcsr_scratch_budget(kernels, layer), &plan);
  if (plan.kernel == NULL) abort();
  void* scratch = plan.scratch_bytes > 0 ? allocate(plan.scratch_bytes) : NULL;
  dcsr_run(&plan, layer, shape, input, output, scratch);
  free(scratch);
}

// Returns the table of a class of cores. On a host the hash selects the class; on a core it is that
// of the build.
static const DcsrKernels* kernels_of(const DcsrLayer* layer, uint32_t hash) {
  const bool is_conv = layer->op == kDcsrOpConv2d;
#if !defined(__arm__)
  if (hash % 3 == 1) return is_conv ? &kDcsrConv2dArmv6m : &kDcsrFullyConnectedArmv6m;
  if (hash % 3 == 2) return is_conv ? &kDcsrConv2dArmv7m : &kDcsrFullyConnectedArmv7m;
#else
  (void)hash;
#endif
  return is_conv ? dcsr_conv2d_kernels() : dcsr_fully_connected_kernels();
}

static int32_t output_at(const DcsrLayer* layer, const void* output, size_t i) {
  return layer->int16_activations ? ((const int16_t*)output)[i] : ((const int8_t*)output)[i];
}

static void check_kernel(const DcsrLayer* layer, uint32_t hash) {
  DcsrConvShape shape;
  if (!make_shape(layer, hash, &shape)) return;
  if (layer->op == kDcsrOpFullyConnected) {
    shape.input_height = shape.input_width = shape.output_height = shape.output_width = 1;
  }
  const size_t element = layer->int16_activations ? 2 : 1;
  const size_t input_size = (size_t)shape.batches * (size_t)shape.input_height *
                            (size_t)shape.input_width * layer->channels * element;
  const size_t outputs = (size_t)shape.batches * (size_t)shape.output_height *
                         (size_t)shape.output_width * layer->rows;
  int8_t* input = (int8_t*)allocate(input_size);
  for (size_t i = 0; i < input_size; ++i) input[i] = (int8_t)(hash * (uint32_t)i >> 24);

  // A byte that the kernel does not write differs between the two outputs.
  void* first = allocate(outputs * element);
  void* second = allocate(outputs * element);
  memset(first, 0x55, outputs * element);
  memset(second, 0xAA, outputs * element);
  const DcsrKernels* kernels = kernels_of(layer, hash);
  run_table(kernels, layer, &shape, input, first);
  run_table(kernels, layer, &shape, input, second);
  for (size_t i = 0; i < outputs; ++i) {
    const int32_t out = output_at(layer, first, i);
    if (out != output_at(layer, second, i) || out < layer->activation_min ||
        out > layer->activation_max) {
      printf("output %lu of %lu is not written, or not clamped\n", (unsigned long)i,
             (unsigned long)outputs);
      abort();
    }
  }
  free(first);
  free(second);
  free(input);
}

DcsrStatus dcsr_fuzz_packed_layer(const uint8_t* data, size_t size) {
  // A copy is aligned and ends at its last byte. malloc(0) may return NULL.
  uint8_t* blob = (uint8_t*)allocate(size > 0 ? size : 1);
  if (size > 0) memcpy(blob, data, size);
  DcsrLayer layer;
  DcsrStatus status = dcsr_layer_parse(blob, size, &layer);
  if (status == kDcsrOk) status = dcsr_layer_validate(&layer);
  if (status == kDcsrOk) check_kernel(&layer, hash_bytes(data, size));
  free(blob);
  return status;
}

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  dcsr_fuzz_packed_layer(data, size);
  return 0;
}
