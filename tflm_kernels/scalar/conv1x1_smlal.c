// 1x1 convolution with SMLAL and LDRD (Armv7-M and later: Cortex-M3, M4, M7, M33), any encoding.
//
// Input:   [batches, input_height, input_width, cols], int8, or planes.
// Output:  [batches, output_height, output_width, rows], int8, or planes.
// Scratch: list of a row, sums, totals, a tile of activations (plan_conv1x1_smlal.h).
// Cycles:  counted in costs/costs.c (docs/kernels.md#cores-without-mve).
//
// Two pixels share one 32-bit word, and so one multiplication:
//
//   word = x1 * 2^23 + x0        SMLAL: sum += weight * word        sum = sum1 * 2^23 + sum0
//
// A shift of 24 is too large: -128 * 2^24 - 128 does not fit int32. sum0 has 23 bits. It cannot
// overflow because a list has at most kDcsrSmlalMostListEntries terms, each at most 2^14. sum1 has
// 41 bits. Sums start with 2^22, so that the low 23 bits never borrow from the others.
//
// A tile of activations is transposed to channel-major blocks of 8 pixels: x[block][cols][4] words.
// The last block has 1 or 2 words for each column if these hold its pixels. For each row the
// nonzeros are decoded to a list of column offsets and weights once, and the list is multiplied
// with every block of the tile. The sums of eight pixels take up all registers. GCC does not keep
// them there, so the loops are in assembly.

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tflm_kernels/common/compiler.h"
#include "tflm_kernels/common/layout.h"
#include "tflm_kernels/common/row_scale.h"
#include "tflm_kernels/format/group_decoder.h"
#include "tflm_kernels/format/group_words.h"
#include "tflm_kernels/format/row_reader.h"
#include "tflm_kernels/planning/plan_conv1x1_smlal.h"
#include "tflm_kernels/scalar/scalar.h"
#include "tflm_kernels/scalar/smlal_output.h"
#include "tflm_kernels/scalar/smlal_tile.h"

enum {
  kBlockPixels = kDcsrSmlalBlockPixels,
  kBlockWords = kBlockPixels / 2,
  kWordBytes = 4,
};

// An entry with offset 0 at an even index ends the list.
typedef struct {
  uint32_t offset;  // in a block, in bytes, of the words after the column's: never 0
  int32_t weight;
} ListEntry;

_Static_assert(sizeof(ListEntry) == kDcsrSmlalListEntryBytes, "plan_conv1x1_smlal.h");

// The parts of scratch: list, sums, totals, activations.
typedef struct {
  ListEntry* list;
  size_t list_entries;
  uint32_t* sums;      // two words for each pair of pixels
  uint32_t* totals;    // the same, over all lists of a row
  size_t total_words;  // 0 if every row fits into one list
  uint32_t* x;
} Scratch;

static Scratch divide_scratch(const DcsrPlan* plan, void* scratch) {
  const size_t tile_pixels = plan->tile_pixels;
  Scratch parts;
  parts.list = (ListEntry*)scratch;
  parts.list_entries = dcsr_conv1x1_smlal_list_entries(plan->longest_row);
  parts.sums = (uint32_t*)(void*)(parts.list + parts.list_entries);
  parts.totals = parts.sums + tile_pixels;
  parts.total_words = dcsr_conv1x1_smlal_has_one_list(plan->longest_row) ? 0 : tile_pixels;
  parts.x = parts.totals + parts.total_words;
  return parts;
}

static uint32_t column_of(const ListEntry* entry) {
  return entry->offset / kDcsrSmlalColumnBytes - 1;
}

#if defined(__thumb2__) && !defined(DCSR_NO_ASSEMBLY)

// Constants that the assembly uses as numbers.
_Static_assert(kDcsrSmlalColumnBytes == 16 && kBlockPixels == 8, "");
_Static_assert(sizeof(ListEntry) == 8 && offsetof(ListEntry, weight) == 4, "");
_Static_assert(kDcsrSmlalSumStart == 0x400000, "");

