// Tests that the row reader returns the matrix that was packed.

#include "tflm_kernels/format/row_reader.h"

#include <stdlib.h>
#include <string.h>

#include "tflm_kernels/testing/cases.h"
#include "tflm_kernels/testing/check.h"
#include "tflm_kernels/testing/layers.h"
#include "tflm_kernels/testing/pack.h"

// Adds the matrix of `layer` to `weights`, which has to be zero. Returns false if
// a column is outside of the matrix, or not in order where the format requires it.
static bool read_matrix(const DcsrLayer* layer, int8_t* weights) {
  DcsrRowReader reader = dcsr_row_reader(layer);
  for (uint32_t row = 0; row < layer->rows; ++row) {
    dcsr_next_row(&reader);
    int32_t previous = -1;
    DcsrGroup group;
    while (dcsr_next_group(&reader, &group)) {
      for (uint32_t l = 0; l < group.lanes; ++l) {
        const int32_t column = group.column[l];
        if (column <= previous || column >= (int32_t)layer->cols) return false;
        if (dcsr_columns_increase(layer)) previous = column;
        // A filler may have the column of another element.
        int8_t* weight = &weights[(size_t)row * layer->cols + (size_t)column];
        *weight = (int8_t)(*weight + group.weight[l]);
      }
    }
  }
  return true;
}

static void check_case(const DcsrCase* c, uint64_t seed) {
  CaseData data = make_case(c, seed);
  const size_t count = (size_t)c->rows * c->cols;
  int8_t* weights = (int8_t*)malloc(count);
  if (weights == NULL) abort();
  for (size_t i = 0; i < kPackingCount; ++i) {
    if (!pack_row_length_fits(&data.layer, &kPackings[i])) continue;
    PackedBlob blob = pack_layer(&data.layer, &kPackings[i]);
    char context[200];
    snprintf(context, sizeof(context), "'%s' [%u x %u], seed %u, packing %u", c->name,
             (unsigned)c->rows, (unsigned)c->cols, (unsigned)seed, (unsigned)i);
    DcsrLayer layer;
    const DcsrStatus status = dcsr_layer_parse(blob.data, blob.size, &layer);
    CHECK(status == kDcsrOk, "%s: %s", context, dcsr_status_string(status));
    memset(weights, 0, count);
    if (status == kDcsrOk) {
      CHECK(read_matrix(&layer, weights), "%s: columns are not as they should be", context);
      check_equal(context, data.weights, weights, count);
    }
    free_packed_blob(&blob);
  }
  free(weights);
  free_case(&data);
}

static void test_reader_gives_back_the_matrix(void) {
  for (size_t i = 0; i < kDcsrCaseCount; ++i) check_case(&kDcsrCases[i], 1);
}

static void test_row_without_nonzeros_has_no_groups(void) {
  for (size_t i = 0; i < kPackingCount; ++i) {
    if (kPackings[i].encoding == kDcsrEncodingDense) continue;
    const DcsrCase c = {.name = "empty",
                        .op = kDcsrOpFullyConnected,
                        .rows = 5,
                        .cols = 9,
                        .batches = 1,
                        .input_height = 1,
                        .input_width = 1,
                        .stride_h = 1,
                        .stride_w = 1,
                        .pattern = kPatternZero};
    CaseData data = make_case(&c, 1);
    PackedBlob blob = pack_layer(&data.layer, &kPackings[i]);
    DcsrLayer layer;
    CHECK(dcsr_layer_parse(blob.data, blob.size, &layer) == kDcsrOk, "packing %u", (unsigned)i);
    DcsrRowReader reader = dcsr_row_reader(&layer);
    for (uint32_t row = 0; row < layer.rows; ++row) {
      dcsr_next_row(&reader);
      DcsrGroup group;
      CHECK(!dcsr_next_group(&reader, &group), "packing %u, row %u", (unsigned)i, (unsigned)row);
    }
    free_packed_blob(&blob);
    free_case(&data);
  }
}

// Packs all cases and returns the sums of their statistics.
static PackStatistics pack_all_cases(const PackOptions* packing, bool row_length_bytes[5]) {
  PackStatistics total;
  memset(&total, 0, sizeof(total));
  for (size_t i = 0; i < kDcsrCaseCount; ++i) {
    CaseData data = make_case(&kDcsrCases[i], 1);
    PackedBlob blob = pack_layer(&data.layer, packing);
    for (size_t k = 0; k <= kDcsrGroupLanes; ++k) {
      total.lanes[k] += blob.statistics.lanes[k];
      total.nonzeros[k] += blob.statistics.nonzeros[k];
    }
    for (size_t k = 0; k < 16; ++k) total.planes[k] += blob.statistics.planes[k];
    total.escapes += blob.statistics.escapes;
    total.negative_bases += blob.statistics.negative_bases;
    row_length_bytes[blob.data[35]] = true;
    free_packed_blob(&blob);
    free_case(&data);
  }
  for (unsigned k = 1; k <= kDcsrGroupLanes; ++k) {
    CHECK(total.lanes[k] > 0, "no group of %u lanes", k);
  }
  return total;
}

// Tests that the cases cover every kind of group.
static void test_cases_cover_the_encodings(void) {
  bool row_length_bytes[5] = {false, false, false, false, false};
  const PackOptions nibbles = {.encoding = kDcsrEncodingDcsr};
  PackStatistics total = pack_all_cases(&nibbles, row_length_bytes);
  // 14 planes hold deltas up to 2^18 - 1, the largest distance of columns.
  for (unsigned k = 0; k <= 6; ++k) CHECK(total.planes[k] > 0, "no group of %u planes", k);
  CHECK(total.planes[14] > 0, "no group of 14 planes");
  CHECK(total.escapes > 0, "no step that needs an escape");
  CHECK(total.negative_bases > 0, "no base below 0");

  const PackOptions bytes = {.encoding = kDcsrEncodingDcsr, .byte_deltas = true};
  total = pack_all_cases(&bytes, row_length_bytes);
  for (unsigned k = 0; k <= 3; ++k) CHECK(total.planes[k] > 0, "no byte group of %u planes", k);
  CHECK(total.planes[10] > 0, "no byte group of 10 planes");
  CHECK(total.escapes > 0, "no step of a byte group that needs an escape");

  const PackOptions offsets = {.encoding = kDcsrEncodingOffset8};
  total = pack_all_cases(&offsets, row_length_bytes);
  for (unsigned k = 0; k <= kDcsrGroupLanes; ++k) {
    CHECK(total.nonzeros[k] > 0, "no offset group of %u nonzeros", k);
  }

  for (unsigned k = 1; k <= 4; k *= 2) {
    CHECK(row_length_bytes[k], "no row lengths of %u bytes", k);
  }
}

int main(void) {
  RUN_TEST(test_reader_gives_back_the_matrix);
  RUN_TEST(test_row_without_nonzeros_has_no_groups);
  RUN_TEST(test_cases_cover_the_encodings);
  return check_exit_status();
}
