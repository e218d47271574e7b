// Tests the kernels with the test vectors of docs/format.md.

#include <stdio.h>
#include <string.h>

#include "tests/format_vectors.h"
#include "tflm_kernels/kernels.h"

enum { kMaxCols = 5000, kMaxRows = 16 };

static int compare(const char* name, uint32_t row, int actual, int expected) {
  if (actual == expected) return 0;
  printf("%s: row %u is %d, the document has %d\n", name, (unsigned)row, actual, expected);
  return 1;
}

static int check_int16(const char* name, const DcsrLayer* layer, const uint8_t* output) {
  static int16_t x[kMaxCols];
  for (uint32_t c = 0; c < layer->cols; ++c) x[c] = (int16_t)((int32_t)((37 * c + 11) % 256) - 128);
  int16_t y[kMaxRows];
  dcsr_fully_connected_int16(layer, 1, x, y);
  for (uint32_t r = 0; r < layer->rows; ++r) {
    const int16_t expected = (int16_t)(output[2 * r] | output[2 * r + 1] << 8);
    if (compare(name, r, y[r], expected) != 0) return 1;
  }
  return 0;
}

static int check(const char* name, const void* blob, size_t blob_bytes, const uint8_t* output,
                 size_t output_bytes) {
  DcsrLayer layer;
  DcsrStatus status = dcsr_layer_parse(blob, blob_bytes, &layer);
  if (status == kDcsrOk) status = dcsr_layer_validate(&layer);
  if (status != kDcsrOk || layer.cols > kMaxCols ||
      layer.rows * (layer.int16_activations ? 2 : 1) != output_bytes) {
    printf("%s: %s\n", name, dcsr_status_string(status));
    return 1;
  }
  if (layer.int16_activations) return check_int16(name, &layer, output);
  static int8_t x[2 * kMaxCols];
  for (uint32_t c = 0; c < layer.cols; ++c) {
    x[c] = (int8_t)((int32_t)((37 * c + 11) % 256) - 128);
  }
  int8_t y[kMaxRows];
  if (layer.op == kDcsrOpConv1x1) {
    // The image has the size of the filter. With a horizontal stride of 2 it is one pixel wider;
    // that pixel is skipped.
    const DcsrConvShape shape = {1, (int32_t)layer.filter_h,
                                 (int32_t)(layer.filter_w + layer.stride_w - 1), 1, 1};
    memset(x + layer.cols, 99, layer.cols);
    if (dcsr_conv2d_scratch_bytes(&layer, &shape) != 0) return 1;
    dcsr_conv2d(&layer, &shape, x, y, NULL);
  } else {
    if (dcsr_fully_connected_scratch_bytes(&layer, 1) != 0) return 1;
    dcsr_fully_connected(&layer, 1, x, y, NULL);
  }
  for (uint32_t r = 0; r < layer.rows; ++r) {
    if (compare(name, r, y[r], (int8_t)output[r]) != 0) return 1;
  }
  return 0;
}

int main(void) {
  int failures = 0;
  const size_t count = sizeof(format_vectors) / sizeof(format_vectors[0]);
  for (size_t i = 0; i < count; ++i) {
    failures +=
        check(format_vectors[i].name, format_vectors[i].layer, format_vectors[i].layer_bytes,
              format_vectors[i].output, format_vectors[i].output_bytes);
  }
  printf("%u vectors, %d failures\n", (unsigned)count, failures);
  return failures != 0 || count == 0;
}