// Multiplies a list with `blocks` blocks that are `stride` bytes apart. Writes sums[block][4], a
// 64-bit pair of sums each.
__attribute__((naked, noinline)) static uint32_t* multiply_blocks(
    const ListEntry* list __attribute__((unused)), const uint32_t* x __attribute__((unused)),
    uint32_t* sums __attribute__((unused)), size_t blocks __attribute__((unused)),
    size_t stride __attribute__((unused))) {
  // r0 list, r1 block, r2 and r3 offset and weight, r4-r11 sums, r12 and lr words.
  // Stack: list, sums, blocks, r4-r11, lr, stride.
  __asm__ volatile(
      ".syntax unified\n"
      "push {r4-r11, lr}\n"
      "sub sp, #12\n"
      "str r0, [sp]\n"
      "str r2, [sp, #4]\n"
      "str r3, [sp, #8]\n"
      "1:\n"  // next block
      "mov r4, #0x400000\n"
      "movs r5, #0\n"
      "mov r6, r4\n"
      "movs r7, #0\n"
      "mov r8, r4\n"
      "mov r9, r5\n"
      "mov r10, r4\n"
      "mov r11, r5\n"
      "2:\n"  // first two of four entries
      "ldrd r2, r3, [r0], #8\n"
      "cbz r2, 3f\n"
      "add r2, r1\n"
      "ldrd r12, lr, [r2, #-16]\n"
      "smlal r4, r5, r12, r3\n"
      "smlal r6, r7, lr, r3\n"
      "ldrd r12, lr, [r2, #-8]\n"
      "smlal r8, r9, r12, r3\n"
      "smlal r10, r11, lr, r3\n"
      "ldrd r2, r3, [r0], #8\n"
      "add r2, r1\n"
      "ldrd r12, lr, [r2, #-16]\n"
      "smlal r4, r5, r12, r3\n"
      "smlal r6, r7, lr, r3\n"
      "ldrd r12, lr, [r2, #-8]\n"
      "smlal r8, r9, r12, r3\n"
      "smlal r10, r11, lr, r3\n"
      "ldrd r2, r3, [r0], #8\n"  // last two of four entries
      "cbz r2, 3f\n"
      "add r2, r1\n"
      "ldrd r12, lr, [r2, #-16]\n"
      "smlal r4, r5, r12, r3\n"
      "smlal r6, r7, lr, r3\n"
      "ldrd r12, lr, [r2, #-8]\n"
      "smlal r8, r9, r12, r3\n"
      "smlal r10, r11, lr, r3\n"
      "ldrd r2, r3, [r0], #8\n"
      "add r2, r1\n"
      "ldrd r12, lr, [r2, #-16]\n"
      "smlal r4, r5, r12, r3\n"
      "smlal r6, r7, lr, r3\n"
      "ldrd r12, lr, [r2, #-8]\n"
      "smlal r8, r9, r12, r3\n"
      "smlal r10, r11, lr, r3\n"
      "b 2b\n"
      "3:\n"
      "ldrd r2, r3, [sp, #4]\n"
      "stmia r2!, {r4-r11}\n"
      "ldr r0, [sp, #48]\n"
      "add r1, r0\n"
      "ldr r0, [sp]\n"
      "subs r3, #1\n"
      "strd r2, r3, [sp, #4]\n"
      "bne 1b\n"
      "mov r0, r2\n"
      "add sp, #12\n"
      "pop {r4-r11, pc}\n");
}

// Multiplies a last block with two words per column. List offsets are those of whole blocks.
static void multiply_two_words(const ListEntry* list, const uint32_t* x, uint32_t* sums) {
  uint32_t low0 = kDcsrSmlalSumStart, high0 = 0, low1 = kDcsrSmlalSumStart, high1 = 0;
  uint32_t offset, weight, word0, word1;
  __asm__ volatile(
      "1:\n"
      "ldrd %[offset], %[weight], [%[list]], #8\n"
      "cmp %[offset], #0\n"
      "beq 2f\n"
      "add %[offset], %[x], %[offset], lsr #1\n"
      "ldrd %[word0], %[word1], [%[offset], #-8]\n"
      "smlal %[low0], %[high0], %[word0], %[weight]\n"
      "smlal %[low1], %[high1], %[word1], %[weight]\n"
      "ldrd %[offset], %[weight], [%[list]], #8\n"
      "add %[offset], %[x], %[offset], lsr #1\n"
      "ldrd %[word0], %[word1], [%[offset], #-8]\n"
      "smlal %[low0], %[high0], %[word0], %[weight]\n"
      "smlal %[low1], %[high1], %[word1], %[weight]\n"
      "b 1b\n"
      "2:\n"
      : [low0] "+&r"(low0), [high0] "+&r"(high0), [low1] "+&r"(low1), [high1] "+&r"(high1),
        [list] "+&r"(list), [offset] "=&r"(offset), [weight] "=&r"(weight), [word0] "=&r"(word0),
        [word1] "=&r"(word1)
      : [x] "r"(x)
      : "cc", "memory");
  sums[0] = low0;
  sums[1] = high0;
  sums[2] = low1;
  sums[3] = high1;
}

