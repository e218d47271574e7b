// Fully connected layer for cores without vectors, any encoding (docs/format.md#arithmetic).
//
// Input:   [batches, cols], int8.
// Output:  [batches, rows], int8.
// Scratch: none.
// Cycles:  counted in costs/costs.c.
//
// One batch: elements of rle and dcsr are multiplied as they are decoded, from words of eight gaps
// or deltas (group_words.h). Four batches: each group is decoded once, and the four sums stay in
// registers.

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tflm_kernels/common/compiler.h"
#include "tflm_kernels/common/requantize.h"
#include "tflm_kernels/format/group_decoder.h"
#include "tflm_kernels/format/group_words.h"
#include "tflm_kernels/format/row_reader.h"
#include "tflm_kernels/scalar/scalar.h"

enum { kBlockBatches = 4 };

static uint32_t multiply_group(const DcsrGroup* group, const int8_t* x, uint32_t sum) {
  for (uint32_t l = 0; l < group->lanes; ++l) {
    sum += (uint32_t)(group->weight[l] * x[group->column[l]]);
  }
  return sum;
}

// Adds the products of the reader's current row, which is rle.
static uint32_t multiply_rle_row(DcsrRowReader* reader, const int8_t* x, uint32_t sum) {
  const DcsrLayer* layer = reader->layer;
  const int8_t* weight = reader->weight;
  uint32_t first = reader->element;
  uint32_t left = reader->left;
  for (; left >= 8; left -= 8) {
    const uint32_t gaps = dcsr_gap_word(layer->index, first);
    DCSR_UNROLL("GCC unroll 8")
    for (uint32_t l = 0; l < 8; ++l) {
      x += gaps >> (4 * l) & 0xF;
      sum += (uint32_t)(weight[l] * *x++);
      DCSR_LANE_DONE(sum);
      DCSR_LANE_DONE(x);
    }
    weight += 8;
    first += 8;
  }
  if (left > 0) {
    uint32_t gaps = dcsr_gap_word(layer->index, first);
    for (; left > 0; --left) {
      x += gaps & 0xF;
      gaps >>= 4;
      sum += (uint32_t)(*weight++ * *x++);
    }
  }
  reader->weight = weight;
  reader->element += reader->left;
  reader->left = 0;
  return sum;
}

// Adds the products of eight lanes. `line` is 16 times the column of the first lane before its
// delta is added.
static inline uint32_t multiply_lanes(const int8_t* weight, const int8_t* x, int32_t line,
                                      int32_t slope, uint32_t even, uint32_t odd, uint32_t sum) {
  DCSR_UNROLL("GCC unroll 8")
  for (uint32_t l = 0; l < 4; ++l) {
    // The sum is a valid column. Its terms may not be.
    const int32_t column0 = (line >> kDcsrSlopeBits) + (int32_t)(even >> (8 * l) & 0xFF);
    sum += (uint32_t)(weight[2 * l] * x[column0]);
    line += slope;
    DCSR_LANE_DONE(sum);
    DCSR_LANE_DONE(line);
    const int32_t column1 = (line >> kDcsrSlopeBits) + (int32_t)(odd >> (8 * l) & 0xFF);
    sum += (uint32_t)(weight[2 * l + 1] * x[column1]);
    line += slope;
    DCSR_LANE_DONE(sum);
    DCSR_LANE_DONE(line);
  }
  return sum;
}

// Adds the products of the reader's current dcsr row. Stops at the first group that is not whole or
// has too many planes.
static uint32_t multiply_dcsr_groups(DcsrRowReader* reader, const int8_t* x, uint32_t sum) {
  const int32_t slope = (int32_t)reader->slope;
  while (reader->left >= kDcsrGroupLanes) {
    const uint32_t planes = dcsr_load_u16(reader->index) & kDcsrPlaneMask;
    if (planes > kDcsrMostWordPlanes) break;
    const int32_t base = dcsr_group_base(reader->index, reader->expected);
    const int32_t line = base * (1 << kDcsrSlopeBits);
    const DcsrDeltaWords words =
        dcsr_delta_words(reader->delta, &reader->plane, planes, kDcsrGroupLanes);
    sum = multiply_lanes(reader->weight, x, line, slope, dcsr_even_deltas(&words, 0),
                         dcsr_odd_deltas(&words, 0), sum);
    sum = multiply_lanes(reader->weight + 8, x, line + 8 * slope, slope,
                         dcsr_even_deltas(&words, 1), dcsr_odd_deltas(&words, 1), sum);
    reader->index += dcsr_descriptor_bytes(reader->index);
    reader->delta += kDcsrGroupLanes / 2;
    reader->expected = base + slope;
    reader->weight += kDcsrGroupLanes;
    reader->left -= kDcsrGroupLanes;
  }
  return sum;
}

