// Row lists (row_words_mve.h) against the row reader: the twin in C on hosts, the assembly on cores
// with MVE. The sums of int16 lanes have room for a group only if its magnitudes add up to
// kDcsrMostMagnitude at most, and a group that could be longer is wasted time.

#include <stdlib.h>

#include "tflm_kernels/mve/row_words_mve.h"
#include "tflm_kernels/testing/cases.h"
#include "tflm_kernels/testing/check.h"
#include "tflm_kernels/testing/layers.h"
#include "tflm_kernels/testing/pack.h"

enum {
  kPitch = 32,
  kMostCols = 65536 / kPitch,
};

typedef struct {
  uint32_t offset;  // of the column in x, in bytes
  int32_t weight;
} Entry;

static int32_t magnitude(int32_t weight) { return weight < 0 ? -weight : weight; }

// Reads the next group of a row list at *program. Returns its code.
static uint32_t read_group(const uint32_t** program, uint32_t base, Entry* entries) {
  const uint32_t* p = *program;
  const uint32_t code = *p++;
  const uint32_t count = dcsr_group_count(code);
  for (uint32_t first = 0; first < count; first += kDcsrGroupHalf) {
    const uint32_t left = count - first;
    const uint32_t half = left < kDcsrGroupHalf ? left : (uint32_t)kDcsrGroupHalf;
    for (uint32_t i = 0; i < half; ++i) {
      entries[first + i].offset = p[i] - base;
      entries[first + i].weight = (int16_t)(uint16_t)p[half + i];
    }
    p += 2 * half;
  }
  *program = p;
  return code;
}

// Compares the row list with the nonzeros of the row, which `columns` reads.
static void check_row(const char* context, const uint32_t* program, const uint32_t* end,
                      uint32_t base, DcsrRowReader* columns) {
  Entry entries[kDcsrMostGroup];
  DcsrGroup group;
  uint32_t lane = 0;
  int32_t sum = 0;
  uint32_t previous = kDcsrMostGroup;  // entries of the group before
  uint32_t code;
  group.lanes = 0;
  do {
    code = read_group(&program, base, entries);
    const uint32_t count = dcsr_group_count(code);
    CHECK(count <= kDcsrMostGroup, "%s: a group of %u", context, (unsigned)count);
    if (count > kDcsrMostGroup) return;
    if (previous < kDcsrMostGroup && count > 0) {
      CHECK(sum + magnitude(entries[0].weight) > kDcsrMostMagnitude,
            "%s: a group of magnitude %d ends before its time", context, (int)sum);
    }
    sum = 0;
    for (uint32_t i = 0; i < count; ++i) {
      sum += magnitude(entries[i].weight);
      if (entries[i].weight == 0) continue;  // a filler
      do {
        if (lane == group.lanes) {
          const bool more = dcsr_next_group(columns, &group);
          CHECK(more, "%s: more entries than nonzeros", context);
          if (!more) return;
          lane = 0;
        }
        ++lane;
      } while (group.weight[lane - 1] == 0);
      CHECK(entries[i].weight == group.weight[lane - 1] &&
                entries[i].offset == (uint32_t)group.column[lane - 1] * kPitch,
            "%s: weight %d at %u, expected %d at %u", context, (int)entries[i].weight,
            (unsigned)entries[i].offset, (int)group.weight[lane - 1],
            (unsigned)group.column[lane - 1] * kPitch);
    }
    CHECK(sum <= kDcsrMostMagnitude, "%s: a group of magnitude %d", context, (int)sum);
    previous = count;
    CHECK(count > 0 || dcsr_is_last_group(code), "%s: an empty group", context);
    if (count == 0) break;
  } while (!dcsr_is_last_group(code));
  CHECK(program == end, "%s: the row list ends elsewhere", context);
  for (;;) {
    for (; lane < group.lanes; ++lane) {
      CHECK(group.weight[lane] == 0, "%s: a nonzero is missing", context);
    }
    if (!dcsr_next_group(columns, &group)) break;
    lane = 0;
  }
}

static void check_case(const DcsrCase* c, const PackOptions* packing) {
  CaseData data = make_case(c, 1);
  if (!pack_row_length_fits(&data.layer, packing)) {
    free_case(&data);
    return;
  }
  PackedBlob blob = pack_layer(&data.layer, packing);
  DcsrLayer layer;
  DcsrStatus status = dcsr_layer_parse(blob.data, blob.size, &layer);
  if (status == kDcsrOk) status = dcsr_layer_validate(&layer);
  CHECK(status == kDcsrOk, "'%s': %s", c->name, dcsr_status_string(status));

  uint32_t longest = 1;
  for (uint32_t row = 0; row < layer.rows; ++row) {
    const uint32_t length = dcsr_row_length(&layer, row);
    if (length > longest) longest = length;
  }
  void* memory = malloc(dcsr_word_reader_bytes(longest));
  uint32_t* program = (uint32_t*)malloc(dcsr_row_program_words(longest) * sizeof(uint32_t));
  if (memory == NULL || program == NULL) abort();
  const int8_t* x = (const int8_t*)memory;  // any address: activations are not read
#if defined(__ARM_FEATURE_MVE)
  const uint32_t base = (uint32_t)(uintptr_t)x;
#else
  const uint32_t base = 0;
#endif
  DcsrWordReader reader =
      dcsr_word_reader(&layer, dcsr_word_stage(&layer), x, kPitch, longest, memory);
  DcsrRowReader columns = dcsr_row_reader(&layer);
  for (uint32_t row = 0; row < layer.rows; ++row) {
    char context[128];
    snprintf(context, sizeof(context), "'%s', encoding %d, row %u", c->name, (int)packing->encoding,
             (unsigned)row);
    dcsr_next_row(&columns);
    const uint32_t elements = dcsr_next_row_elements(&reader);
    const uint32_t* end = dcsr_next_row_program(&reader, elements, program);
    CHECK((size_t)(end - program) <= dcsr_row_program_words(elements), "%s: too long", context);
    check_row(context, program, end, base, &columns);
  }
  free(program);
  free(memory);
  free_packed_blob(&blob);
  free_case(&data);
}

static void test_row_lists_hold_the_nonzeros_in_the_longest_groups(void) {
  for (size_t i = 0; i < kDcsrCaseCount; ++i) {
    if (kDcsrCases[i].cols > kMostCols) continue;
    for (size_t k = 0; k < kPackingCount; ++k) check_case(&kDcsrCases[i], &kPackings[k]);
  }
}

int main(void) {
  RUN_TEST(test_row_lists_hold_the_nonzeros_in_the_longest_groups);
  return check_exit_status();
}