#else

static void multiply_words(const ListEntry* list, const uint32_t* x, uint32_t words,
                           uint32_t* sums) {
  for (uint32_t w = 0; w < words; ++w) {
    int64_t sum = kDcsrSmlalSumStart;
    for (const ListEntry* entry = list;; ++entry) {
      if (entry->offset == 0 && (entry - list) % 2 == 0) break;
      const uint32_t word = x[column_of(entry) * words + w];
      sum += (int64_t)(int32_t)word * entry->weight;
    }
    sums[2 * w] = (uint32_t)sum;
    sums[2 * w + 1] = (uint32_t)((uint64_t)sum >> 32);
  }
}

static uint32_t* multiply_blocks(const ListEntry* list, const uint32_t* x, uint32_t* sums,
                                 size_t blocks, size_t stride) {
  for (size_t b = 0; b < blocks; ++b) {
    multiply_words(list, x, kBlockWords, sums);
    x += stride / kWordBytes;
    sums += kBlockPixels;
  }
  return sums;
}

static void multiply_two_words(const ListEntry* list, const uint32_t* x, uint32_t* sums) {
  multiply_words(list, x, 2, sums);
}

#endif

// Multiplies a last block with one word per column.
static void multiply_one_word(const ListEntry* list, const uint32_t* x, uint32_t* sums) {
  int64_t sum = kDcsrSmlalSumStart;
  for (; list->offset != 0; list += 2) {
    sum += (int64_t)(int32_t)x[column_of(&list[0])] * list[0].weight;
    sum += (int64_t)(int32_t)x[column_of(&list[1])] * list[1].weight;
  }
  sums[0] = (uint32_t)sum;
  sums[1] = (uint32_t)((uint64_t)sum >> 32);
}

static void multiply_tile(const ListEntry* list, const uint32_t* x, uint32_t cols, size_t pixels,
                          uint32_t* sums) {
  const size_t tail = pixels % kBlockPixels;
  const bool whole_tail = tail > kBlockPixels / 2;
  const size_t blocks = pixels / kBlockPixels + (whole_tail ? 1 : 0);
  const size_t words = (size_t)cols * kBlockWords;
  if (blocks > 0) sums = multiply_blocks(list, x, sums, blocks, words * kWordBytes);
  if (tail == 0 || whole_tail) return;
  if (tail > 2) {
    multiply_two_words(list, x + blocks * words, sums);
  } else {
    multiply_one_word(list, x + blocks * words, sums);
  }
}

static void add_to_totals(const uint32_t* sums, size_t pixels, uint32_t* totals) {
  for (size_t p = 0; p < pixels; p += 2) {
    totals[p] += dcsr_smlal_even_sum(sums + p) - kDcsrSmlalSumStart;
    totals[p + 1] += dcsr_smlal_odd_sum(sums + p);
  }
}

// Where the outputs of a tile lie. `step` are bytes between pixels.
typedef struct {
  int8_t* data;  // of the first pixel and row
  size_t row_step;
  size_t step;
} Output;

static void requantize_pairs(const DcsrLayer* layer, uint32_t row, uint32_t length,
                             const uint32_t* sums, size_t pixels, const Output* to) {
  const DcsrRowScale scale = dcsr_row_scale(layer, row, length);
  const uint32_t bias = (uint32_t)scale.bias;
  int8_t* output = to->data + row * to->row_step;
  size_t p = 0;
  if (scale.fast && scale.full && pixels >= kDcsrSmlalQuadPixels) {
    const DcsrSmlalRow of_row = {
        scale.multiplier,  scale.offset, scale.right, bias << 1, (bias - kDcsrSmlalSumStart) << 1,
        (uint32_t)to->step};
    p = pixels - pixels % kDcsrSmlalQuadPixels;
    (scale.halves ? dcsr_smlal_requantize_halves : dcsr_smlal_requantize_clamped)(sums, sums + p,
                                                                                  output, &of_row);
  }
  for (; p < pixels; ++p) {
    const uint32_t sum = p % 2 == 0 ? dcsr_smlal_even_sum(sums + p) - kDcsrSmlalSumStart
                                    : dcsr_smlal_odd_sum(sums + p - 1);
    output[p * to->step] = dcsr_scale_any(layer, row, &scale, bias + sum);
  }
}