// Adds the products of the groups of the reader's current row that are a base and byte offsets.
// Stops at the first other group.
static uint32_t multiply_offset_groups(DcsrRowReader* reader, const int8_t* x, uint32_t sum) {
  while (dcsr_is_offset_group(reader)) {
    const int32_t base = dcsr_offset_base(reader);
    const uint8_t* offset = reader->delta;
    const int8_t* weight = reader->weight;
    DCSR_UNROLL("GCC unroll 16")
    for (uint32_t l = 0; l < kDcsrGroupLanes; ++l) {
      sum += (uint32_t)(weight[l] * x[base + (int32_t)offset[l]]);
      DCSR_LANE_DONE(sum);
    }
    reader->delta += kDcsrGroupLanes;
    reader->weight += kDcsrGroupLanes;
    reader->left -= kDcsrGroupLanes;
  }
  return sum;
}

static void multiply_vector(const DcsrLayer* layer, const int8_t* x, int8_t* output) {
  const bool is_plain = layer->value_coding == kDcsrValuesPlain;
  const bool has_offset_groups = is_plain && dcsr_has_offset_groups(layer);
  const bool has_nibbles =
      is_plain && layer->encoding == kDcsrEncodingDcsr && !dcsr_has_byte_deltas(layer);
  DcsrRowReader reader = dcsr_row_reader(layer);
  for (uint32_t row = 0; row < layer->rows; ++row) {
    const DcsrRowTail tail = dcsr_fast_row_tail(layer, row);
    uint32_t sum = (uint32_t)tail.bias;
    dcsr_next_row(&reader);
    if (is_plain && layer->encoding == kDcsrEncodingRle) {
      sum = multiply_rle_row(&reader, x, sum);
    } else {
      while (reader.left > 0) {
        if (has_offset_groups) sum = multiply_offset_groups(&reader, x, sum);
        if (has_nibbles) sum = multiply_dcsr_groups(&reader, x, sum);
        // The next group is of another encoding, the last of its row, or has many planes.
        DcsrGroup group;
        if (dcsr_decode_group(&reader, &group)) sum = multiply_group(&group, x, sum);
      }
    }
    output[row] = dcsr_requantize_by(layer, tail.multiplier, tail.shift, sum);
  }
}

// Computes the outputs of kBlockBatches vectors.
static void multiply_block(const DcsrLayer* layer, const int8_t* x, int8_t* output) {
  const size_t cols = layer->cols;
  const size_t rows = layer->rows;
  DcsrRowReader reader = dcsr_row_reader(layer);
  for (uint32_t row = 0; row < layer->rows; ++row) {
    const DcsrRowTail tail = dcsr_row_tail(layer, row);
    uint32_t sum0 = (uint32_t)tail.bias;
    uint32_t sum1 = sum0, sum2 = sum0, sum3 = sum0;
    dcsr_next_row(&reader);
    DcsrGroup group;
    while (dcsr_decode_group(&reader, &group)) {
      for (uint32_t l = 0; l < group.lanes; ++l) {
        const int32_t weight = group.weight[l];
        const int8_t* p = x + group.column[l];
        sum0 += (uint32_t)(weight * p[0]);
        sum1 += (uint32_t)(weight * p[cols]);
        sum2 += (uint32_t)(weight * p[2 * cols]);
        sum3 += (uint32_t)(weight * p[3 * cols]);
      }
    }
    output[row] = dcsr_requantize_by(layer, tail.multiplier, tail.shift, sum0);
    output[rows + row] = dcsr_requantize_by(layer, tail.multiplier, tail.shift, sum1);
    output[2 * rows + row] = dcsr_requantize_by(layer, tail.multiplier, tail.shift, sum2);
    output[3 * rows + row] = dcsr_requantize_by(layer, tail.multiplier, tail.shift, sum3);
  }
}

void dcsr_fully_connected_c(const DcsrPlan* plan, const DcsrLayer* layer,
                            const DcsrConvShape* shape, const void* input_data, void* output_data,
                            void* scratch) {
  (void)plan;
  (void)scratch;
  const int8_t* input = (const int8_t*)input_data;
  int8_t* output = (int8_t*)output_data;
  int32_t batches = shape->batches;
  for (; batches >= kBlockBatches; batches -= kBlockBatches) {
    multiply_block(layer, input, output);
    input += (size_t)kBlockBatches * layer->cols;
    output += (size_t)kBlockBatches * layer->rows;
  }
  for (; batches > 0; --batches) {
    multiply_vector(layer, input, output);
    input += layer->cols;
    output += layer->rows;
  }
}
