// Tests compact rows: docs/format.md, "Compact rows". kernels_test runs every kernel with them.

#include <stdlib.h>
#include <string.h>

#include "tflm_kernels/common/row_tail.h"
#include "tflm_kernels/packed_layer.h"
#include "tflm_kernels/testing/cases.h"
#include "tflm_kernels/testing/check.h"
#include "tflm_kernels/testing/layers.h"
#include "tflm_kernels/testing/pack.h"

enum { kHead = kDcsrHeaderBytes, kFlags = 34 };

static const PackOptions kCompact = {.encoding = kDcsrEncodingRle, .compact_rows = true};

// A FULLY_CONNECTED [9, 20] with a multiplier for each row. Row 3 is an exception.
static const DcsrCase kSmall = {
    "small", kDcsrOpFullyConnected, 9,           20,  1, 1,    1,   1,    1, kPatternRandom,
    400,     kValuesRandom,         kBiasRandom, -20, 8, -128, 127, true, 0, 0};

static DcsrStatus parse_and_validate(const PackedBlob* blob, DcsrLayer* layer) {
  DcsrStatus status = dcsr_layer_parse(blob->data, blob->size, layer);
  if (status == kDcsrOk) status = dcsr_layer_validate(layer);
  return status;
}

static int32_t plain_bias(const PackedBlob* plain, uint32_t row) {
  int32_t bias;
  memcpy(&bias, plain->data + plain->offset[kSectionBias] + 4 * row, sizeof(bias));
  return bias;
}

static uint32_t exceptions_of(const PackedBlob* blob) {
  return (uint32_t)blob->data[kHead + 14] | (uint32_t)blob->data[kHead + 15] << 8;
}

static void test_tails_are_those_of_the_layer(void) {
  uint64_t rows = 0;
  uint64_t exceptions = 0;
  for (size_t i = 0; i < kDcsrCaseCount; ++i) {
    const DcsrCase* c = &kDcsrCases[i];
    if (!c->per_row) continue;
    CaseData data = make_case(c, 1);
    const PackOptions own = {.encoding = kDcsrEncodingRle};
    PackedBlob plain = pack_layer(&data.layer, &own);
    PackedBlob blob = pack_layer(&data.layer, &kCompact);
    DcsrLayer layer;
    const DcsrStatus status = parse_and_validate(&blob, &layer);
    CHECK(status == kDcsrOk && layer.compact_rows != NULL, "%s: %s", c->name,
          dcsr_status_string(status));
    for (uint32_t r = 0; r < c->rows && status == kDcsrOk; ++r) {
      const DcsrRowTail tail = dcsr_row_tail(&layer, r);
      CHECK(tail.bias == plain_bias(&plain, r), "%s, row %u: bias %d", c->name, (unsigned)r,
            (int)tail.bias);
      CHECK(tail.multiplier == data.multiplier[r] && tail.shift == data.shift[r],
            "%s, row %u: multiplier %d, shift %d", c->name, (unsigned)r, (int)tail.multiplier,
            (int)tail.shift);
    }
    rows += c->rows;
    exceptions += exceptions_of(&blob);
    free_packed_blob(&plain);
    free_packed_blob(&blob);
    free_case(&data);
  }
  CHECK(exceptions > 0 && 3 * exceptions < 2 * rows, "%lu exceptions of %lu rows",
        (unsigned long)exceptions, (unsigned long)rows);
}

// Two rows, one column, no nonzeros: rle with row lengths 0. Ratio 2^31.
static const uint32_t kHandmade[] = {
    0x52534364,
    0x00020202,
    96,
    2,
    1,
    0,
    0,
    0x007FFF80,
    0x01110101,
    0,
    0,
    0,
    0,
    0,
    0,
    0,
    0x80000000,
    1 << 30,
    (uint32_t)-100,
    0x0000FFF8,
    // Factor 0x123456, bias 2 * 8 + 5, shift 2, 1 added; factor 0x7FFFFF, bias 2^19 - 1, shift 15.
    UINT32_C(0x123456) << 8 | 5 << 5 | 2 << 1 | 1,
    UINT32_C(0x7FFFFF) << 8 | 7 << 5 | 15 << 1,
    2 | UINT32_C(0xFFFF) << 16,
    // Row lengths 0 and 0; the other streams are empty.
    0,
};

static void test_handmade_layer(void) {
  DcsrLayer layer;
  DcsrStatus status = dcsr_layer_parse(kHandmade, sizeof(kHandmade), &layer);
  if (status == kDcsrOk) status = dcsr_layer_validate(&layer);
  CHECK(status == kDcsrOk, "%s", dcsr_status_string(status));
  if (status != kDcsrOk) return;
  const DcsrRowTail first = dcsr_row_tail(&layer, 0);
  const DcsrRowTail second = dcsr_row_tail(&layer, 1);
  CHECK(
      first.bias == -79 && first.multiplier == (1 << 30) + (0x123456 << 7) + 1 && first.shift == -6,
      "%d, %d, %d", (int)first.bias, (int)first.multiplier, (int)first.shift);
  CHECK(second.bias == (1 << 19) - 101 && second.multiplier == (1 << 30) + (0x7FFFFF << 7) &&
            second.shift == 7,
        "%d, %d, %d", (int)second.bias, (int)second.multiplier, (int)second.shift);
}

