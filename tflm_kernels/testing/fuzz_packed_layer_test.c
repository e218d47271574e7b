// Fuzzes with fixed seeds, by mutation of valid blobs. Has no coverage feedback, but runs the same
// blobs on every machine.
//
//   fuzz_packed_layer_test [first seed [number of seeds]]

#include "tflm_kernels/testing/fuzz_packed_layer.h"

#include <stdlib.h>
#include <string.h>

#include "tflm_kernels/testing/cases.h"
#include "tflm_kernels/testing/check.h"
#include "tflm_kernels/testing/conv2d_cases.h"
#include "tflm_kernels/testing/depthwise_conv2d_cases.h"
#include "tflm_kernels/testing/layers.h"
#include "tflm_kernels/testing/pack.h"
#include "tflm_kernels/testing/random.h"

enum {
  kSeeds = 60000,
  kSeedsPerLine = 10000,
  kMaxBlobs = 16000,
  kMaxBlobBytes = 4096,
  kMaxMutations = 4,
  kStatusCount = kDcsrErrorValues + 1,
};

static PackedBlob blobs[kMaxBlobs];
static size_t blob_count = 0;

static void add_blobs(const DenseLayer* layer) {
  for (size_t k = 0; k < kPackingCount; ++k) {
    if (blob_count == kMaxBlobs) break;
    const bool is_plain = !layer->per_row || layer->int16_bias != NULL;
    if (kPackings[k].compact_rows && is_plain) continue;
    if (!pack_row_length_fits(layer, &kPackings[k])) continue;
    PackedBlob blob = pack_layer(layer, &kPackings[k]);
    if (blob.size <= kMaxBlobBytes) {
      blobs[blob_count++] = blob;
    } else {
      free_packed_blob(&blob);
    }
  }
}

// Adds the layer with shared rows: its two tensors, one after the other.
static void add_shared_blobs(const DenseLayer* layer) {
  static uint32_t weight_scale[1 << 12];
  const uint32_t count = layer->per_row ? layer->rows : 1;
  CHECK(count <= sizeof(weight_scale) / sizeof(weight_scale[0]), "%u rows", (unsigned)count);
  // From 2^-9 on.
  for (uint32_t i = 0; i < count; ++i) weight_scale[i] = UINT32_C(118) << 23 | i << 9;
  for (size_t k = 0; k < kFewPackingCount; ++k) {
    if (blob_count == kMaxBlobs) break;
    if (kPackings[k].compact_rows) continue;
    const SharedScales scales = {weight_scale, UINT64_C(3) << 46, 0, k % 2 == 0};
    SharedBlobs blobs_of_layer = pack_shared_layer(layer, &kPackings[k], &scales);
    const PackedBlob* own = &blobs_of_layer.own;
    const PackedBlob* shared = &blobs_of_layer.shared;
    PackedBlob both = {NULL, own->size + shared->size, {0}, {{0}, {0}, {0}, 0, 0}};
    if (both.size <= kMaxBlobBytes) {
      both.data = (uint8_t*)malloc(both.size);
      if (both.data == NULL) abort();
      memcpy(both.data, own->data, own->size);
      memcpy(both.data + own->size, shared->data, shared->size);
      blobs[blob_count++] = both;
    }
    free_shared_blobs(&blobs_of_layer);
  }
}

// Adds the layer in planes, with one of the combinations with NHWC for each packing.
static void add_planes(const CaseData* data) {
  static const DcsrLayout kSides[] = {
      {0, 0, 1, 1, 0, 0}, {0, 0, 1, 0, 0, 0}, {0, 0, 0, 1, 1, 0}, {0, 0, 1, 0, 1, 0}};
  if (data->layer.op == kDcsrOpFullyConnected) return;
  for (size_t k = 0; k < kFewPackingCount; ++k) {
    if (blob_count == kMaxBlobs) break;
    if (kPackings[k].compact_rows && !data->layer.per_row) continue;
    PackedBlob blob = pack_layer(&data->layer, &kPackings[k]);
    DcsrLayout layout = kSides[k % 4];
    layout.input_height = (uint16_t)data->shape.input_height;
    layout.input_width = (uint16_t)data->shape.input_width;
    add_layout(&blob, &layout);
    if (blob.size <= kMaxBlobBytes) {
      blobs[blob_count++] = blob;
    } else {
      free_packed_blob(&blob);
    }
  }
}

static void add_case(const DcsrCase* c, const Window* window) {
  if ((uint64_t)c->rows * c->cols > 32768) return;
  Int16Case int16_case = make_int16_case(c, window, 1);
  add_blobs(&int16_case.data.layer);
  add_shared_blobs(&int16_case.data.layer);
  free_int16_case(&int16_case);
  CaseData data = make_window_case(c, window, 1);
  add_blobs(&data.layer);
  add_shared_blobs(&data.layer);
  add_planes(&data);
  free_case(&data);
}