static void requantize_totals(const DcsrLayer* layer, uint32_t row, uint32_t length,
                              const uint32_t* totals, size_t pixels, const Output* to) {
  const DcsrRowScale scale = dcsr_row_scale(layer, row, length);
  const uint32_t bias = (uint32_t)scale.bias;
  int8_t* output = to->data + row * to->row_step;
  for (size_t p = 0; p < pixels; ++p) {
    output[p * to->step] = dcsr_scale_any(layer, row, &scale, bias + totals[p]);
  }
}

// Appends a group to a list of `count` entries. Skips fillers, whose weight is 0.
static inline size_t append_group(const DcsrGroup* group, ListEntry* list, size_t count) {
  for (uint32_t l = 0; l < group->lanes; ++l) {
    list[count].offset = ((uint32_t)group->column[l] + 1) * kDcsrSmlalColumnBytes;
    list[count].weight = group->weight[l];
    count += group->weight[l] != 0 ? 1 : 0;
  }
  return count;
}

// Appends eight lanes of a dcsr group. `line` is 16 times the column of the first lane before its
// delta is added.
static inline void append_lanes(const int8_t* weight, int32_t line, int32_t slope, uint32_t even,
                                uint32_t odd, ListEntry* list) {
  line += 1 << kDcsrSlopeBits;  // list offsets point to the next column
  DCSR_UNROLL("GCC unroll 8")
  for (uint32_t l = 0; l < 4; ++l) {
    const int32_t next0 = (line >> kDcsrSlopeBits) + (int32_t)(even >> (8 * l) & 0xFF);
    list[2 * l].offset = (uint32_t)next0 * kDcsrSmlalColumnBytes;
    list[2 * l].weight = weight[2 * l];
    line += slope;
    DCSR_LANE_DONE(line);
    const int32_t next1 = (line >> kDcsrSlopeBits) + (int32_t)(odd >> (8 * l) & 0xFF);
    list[2 * l + 1].offset = (uint32_t)next1 * kDcsrSmlalColumnBytes;
    list[2 * l + 1].weight = weight[2 * l + 1];
    line += slope;
    DCSR_LANE_DONE(line);
  }
}

// Appends the groups of a dcsr row from entry `count` on. Stops at the first group that is not
// whole or has too many planes.
DCSR_NOINLINE static size_t append_dcsr_groups(DcsrRowReader* row_reader, size_t limit,
                                               ListEntry* list, size_t count) {
  // Copy only these fields of the reader, because its table is large.
  struct {
    const uint8_t* index;
    const uint8_t* delta;
    const uint8_t* plane;
    const int8_t* weight;
    uint32_t left;
    int32_t expected;
  } reader = {row_reader->index,  row_reader->delta, row_reader->plane,
              row_reader->weight, row_reader->left,  row_reader->expected};
  const int32_t slope = (int32_t)row_reader->slope;
  while (reader.left >= kDcsrGroupLanes && count + kDcsrGroupLanes <= limit) {
    const uint32_t planes = dcsr_load_u16(reader.index) & kDcsrPlaneMask;
    if (planes > kDcsrMostWordPlanes) break;
    const int32_t base = dcsr_group_base(reader.index, reader.expected);
    const int32_t line = base * (1 << kDcsrSlopeBits);
    const DcsrDeltaWords words =
        dcsr_delta_words(reader.delta, &reader.plane, planes, kDcsrGroupLanes);
    append_lanes(reader.weight, line, slope, dcsr_even_deltas(&words, 0),
                 dcsr_odd_deltas(&words, 0), list + count);
    append_lanes(reader.weight + 8, line + 8 * slope, slope, dcsr_even_deltas(&words, 1),
                 dcsr_odd_deltas(&words, 1), list + count + 8);
    reader.index += dcsr_descriptor_bytes(reader.index);
    reader.delta += kDcsrGroupLanes / 2;
    reader.expected = base + slope;
    reader.weight += kDcsrGroupLanes;
    reader.left -= kDcsrGroupLanes;
    count += kDcsrGroupLanes;
  }
  row_reader->index = reader.index;
  row_reader->delta = reader.delta;
  row_reader->plane = reader.plane;
  row_reader->weight = reader.weight;
  row_reader->left = reader.left;
  row_reader->expected = reader.expected;
  return count;
}