static void test_each_corruption_has_its_status(void) {
  const struct {
    const char* what;
    size_t offset;
    uint8_t value;
    DcsrStatus status;
  } corruptions[] = {
      {"version 1", 4, 1, kDcsrErrorVersion},
      {"version 3", 4, 3, kDcsrErrorVersion},
      {"without the flag", kFlags, 1, kDcsrErrorVersion},
      {"one multiplier for all rows", kFlags, 16, kDcsrErrorHeader},
      {"int16 activations", kFlags, 19, kDcsrErrorHeader},
      {"bias flag of shared rows", kFlags, 25, kDcsrErrorHeader},
      {"reserved flag", kFlags, 49, kDcsrErrorHeader},
      {"negative multipliers", kHead + 7, 0x80, kDcsrErrorRequantize},
      {"shift above 30", kHead + 13, 0x10, kDcsrErrorRequantize},
      {"shift below -31", kHead + 13, 0x80, kDcsrErrorRequantize},
      {"no exceptions", kHead + 14, 0, kDcsrErrorSections},
      {"65281 exceptions", kHead + 15, 0xFF, kDcsrErrorSections},
      {"negative multiplier of an exception", kHead + 16 + 7, 0x80, kDcsrErrorRequantize},
      {"shift of an exception", kHead + 16 + 8, 31, kDcsrErrorRequantize},
      {"shift 2^30 of an exception", kHead + 16 + 11, 0x40, kDcsrErrorRequantize},
  };
  CaseData data = make_case(&kSmall, 1);
  for (size_t i = 0; i < sizeof(corruptions) / sizeof(corruptions[0]); ++i) {
    PackedBlob blob = pack_layer(&data.layer, &kCompact);
    CHECK(blob.data[corruptions[i].offset] != corruptions[i].value, "%s: changes nothing",
          corruptions[i].what);
    blob.data[corruptions[i].offset] = corruptions[i].value;
    DcsrLayer layer;
    const DcsrStatus status = parse_and_validate(&blob, &layer);
    CHECK(status == corruptions[i].status, "%s: %s", corruptions[i].what,
          dcsr_status_string(status));
    free_packed_blob(&blob);
  }
  free_case(&data);
}

// Clears the upper bits of all biases: every row refers to an exception, most to none that exists.
static void test_exception_has_to_exist(void) {
  CaseData data = make_case(&kSmall, 1);
  PackedBlob blob = pack_layer(&data.layer, &kCompact);
  const size_t halves = kHead + 16 + 12 * exceptions_of(&blob) + 4 * kSmall.rows;
  memset(blob.data + halves, 0, 2 * kSmall.rows);
  DcsrLayer layer;
  const DcsrStatus status = parse_and_validate(&blob, &layer);
  CHECK(status == kDcsrErrorRequantize, "%s", dcsr_status_string(status));
  free_packed_blob(&blob);
  free_case(&data);
}

static void test_every_shorter_blob_is_truncated(void) {
  CaseData data = make_case(&kSmall, 1);
  PackedBlob blob = pack_layer(&data.layer, &kCompact);
  for (size_t size = 0; size < blob.size; ++size) {
    uint8_t* copy = (uint8_t*)malloc(size + 1);  // malloc(0) may be NULL
    if (copy == NULL) abort();
    memcpy(copy, blob.data, size);
    DcsrLayer layer;
    const DcsrStatus status = dcsr_layer_parse(copy, size, &layer);
    CHECK(status == kDcsrErrorTruncated, "%u bytes: %s", (unsigned)size,
          dcsr_status_string(status));
    free(copy);
  }
  free_packed_blob(&blob);
  free_case(&data);
}

static void test_reader_of_shared_rows_refuses_them(void) {
  CaseData data = make_case(&kSmall, 1);
  PackedBlob blob = pack_layer(&data.layer, &kCompact);
  DcsrLayer layer;
  DcsrSharedRows rows;
  const DcsrStatus status =
      dcsr_shared_layer_parse(blob.data, blob.size, blob.data, blob.size, &layer, &rows);
  CHECK(status == kDcsrErrorVersion, "%s", dcsr_status_string(status));
  free_packed_blob(&blob);
  free_case(&data);
}

int main(void) {
  RUN_TEST(test_tails_are_those_of_the_layer);
  RUN_TEST(test_handmade_layer);
  RUN_TEST(test_each_corruption_has_its_status);
  RUN_TEST(test_exception_has_to_exist);
  RUN_TEST(test_every_shorter_blob_is_truncated);
  RUN_TEST(test_reader_of_shared_rows_refuses_them);
  return check_exit_status();
}
