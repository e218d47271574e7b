// The kernels against the test vectors of docs/format.md.

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

// With the kernels of the host, which take no scratch.
static int multiply(const DcsrKernels* kernels, const DcsrLayer* layer, const DcsrConvShape* shape,
                    const void* x, void* y) {
  DcsrPlan plan;
  dcsr_plan(kernels, layer, shape, 0, &plan);
  if (plan.kernel == NULL || plan.scratch_bytes != 0) return 1;
  dcsr_run(&plan, layer, shape, x, y, NULL);
  return 0;
}

static int check_int16(const char* name, const DcsrLayer* layer, const uint8_t* output) {
  static int16_t x[kMaxCols];
  for (uint32_t c = 0; c < layer->cols; ++c) x[c] = (int16_t)((int32_t)((37 * c + 11) % 256) - 128);
  int16_t y[kMaxRows];
  const DcsrConvShape shape = dcsr_fully_connected_shape(1);
  if (multiply(dcsr_fully_connected_kernels(), layer, &shape, x, y) != 0) return 1;
  for (uint32_t r = 0; r < layer->rows; ++r) {
    const int16_t expected = (int16_t)(output[2 * r] | output[2 * r + 1] << 8);
    if (compare(name, r, y[r], expected) != 0) return 1;
  }
  return 0;
}

// Memory of derived rows, of the largest vector.
static uint32_t derived_rows[13 * kMaxRows / 4];

// Parses and validates a layer, with shared rows if `shared` is not NULL.
static DcsrStatus open_layer(const void* blob, size_t blob_bytes, const void* shared,
                             size_t shared_bytes, DcsrLayer* layer) {
  if (shared == NULL) {
    DcsrStatus status = dcsr_layer_parse(blob, blob_bytes, layer);
    if (status == kDcsrOk) status = dcsr_layer_validate(layer);
    if (status != kDcsrOk || layer->checksum == NULL) return status;
    return dcsr_layer_check_sum(layer);
  }
  DcsrSharedRows rows;
  const DcsrStatus status =
      dcsr_shared_layer_parse(blob, blob_bytes, shared, shared_bytes, layer, &rows);
  if (status != kDcsrOk) return status;
  if (dcsr_derived_rows_bytes(layer) > sizeof(derived_rows)) {
    printf("a vector has too many rows\n");
    return kDcsrErrorHeader;
  }
  return dcsr_shared_layer_validate(layer, &rows, derived_rows);
}

// Copies an image, int8 [height, width, channels], to planes.
static void to_planes(const DcsrLayer* layer, const int8_t* nhwc, int8_t* planes) {
  const uint32_t pixels = (uint32_t)layer->layout->input_height * layer->layout->input_width;
  const uint32_t plane =
      dcsr_channel_bytes(layer->layout->input_height, layer->layout->input_width);
  for (uint32_t p = 0; p < pixels; ++p) {
    for (uint32_t c = 0; c < layer->channels; ++c) planes[c * plane + p] = *nhwc++;
  }
}

static int check(const char* name, const void* blob, size_t blob_bytes, const void* shared,
                 size_t shared_bytes, const uint8_t* output, size_t output_bytes) {
  DcsrLayer layer;
  const DcsrStatus status = open_layer(blob, blob_bytes, shared, shared_bytes, &layer);
  if (status != kDcsrOk || layer.cols > kMaxCols ||
      layer.rows * (layer.int16_activations ? 2 : 1) != output_bytes) {
    printf("%s: %s\n", name, dcsr_status_string(status));
    return 1;
  }
  if (layer.int16_activations) return check_int16(name, &layer, output);
  static int8_t x[2 * kMaxCols];
  // A depthwise convolution has an input for each tap and channel.
  const uint32_t inputs =
      layer.op == kDcsrOpDepthwiseConv2d ? layer.cols * layer.channels : layer.cols;
  for (uint32_t c = 0; c < inputs; ++c) x[c] = (int8_t)((int32_t)((37 * c + 11) % 256) - 128);
  // The output is one pixel. In planes it is the first of four bytes.
  int8_t y[4 * kMaxRows];
  const uint32_t step = layer.layout != NULL && layer.layout->output_planes != 0 ? 4 : 1;
  if (layer.op != kDcsrOpFullyConnected) {
    // Of the size of the filter, and one pixel wider with a horizontal stride of 2: that is
    // skipped.
    const DcsrConvShape shape = {1, (int32_t)layer.filter_h,
                                 (int32_t)(layer.filter_w + layer.stride_w - 1), 1, 1};
    memset(x + inputs, 99, inputs);
    const DcsrKernels* kernels =
        layer.op == kDcsrOpConv2d ? dcsr_conv2d_kernels() : dcsr_depthwise_conv2d_kernels();
    static int8_t planes[4 * kMaxCols];
    const bool has_planes = layer.layout != NULL && layer.layout->input_planes != 0;
    if (has_planes) to_planes(&layer, x, planes);
    if (multiply(kernels, &layer, &shape, has_planes ? planes : x, y) != 0) return 1;
  } else {
    const DcsrConvShape shape = dcsr_fully_connected_shape(1);
    if (multiply(dcsr_fully_connected_kernels(), &layer, &shape, x, y) != 0) return 1;
  }
  for (uint32_t r = 0; r < layer.rows; ++r) {
    if (compare(name, r, y[r * step], (int8_t)output[r]) != 0) return 1;
  }
  return 0;
}