static void end_list(ListEntry* list, size_t count) {
  if (count % 2 != 0) {
    // This entry may refer to any column. A full list is even and needs none.
    list[count].offset = kDcsrSmlalColumnBytes;
    list[count].weight = 0;
    ++count;
  }
  list[count].offset = 0;
  list[count].weight = 0;
}

// Appends the next groups of a row by itself, as far as it can.
typedef size_t AppendGroups(DcsrRowReader* reader, size_t limit, ListEntry* list, size_t count);

// Decodes the rest of the row, at most `limit` entries of it. `append` is NULL if the row reader
// decodes all groups.
DCSR_NOINLINE static void fill_list(DcsrRowReader* reader, AppendGroups* append, size_t limit,
                                    ListEntry* list) {
  DcsrGroup group;
  size_t count = 0;
  do {
    if (append != NULL) count = append(reader, limit, list, count);
    if (count + kDcsrGroupLanes > limit || !dcsr_decode_group(reader, &group)) break;
    count = append_group(&group, list, count);
  } while (reader->left > 0);
  end_list(list, count);
}

static void multiply_rows(const DcsrLayer* layer, AppendGroups* append, const Scratch* scratch,
                          size_t pixels, const Output* output) {
  ListEntry* list = scratch->list;
  uint32_t* sums = scratch->sums;
  uint32_t* totals = scratch->totals;
  const uint32_t* x = scratch->x;
  const size_t limit = scratch->list_entries - kDcsrSmlalListSlack;
  DcsrRowReader reader = dcsr_row_reader(layer);
  for (uint32_t row = 0; row < layer->rows; ++row) {
    dcsr_next_row(&reader);
    const uint32_t length = reader.left;
    fill_list(&reader, append, limit, list);
    multiply_tile(list, x, layer->cols, pixels, sums);
    if (reader.left == 0) {
      requantize_pairs(layer, row, length, sums, pixels, output);
      continue;
    }
    for (size_t p = 0; p < scratch->total_words; ++p) totals[p] = 0;
    add_to_totals(sums, pixels, totals);
    while (reader.left > 0) {
      fill_list(&reader, append, limit, list);
      multiply_tile(list, x, layer->cols, pixels, sums);
      add_to_totals(sums, pixels, totals);
    }
    requantize_totals(layer, row, length, totals, pixels, output);
  }
}

DCSR_NOINLINE static void convolve(const DcsrPlan* plan, const DcsrLayer* layer,
                                   const DcsrConvShape* shape, const void* input_data,
                                   void* output_data, void* scratch, AppendGroups* append) {
  const bool has_planes = dcsr_has_output_planes(layer);
  Output output;
  output.data = (int8_t*)output_data;
  output.row_step = has_planes ? dcsr_output_steps(layer, shape).channel : 1;
  output.step = has_planes ? 1 : layer->rows;
  size_t left = dcsr_pixel_count(shape);
  const size_t most = plan->tile_pixels;
  const Scratch parts = divide_scratch(plan, scratch);
  DcsrSmlalInput input = dcsr_smlal_input(layer, shape, (const int8_t*)input_data);
  while (left > 0) {
    const size_t count = left < most ? left : most;
    dcsr_smlal_fill_tile(&input, count, layer->cols, parts.x);
    multiply_rows(layer, append, &parts, count, &output);
    output.data += count * output.step;
    left -= count;
  }
}

static bool has_nibbles(const DcsrLayer* layer) {
  return layer->encoding == kDcsrEncodingDcsr && !dcsr_has_byte_deltas(layer) &&
         layer->value_coding == kDcsrValuesPlain;
}

// The kernel for the layers of one decoder.
#define DCSR_PART(name, append)                                                       \
  void name(const DcsrPlan* plan, const DcsrLayer* layer, const DcsrConvShape* shape, \
            const void* input, void* output, void* scratch) {                         \
    convolve(plan, layer, shape, input, output, scratch, append);                     \
  }

DCSR_PART(dcsr_conv1x1_smlal, has_nibbles(layer) ? append_dcsr_groups : NULL)
DCSR_PART(dcsr_conv1x1_smlal_groups, NULL)
DCSR_PART(dcsr_conv1x1_smlal_nibbles, append_dcsr_groups)
