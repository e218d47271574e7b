// Fuzzes packed layers: for any bytes, a blob is refused, or the kernels of every class of cores
// stay in bounds, write the whole output, and agree on it.
//
// //tools:fuzz builds this file with libFuzzer (tflm_kernels/README.md).

#include "tflm_kernels/testing/fuzz_packed_layer.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tflm_kernels/common/conv_geometry.h"
#include "tflm_kernels/common/layout.h"
#include "tflm_kernels/dispatch/tables.h"
#include "tflm_kernels/kernels.h"
#include "tflm_kernels/testing/walk_streams.h"

enum {
  kMaxInputBytes = 1 << 18,
  kVersionOffset = 4,
  kTotalBytesOffset = 8,
  kFlagsOffset = 34,
  kCompactRows = 16,
  kChecksum = 64,
};

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

static size_t input_bytes(const DcsrLayer* layer, const DcsrConvShape* shape) {
  if (dcsr_has_input_planes(layer)) {
    return layer->channels * dcsr_input_steps(layer, shape).channel;
  }
  return (size_t)shape->batches * (size_t)shape->input_height * (size_t)shape->input_width *
         layer->channels * (layer->int16_activations ? 2 : 1);
}

// Returns the number of outputs, with the bytes behind the pixels of planes.
static size_t output_count(const DcsrLayer* layer, const DcsrConvShape* shape) {
  if (dcsr_has_output_planes(layer)) {
    return layer->rows * dcsr_output_steps(layer, shape).channel;
  }
  return (size_t)shape->batches * (size_t)shape->output_height * (size_t)shape->output_width *
         layer->rows;
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

// The shape of a layer in planes. Returns false if its tensors need more than kMaxInputBytes.
static bool shape_of_layout(const DcsrLayer* layer, DcsrConvShape* shape) {
  const DcsrLayout* layout = layer->layout;
  if (!dcsr_conv_shape(layer, 1, layout->input_height, layout->input_width, shape)) abort();
  return input_bytes(layer, shape) <= kMaxInputBytes &&
         output_count(layer, shape) <= kMaxInputBytes;
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

enum { kMaxTables = 4 };

// Collects the tables of kernels that this build can run: its own and, on hosts, those of all
// cores without vectors. Returns their number.
static size_t tables_of(const DcsrLayer* layer, const DcsrKernels* tables[kMaxTables]) {
  const uint32_t op = (uint32_t)layer->op - kDcsrOpConv2d;
  const DcsrKernels* const of_this_core[] = {dcsr_conv2d_kernels(), dcsr_fully_connected_kernels(),
                                             dcsr_depthwise_conv2d_kernels()};
  size_t count = 0;
  tables[count++] = of_this_core[op];
#if !defined(__arm__)
  static const DcsrKernels* const kArmv6m[] = {&kDcsrConv2dArmv6m, &kDcsrFullyConnectedArmv6m,
                                               &kDcsrDepthwiseConv2dArmv6m};
  static const DcsrKernels* const kArmv7m[] = {&kDcsrConv2dArmv7m, &kDcsrFullyConnectedArmv7m,
                                               &kDcsrDepthwiseConv2dArmv7m};
  static const DcsrKernels* const kArmv7em[] = {&kDcsrConv2dArmv7em, &kDcsrFullyConnectedArmv7em,
                                                &kDcsrDepthwiseConv2dArmv7em};
  tables[count++] = kArmv6m[op];
  tables[count++] = kArmv7m[op];
  tables[count++] = kArmv7em[op];
#endif
  return count;
}

static int32_t output_at(const DcsrLayer* layer, const void* output, size_t i) {
  return layer->int16_activations ? ((const int16_t*)output)[i] : ((const int8_t*)output)[i];
}

// Whether output `i` is a pixel, and not behind those of its plane.
static bool is_pixel(const DcsrLayer* layer, const DcsrConvShape* shape, size_t i) {
  const size_t pixels = (size_t)shape->output_height * (size_t)shape->output_width;
  return !dcsr_has_output_planes(layer) || i % dcsr_output_steps(layer, shape).channel < pixels;
}

static void check_kernel(const DcsrLayer* layer, uint32_t hash) {
  DcsrConvShape shape;
  if (!(layer->layout != NULL ? shape_of_layout(layer, &shape) : make_shape(layer, hash, &shape))) {
    return;
  }
  if (layer->op == kDcsrOpFullyConnected) {
    shape.input_height = shape.input_width = shape.output_height = shape.output_width = 1;
  }
  const size_t element = layer->int16_activations ? 2 : 1;
  const size_t input_size = input_bytes(layer, &shape);
  const size_t outputs = output_count(layer, &shape);
  int8_t* input = (int8_t*)allocate(input_size);
  for (size_t i = 0; i < input_size; ++i) input[i] = (int8_t)(hash * (uint32_t)i >> 24);

  // A byte that the kernel does not write differs between the two outputs.
  void* first = allocate(outputs * element);
  void* second = allocate(outputs * element);
  const DcsrKernels* tables[kMaxTables];
  const size_t count = tables_of(layer, tables);
  memset(first, 0x55, outputs * element);
  run_table(tables[0], layer, &shape, input, first);
  for (size_t t = count > 1 ? 1 : 0; t < count; ++t) {
    memset(second, 0xAA, outputs * element);
    run_table(tables[t], layer, &shape, input, second);
    for (size_t i = 0; i < outputs; ++i) {
      const int32_t out = output_at(layer, first, i);
      if (!is_pixel(layer, &shape, i)) continue;
      if (out != output_at(layer, second, i) || out < layer->activation_min ||
          out > layer->activation_max) {
        printf("output %lu of %lu is not written, not clamped, or differs in table %lu\n",
               (unsigned long)i, (unsigned long)outputs, (unsigned long)t);
        abort();
      }
    }
  }
  free(first);
  free(second);
  free(input);
}

// Returns a copy, which is aligned and ends at its last byte. malloc(0) may return NULL.
static uint8_t* copy_of(const uint8_t* data, size_t size) {
  uint8_t* copy = (uint8_t*)allocate(size > 0 ? size : 1);
  if (size > 0) memcpy(copy, data, size);
  return copy;
}

// Aborts if the fast validation of the streams accepts other layers than the walk over all
// elements.
static void check_validation(const DcsrLayer* layer, DcsrStatus status) {
  if (status != kDcsrOk && status != kDcsrErrorIndex && status != kDcsrErrorValues) return;
  // The status of an incomplete code. The walk needs a complete one.
  if (layer->value_coding != kDcsrValuesPlain &&
      !dcsr_code_is_complete(dcsr_code_lengths(layer), layer->raw_bits)) {
    return;
  }
  const DcsrStatus walked = walk_streams(layer);
  if ((walked == kDcsrOk) != (status == kDcsrOk)) {
    printf("validated: %s, walked: %s\n", dcsr_status_string(status), dcsr_status_string(walked));
    abort();
  }
}

static DcsrStatus fuzz_own_rows(const uint8_t* blob, size_t size, uint32_t hash) {
  DcsrLayer layer;
  DcsrStatus status = dcsr_layer_parse(blob, size, &layer);
  if (status != kDcsrOk) return status;
  status = dcsr_layer_validate(&layer);
  check_validation(&layer, status);
  if (status == kDcsrOk) check_kernel(&layer, hash);
  // A wrong checksum is no reason to refuse a layer that was validated.
  if (layer.checksum != NULL) dcsr_layer_check_sum(&layer);
  return status;
}

static DcsrStatus fuzz_shared_rows(const uint8_t* own, size_t own_size, const uint8_t* shared,
                                   size_t shared_size, uint32_t hash) {
  DcsrLayer layer;
  DcsrSharedRows rows;
  DcsrStatus status = dcsr_shared_layer_parse(own, own_size, shared, shared_size, &layer, &rows);
  if (status != kDcsrOk) return status;
  void* memory = allocate(dcsr_derived_rows_bytes(&layer));
  status = dcsr_shared_layer_validate(&layer, &rows, memory);
  check_validation(&layer, status);
  if (status == kDcsrOk) check_kernel(&layer, hash);
  free(memory);
  return status;
}

static bool has_shared_rows(const uint8_t* data, size_t size) {
  return size >= kDcsrHeaderBytes && data[kVersionOffset] == kDcsrFormatVersion2 &&
         (data[kFlagsOffset] & (kCompactRows | kChecksum)) == 0;
}

// Returns the bytes of the first tensor of a layer with shared rows, by its header; `size` if it
// has its own rows, or is longer.
static size_t own_bytes(const uint8_t* data, size_t size) {
  uint32_t total_bytes;
  if (!has_shared_rows(data, size)) return size;
  memcpy(&total_bytes, data + kTotalBytesOffset, sizeof(total_bytes));
  return total_bytes < size ? total_bytes : size;
}

DcsrStatus dcsr_fuzz_packed_layer(const uint8_t* data, size_t size) {
  const size_t own_size = own_bytes(data, size);
  const uint32_t hash = hash_bytes(data, size);
  uint8_t* own = copy_of(data, own_size);
  DcsrStatus status;
  if (has_shared_rows(data, size)) {
    uint8_t* shared = copy_of(data + own_size, size - own_size);
    status = fuzz_shared_rows(own, own_size, shared, size - own_size, hash);
    free(shared);
  } else {
    status = fuzz_own_rows(own, own_size, hash);
  }
  free(own);
  return status;
}

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  dcsr_fuzz_packed_layer(data, size);
  return 0;
}