static int check_refused(const char* name, const void* blob, size_t blob_bytes, const void* shared,
                         size_t shared_bytes, DcsrStatus expected) {
  DcsrLayer layer;
  const DcsrStatus status = open_layer(blob, blob_bytes, shared, shared_bytes, &layer);
  if (status == expected) return 0;
  printf("%s: status %d (%s), the document has %d\n", name, (int)status, dcsr_status_string(status),
         (int)expected);
  return 1;
}

// A right checksum makes no layer valid, and unchecked decoders none that has positions.
static int check_hostile_checksum(void) {
  int failures = 0;
  for (size_t i = 0; i < sizeof(format_vectors) / sizeof(format_vectors[0]); ++i) {
    DcsrLayer layer;
    if (format_vectors[i].shared != NULL ||
        dcsr_layer_parse(format_vectors[i].layer, format_vectors[i].layer_bytes, &layer) !=
            kDcsrOk ||
        layer.checksum == NULL) {
      continue;
    }
    _Alignas(4) uint8_t blob[256];
    const size_t bytes = format_vectors[i].layer_bytes;
    memcpy(blob, format_vectors[i].layer, bytes);
    const size_t quotients = (size_t)(layer.index - format_vectors[i].layer);
    blob[quotients] = 0;  // as for vector rice in the table of blobs to refuse
    if (dcsr_layer_parse(blob, bytes, &layer) != kDcsrOk) return 1;
    failures += dcsr_layer_check_sum(&layer) != kDcsrErrorChecksum;
    uint32_t sum = 0;
    for (size_t at = 0; at < bytes - 4; at += 4) {
      uint32_t word;
      memcpy(&word, blob + at, sizeof(word));
      sum = ((sum << 5 | sum >> 27) ^ word) * UINT32_C(0x9E3779B9);
    }
    memcpy(blob + bytes - 4, &sum, sizeof(sum));
    failures += dcsr_layer_check_sum(&layer) != kDcsrOk;
    failures += dcsr_layer_validate(&layer) != kDcsrErrorIndex;
    const DcsrDecoders unchecked = {
        {NULL, NULL, NULL, NULL, &kDcsrRiceUncheckedDecoder, NULL}, NULL, NULL};
    failures +=
        dcsr_layer_parse_with(&unchecked, format_vectors[i].layer, bytes, &layer) != kDcsrOk;
    failures += dcsr_layer_check_sum(&layer) != kDcsrOk;
    failures += dcsr_layer_validate(&layer) != kDcsrErrorIndex;
    if (failures != 0) printf("%s: a checksum was trusted\n", format_vectors[i].name);
  }
  return failures;
}

int main(void) {
  int failures = check_hostile_checksum();
  const size_t count = sizeof(format_vectors) / sizeof(format_vectors[0]);
  for (size_t i = 0; i < count; ++i) {
    failures +=
        check(format_vectors[i].name, format_vectors[i].layer, format_vectors[i].layer_bytes,
              format_vectors[i].shared, format_vectors[i].shared_bytes, format_vectors[i].output,
              format_vectors[i].output_bytes);
  }
  const size_t refused_count = sizeof(format_refused) / sizeof(format_refused[0]);
  uint32_t seen = 0;  // a bit for each status
  for (size_t i = 0; i < refused_count; ++i) {
    failures += check_refused(format_refused[i].name, format_refused[i].blob,
                              format_refused[i].blob_bytes, format_refused[i].shared,
                              format_refused[i].shared_bytes, format_refused[i].status);
    seen |= UINT32_C(1) << format_refused[i].status;
  }
  for (uint32_t status = kDcsrErrorTruncated; status <= kDcsrErrorChecksum; ++status) {
    if ((seen >> status & 1) != 0 || status == kDcsrErrorDecoder) continue;
    printf("no blob is refused with status %u\n", (unsigned)status);
    ++failures;
  }
  printf("%u vectors, %u blobs to refuse, %d failures\n", (unsigned)count, (unsigned)refused_count,
         failures);
  return failures != 0 || count == 0;
}