// Adds a depthwise layer. Neither int16 activations nor shared rows exist for it.
static void add_depthwise_case(const DcsrDepthwiseConv2dCase* c) {
  CaseData data = make_depthwise_case(&c->layer, &c->window, c->depth_multiplier, 1);
  add_blobs(&data.layer);
  add_planes(&data);
  free_case(&data);
}

// Packs the small layers of all tables in every encoding.
static void make_blobs(void) {
  const Window none = {0, 0, 0, 0, false};
  for (size_t i = 0; i < kDcsrCaseCount; ++i) add_case(&kDcsrCases[i], &none);
  for (size_t i = 0; i < kDcsrConv2dCaseCount; ++i) {
    add_case(&kDcsrConv2dCases[i].layer, &kDcsrConv2dCases[i].window);
  }
  for (size_t i = 0; i < kDcsrDepthwiseConv2dCaseCount; ++i) {
    add_depthwise_case(&kDcsrDepthwiseConv2dCases[i]);
  }
  CHECK(blob_count < kMaxBlobs, "there are more than %d", kMaxBlobs);
}

// Changes one byte or field. Half of the mutations hit the header, which needs the most checks.
static void mutate(uint8_t* data, size_t size, Random* random) {
  static const uint32_t kInteresting[] = {0,       1,       15,         16,         0x7F,
                                          0x80,    0xFF,    0x100,      0x7FF,      0x800,
                                          0x7FFF,  0x8000,  0xFFFF,     0x3FFFF,    0x40000,
                                          1 << 20, 1 << 24, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF};
  const uint32_t limit =
      random_below(random, 2) && size > kDcsrHeaderBytes ? kDcsrHeaderBytes : (uint32_t)size;
  const uint32_t at = random_below(random, limit);
  const uint32_t width = UINT32_C(1) << random_below(random, 3);
  uint32_t value;
  switch (random_below(random, 4)) {
    case 0:
      data[at] = (uint8_t)(data[at] ^ 1u << random_below(random, 8));
      return;
    case 1:
      data[at] = (uint8_t)(data[at] + random_between(random, -2, 2));
      return;
    case 2:
      value = kInteresting[random_below(random, sizeof(kInteresting) / sizeof(uint32_t))];
      break;
    default:
      value = random_u32(random);
      break;
  }
  // Overwrites the aligned field of `width` bytes that contains `at`.
  for (uint32_t i = 0; i < width && at / width * width + i < size; ++i) {
    data[at / width * width + i] = (uint8_t)(value >> (8 * i));
  }
}

static DcsrStatus run_seed(uint64_t seed) {
  Random random = {seed};
  const PackedBlob* blob = &blobs[random_below(&random, (uint32_t)blob_count)];
  uint8_t* data = (uint8_t*)malloc(blob->size);
  if (data == NULL) abort();
  memcpy(data, blob->data, blob->size);
  const uint32_t mutations = 1 + random_below(&random, kMaxMutations);
  for (uint32_t i = 0; i < mutations; ++i) mutate(data, blob->size, &random);
  size_t size = blob->size;
  if (random_below(&random, 16) == 0) size = random_below(&random, (uint32_t)size);
  const DcsrStatus status = dcsr_fuzz_packed_layer(data, size);
  free(data);
  return status;
}

int main(int argc, char** argv) {
  const uint64_t first = argc > 1 ? strtoull(argv[1], NULL, 10) : 0;
  const uint64_t count = argc > 2 ? strtoull(argv[2], NULL, 10) : argc > 1 ? 1 : kSeeds;
  make_blobs();
  for (size_t i = 0; i < blob_count; ++i) {
    const DcsrStatus status = dcsr_fuzz_packed_layer(blobs[i].data, blobs[i].size);
    CHECK(status == kDcsrOk, "blob %u: %s", (unsigned)i, dcsr_status_string(status));
  }

  uint64_t statuses[kStatusCount];
  memset(statuses, 0, sizeof(statuses));
  for (uint64_t seed = first; seed < first + count; ++seed) {
    if (seed % kSeedsPerLine == 0) {
      printf("seed %lu\n", (unsigned long)seed);
      fflush(stdout);  // a sanitizer that aborts does not flush
    }
    ++statuses[run_seed(seed)];
  }
  for (int i = 0; i < kStatusCount; ++i) {
    printf("%8lu %s\n", (unsigned long)statuses[i], dcsr_status_string((DcsrStatus)i));
  }
  if (argc == 1) {
    CHECK(statuses[kDcsrOk] > count / 10, "few mutants are accepted: kernels are hardly tested");
    for (int i = 0; i < kStatusCount; ++i) {
      if (i == kDcsrErrorAlignment) continue;  // blobs of malloc are aligned
      CHECK(statuses[i] > 0, "no mutant is refused as '%s'", dcsr_status_string((DcsrStatus)i));
    }
  }
  for (size_t i = 0; i < blob_count; ++i) free_packed_blob(&blobs[i]);
  return check_exit_status();
}
