// Row lists of a matrix (row_words_mve.h), with MVE (Cortex-M55, M85) or in C.
// Format: docs/format.md#encodings.
//
// Input:   the next row of a layer, any encoding.
// Output:  its row list: addresses and weights of the nonzeros, in groups.
// Scratch: one decoded row, dcsr_word_reader_bytes(elements of the longest row).
// Cycles:  docs/kernels.md#what-bounds-it.
//
// A row is first decoded to words, one per nonzero, and then the words are grouped.

#include "tflm_kernels/mve/row_words_mve.h"

#include <string.h>

#include "tflm_kernels/common/compiler.h"
#include "tflm_kernels/format/group_decoder.h"
#include "tflm_kernels/format/group_words.h"
#include "tflm_kernels/format/one_bits.h"
#include "tflm_kernels/mve/one_bits_mve.h"

enum {
  kEndOfMagnitudes = 255,
  kSlack = kDcsrMveWordSlack,  // words and magnitudes that may be written past the end of the row
};

#if DCSR_HAS_MVE
#include <arm_mve.h>

// Offsets that the assembly uses.
_Static_assert(offsetof(DcsrWordReader, word) == 0, "");
_Static_assert(offsetof(DcsrWordReader, magnitude) == 4, "");
_Static_assert(offsetof(DcsrWordReader, words) == 8, "");
_Static_assert(offsetof(DcsrWordReader, magnitudes) == 12, "");
_Static_assert(offsetof(DcsrWordReader, limit) == 16, "");
_Static_assert(offsetof(DcsrWordReader, pitch) == 20, "");
_Static_assert(offsetof(DcsrWordReader, slopes) == 24, "");
_Static_assert(offsetof(DcsrWordReader, x) == 28, "");
_Static_assert(offsetof(DcsrWordReader, row.index) == 40, "");
_Static_assert(offsetof(DcsrWordReader, row.delta) == 44, "");
_Static_assert(offsetof(DcsrWordReader, row.plane) == 48, "");
_Static_assert(offsetof(DcsrWordReader, row.weight) == 52, "");
_Static_assert(offsetof(DcsrWordReader, row.left) == 60, "");
_Static_assert(offsetof(DcsrWordReader, row.slope) == 64, "");
_Static_assert(offsetof(DcsrWordReader, row.expected) == 68, "");

// Constants that the assembly uses as numbers.
_Static_assert(kEndOfMagnitudes == 0xFF, "0xff000000, and the word -1 at the end of a row");
_Static_assert(kEndOfMagnitudes > DCSR_MOST_MAGNITUDE, "the end mark ends every group");
_Static_assert(kDcsrMostGroup == 6 && kDcsrGroupHalf == 3, "");
_Static_assert(sizeof(DcsrGroupCode) == 20, "a code minus 21");
_Static_assert(offsetof(DcsrGroupCode, last) == 4 && offsetof(DcsrGroupCode, count) == 8, "");
_Static_assert(kDcsrGroupLanes == 16 && kDcsrStepBytes == 2, "");
_Static_assert(kDcsrPlaneMask == 15 && kDcsrStepShift == 4, "");
_Static_assert(kDcsrStepEscape << kDcsrStepShift == 0x8000, "");
_Static_assert(kDcsrMostWordPlanes == 4 && kDcsrNibbleBits == 4 && kDcsrSlopeBits == 4, "");

#define DCSR_TEXT_OF(value) #value
#define DCSR_TEXT(value) DCSR_TEXT_OF(value)

// uint32_t* stage(DcsrWordReader* reader, uint32_t elements, uint32_t* program) writes the row list
// of the next row, which has `elements` > 0 elements, if all its groups are simple. It returns the
// end of the row list. Otherwise it decodes the groups before the first one that is not simple, and
// returns NULL. Simple groups are
// - all groups of offset8,
// - groups of dcsr without an escaped base that have at most four planes, or no planes if deltas
//   are bytes,
// unless their first weight is past `limit`, as sixteen weights are read at once.
//
// Columns are multiplied by the pitch, in halfwords. VST2 interleaves them with the weights to
// words. A partial group is treated as a whole one; the pointers are corrected afterwards.
//
// r0 planes or a buffer, r1 elements left, r2 slope times pitch, r3 base times pitch, r4 index, r5
// delta, r6 plane, r7 weight, r8 word, r9 magnitude, r10 limit, r11 pitch, r12 descriptor, lr the
// value of a plane. q4, q5 lines times pitch, q6 pitch. Stack: a buffer, saved registers.
__asm__(
    ".syntax unified\n"
    ".equ dcsr_mve_most_magnitude, " DCSR_TEXT(DCSR_MOST_MAGNITUDE) "\n"

    // Writes eight words from the deltas at r0 + d and the weights at r7 + d.
    ".macro dcsr_mve_put_words d, line:vararg\n"
    "vldrb.u16 q1, [r0, #\\d]\n"
    "vldrb.s16 q0, [r7, #\\d]\n"
    "vmlas.u16 q1, q6, r3\n"
    ".ifnb \\line\n"
    "vadd.i16 q1, q1, \\line\n"
    ".endif\n"
    "vst20.16 {q0, q1}, [r8]\n"
    "vst21.16 {q0, q1}, [r8]!\n"
    ".endm\n"

    // `first`: number of the first saved register, d8 or above; `bytes`: size of the buffer;
    // `slope`: whether the layer has a slope.
    ".macro dcsr_mve_begin_stage name, first, bytes, slope\n"
    ".section .text.\\name, \"ax\", %progbits\n"
    ".p2align 2\n"
    ".thumb\n"
    ".thumb_func\n"
    ".global \\name\n"
    ".type \\name, %function\n"
    "\\name:\n"
    "push {r0, r2, r3, r4-r11, lr}\n"
    "vpush {d\\first-d13}\n"
    ".if \\bytes\n"
    "sub sp, #\\bytes\n"
    ".endif\n"
    "add r12, r0, #8\n"
    ".if \\slope\n"
    "ldr r3, [r0, #24]\n"
    "udiv r2, r3, r1\n"
    ".endif\n"
    "adds r0, #40\n"
    "ldm r12, {r8-r11}\n"
    "ldm r0, {r4-r7}\n"
    "vdup.16 q6, r11\n"
    "movs r3, #0\n"
    ".endm\n"

    // Ends a group. `shift`: elements to bytes of delta.
    ".macro dcsr_mve_end_stage name, first, bytes, slope, shift\n"
    "vldrb.8 q0, [r7], #16\n"
    "vabs.s8 q0, q0\n"
    "vstrb.8 q0, [r9], #16\n"
    "subs r1, #16\n"
    "bgt 1b\n"
    "adds r7, r1\n"
    "add r9, r1\n"
    ".if \\shift\n"
    "rsb r12, r1, #0\n"
    "sub r5, r5, r12, lsr #\\shift\n"
    ".else\n"
    "add r5, r1\n"
    ".endif\n"
    "mov lr, #-1\n"
    "str lr, [r9]\n"
    ".if \\bytes\n"
    "add sp, #\\bytes\n"
    ".endif\n"
    "vpop {d\\first-d13}\n"
    "ldrd r3, r0, [sp], #12\n"
    "add r1, r3, #40\n"
    "stm r1, {r4-r7}\n"
    "ldr r11, [r3, #28]\n"
    "ldrd r1, r2, [r3, #8]\n"
    // Continue with the row list instead of a return.
    "b dcsr_mve_group_words\n"

    // The next group is not simple.
    "8:\n"
    ".if \\bytes\n"
    "add sp, #\\bytes\n"
    ".endif\n"
    "vpop {d\\first-d13}\n"
    "ldrd r0, r12, [sp], #12\n"
    ".if \\slope\n"
    "udiv r2, r2, r11\n"
    ".else\n"
    "movs r2, #0\n"
    ".endif\n"
    "sdiv r3, r3, r11\n"
    "strd r8, r9, [r0]\n"
    "add r12, r0, #60\n"
    "stm r12, {r1-r3}\n"
    "adds r0, #40\n"
    "stm r0, {r4-r7}\n"
    "movs r0, #0\n"
    "pop {r4-r11, pc}\n"
    ".size \\name, . - \\name\n"
    ".endm\n"

    // Adds the planes of a group. A plane has a halfword if the group has more than 8 elements,
    // else a byte. lr: the value of the plane, 16 for the first. The buffer holds the limit
    // meanwhile.
    ".macro dcsr_mve_add_planes load, bytes\n"
    "2:\n"
    "\\load r10, [r6], #\\bytes\n"
    "vmsr p0, r10\n"
    "vpst\n"
    "vaddt.i8 q1, q1, lr\n"
    "lsl lr, #1\n"
    "subs r0, #1\n"
    "bne 2b\n"
    ".endm\n"

    "dcsr_mve_begin_stage dcsr_mve_stage_nibbles, 8, 16, 1\n"
    "mov r12, #0\n"
    "vidup.u16 q4, r12, #1\n"
    "vidup.u16 q5, r12, #1\n"
    "vmul.i16 q4, q4, r2\n"
    "vmul.i16 q5, q5, r2\n"
    "vshr.u16 q4, q4, #4\n"
    "vshr.u16 q5, q5, #4\n"
    "vmul.i16 q4, q4, r11\n"
    "vmul.i16 q5, q5, r11\n"
    "mul r2, r2, r11\n"
    "1:\n"
    "cmp r7, r10\n"
    "bhi 8f\n"
    "ldrsh r12, [r4]\n"
    "ands r0, r12, #15\n"
    "bic r12, r12, #15\n"
    "cmp r0, #4\n"
    "bhi 8f\n"
    "cmn r12, #0x8000\n"
    "beq 8f\n"
    "vldrb.u16 q1, [r5], #8\n"
    "vsli.16 q1, q1, #4\n"
    "vbic.i16 q1, #0xf0\n"
    "cbz r0, 4f\n"
    "mov lr, #16\n"
    "str r10, [sp]\n"
    "cmp r1, #8\n"
    "bls 3f\n"
    "dcsr_mve_add_planes ldrh, 2\n"
    "ldr r10, [sp]\n"
    "b 4f\n"
    "3:\n"
    "dcsr_mve_add_planes ldrb, 1\n"
    "ldr r10, [sp]\n"
    "4:\n"
    "adds r4, #2\n"
    "asr r12, r12, #4\n"
    "mla r3, r12, r11, r3\n"
    "vstrb.8 q1, [sp]\n"
    "mov r0, sp\n"
    "dcsr_mve_put_words 0, q4\n"
    "dcsr_mve_put_words 8, q5\n"
    "add r3, r2\n"
    "dcsr_mve_end_stage dcsr_mve_stage_nibbles, 8, 16, 1, 1\n"

    "dcsr_mve_begin_stage dcsr_mve_stage_bytes, 12, 0, 0\n"
    "1:\n"
    "cmp r7, r10\n"
    "bhi 8f\n"
    "ldrsh r12, [r4]\n"
    "lsls r0, r12, #28\n"
    "bne 8f\n"
    "cmn r12, #0x8000\n"
    "beq 8f\n"
    "adds r4, #2\n"
    "asr r12, r12, #4\n"
    "mla r3, r12, r11, r3\n"
    "mov r0, r5\n"
    "dcsr_mve_put_words 0\n"
    "dcsr_mve_put_words 8\n"
    "adds r5, #16\n"
    "dcsr_mve_end_stage dcsr_mve_stage_bytes, 12, 0, 0, 0\n"

    "dcsr_mve_begin_stage dcsr_mve_stage_offset8, 12, 0, 0\n"
    "1:\n"
    "cmp r7, r10\n"
    "bhi 8f\n"
    "ldrh r12, [r4], #2\n"
    "mla r3, r12, r11, r3\n"
    "mov r0, r5\n"
    "dcsr_mve_put_words 0\n"
    "dcsr_mve_put_words 8\n"
    "adds r5, #16\n"
    "dcsr_mve_end_stage dcsr_mve_stage_offset8, 12, 0, 0, 0\n"

    // Groups words to a row list. r0 row list, r1 words, r2 magnitudes, r11 x; r4-r11 and lr are on
    // the stack. USAD8 with 0 adds four magnitudes. The end mark makes any sum too large, so the
    // count stops before it.
    //
    // r3 code of the previous group, r4-r9 addresses and words, r10 0, r12 magnitudes, lr their sum.
    //
    // While a group is written, the magnitudes of the next four nonzeros are loaded and added, so
    // that nothing waits for them. dcsr_mve_first begins a group of `n`, dcsr_mve_second adds those
    // beyond three. Afterwards the flags tell whether the next four fit: label 4, else label 9.
    ".macro dcsr_mve_first n\n"
    "ldr r12, [r2, #\\n]!\n"
    "ldr.w r3, =dcsr_mve_group\\n + 1\n"
    ".if \\n == 1\n"
    "ldr r5, [r1], #4\n"
    "usad8 lr, r12, r10\n"
    "add r4, r11, r5, lsr #16\n"
    "cmp lr, #dcsr_mve_most_magnitude\n"
    "stm r0!, {r3, r4, r5}\n"
    ".elseif \\n == 2\n"
    "ldm r1!, {r6, r7}\n"
    "usad8 lr, r12, r10\n"
    "add r4, r11, r6, lsr #16\n"
    "add r5, r11, r7, lsr #16\n"
    "cmp lr, #dcsr_mve_most_magnitude\n"
    "stm r0!, {r3, r4, r5, r6, r7}\n"
    ".else\n"
    "ldm r1!, {r7-r9}\n"
    "usad8 lr, r12, r10\n"
    "add r4, r11, r7, lsr #16\n"
    "add r5, r11, r8, lsr #16\n"
    "add r6, r11, r9, lsr #16\n"
    "cmp lr, #dcsr_mve_most_magnitude\n"
    "stm r0!, {r3, r4, r5, r6, r7, r8, r9}\n"
    ".endif\n"
    ".endm\n"
    ".macro dcsr_mve_second n\n"
    ".if \\n == 1\n"
    "ldr r5, [r1], #4\n"
    "add r4, r11, r5, lsr #16\n"
    "stm r0!, {r4, r5}\n"
    ".elseif \\n == 2\n"
    "ldm r1!, {r6, r7}\n"
    "add r4, r11, r6, lsr #16\n"
    "add r5, r11, r7, lsr #16\n"
    "stm r0!, {r4, r5, r6, r7}\n"
    ".else\n"
    "ldm r1!, {r7-r9}\n"
    "add r4, r11, r7, lsr #16\n"
    "add r5, r11, r8, lsr #16\n"
    "add r6, r11, r9, lsr #16\n"
    "stm r0!, {r4, r5, r6, r7, r8, r9}\n"
    ".endif\n"
    ".endm\n"

    // Wide forms (.w) keep the labels at multiples of 4.
    ".section .text.dcsr_mve_group_words, \"ax\", %progbits\n"
    ".p2align 2\n"
    ".thumb_func\n"
    ".type dcsr_mve_group_words, %function\n"
    "dcsr_mve_group_words:\n"
    "ldr r12, [r2]\n"
    "mov r10, #0\n"
    "movs r3, #0\n"
    "usad8 lr, r12, r10\n"
    "cmp lr, #dcsr_mve_most_magnitude\n"
    "bls 4f\n"
    "9:\n"
    "lsl lr, r12, #8\n"
    "usad8 lr, lr, r10\n"
    "cmp lr, #dcsr_mve_most_magnitude\n"
    "bhi 2f\n"
    "dcsr_mve_first 3\n"
    "bhi 9b\n"
    "4:\n"
    "ldrb r12, [r2, #4]\n"
    "add.w lr, lr, r12\n"
    "cmp lr, #dcsr_mve_most_magnitude\n"
    "bls 5f\n"
    "dcsr_mve_first 4\n"
    "dcsr_mve_second 1\n"
    "bls 4b\n"
    "b 9b\n"
    "5:\n"
    "ldrb r12, [r2, #5]\n"
    "add lr, r12\n"
    "cmp lr, #dcsr_mve_most_magnitude\n"
    "bls 6f\n"
    "dcsr_mve_first 5\n"
    "dcsr_mve_second 2\n"
    "bls 4b\n"
    "b 9b\n"
    "6:\n"
    "dcsr_mve_first 6\n"
    "dcsr_mve_second 3\n"
    "bls 4b\n"
    "b 9b\n"
    "2:\n"
    // Two magnitudes of at most 127 always fit.
    "tst r12, #0x80808080\n"
    "bne.w 1f\n"
    "3:\n"
    "dcsr_mve_first 2\n"
    "bls 4b\n"
    "b 9b\n"
    "1:\n"
    "lsl lr, r12, #16\n"
    "usad8 lr, lr, r10\n"
    "cmp lr, #dcsr_mve_most_magnitude\n"
    "bls 3b\n"
    "lsls r12, r12, #24\n"
    "cmp r12, #0xff000000\n"
    "beq 8f\n"
    "dcsr_mve_first 1\n"
    "bls 4b\n"
    "b 9b\n"
    "8:\n"
    // The previous group was the last one, or there is none.
    "cbz r3, 7f\n"
    "ldr r12, [r3, #-13]\n"  // its number of nonzeros
    "ldr r3, [r3, #-17]\n"   // its code at the end of a row
    "sub r1, r0, r12, lsl #3\n"
    "str r3, [r1, #-4]\n"
    "pop {r4-r11, pc}\n"
    "7:\n"
    "ldr r3, =dcsr_mve_empty_row + 1\n"
    "str r3, [r0], #4\n"
    "pop {r4-r11, pc}\n"
    ".ltorg\n"
    ".size dcsr_mve_group_words, . - dcsr_mve_group_words\n"

    // The same as a function. r3: x.
    ".section .text.dcsr_mve_make_program, \"ax\", %progbits\n"
    ".thumb_func\n"
    ".type dcsr_mve_make_program, %function\n"
    "dcsr_mve_make_program:\n"
    "push {r4-r11, lr}\n"
    "mov r11, r3\n"
    "b dcsr_mve_group_words\n"
    ".size dcsr_mve_make_program, . - dcsr_mve_make_program\n"
    ".text\n");

uint32_t* dcsr_mve_make_program(uint32_t* program, const uint32_t* words, const uint8_t* magnitudes,
                                const int8_t* x);

// The instructions for a row without nonzeros, in conv1x1_mve.c.
extern const uint8_t dcsr_mve_empty_row[];

static uint32_t empty_row_code(void) { return (uint32_t)(uintptr_t)dcsr_mve_empty_row + 1; }

static uint32_t* make_program(const DcsrWordReader* reader, uint32_t* program) {
  return dcsr_mve_make_program(program, reader->words, reader->magnitudes, reader->x);
}

#else

static uint32_t empty_row_code(void) { return kDcsrLastGroup; }

// A row list entry has 32 bits. Without MVE it holds the offset from x in place of an address, as
// the address may have 64 bits.
static uint32_t* put_half(const DcsrWordReader* reader, const uint32_t* words, uint32_t count,
                          uint32_t* program) {
  (void)reader;
  for (uint32_t i = 0; i < count; ++i) *program++ = words[i] >> 16;
  memcpy(program, words, count * sizeof(*words));
  return program + count;
}

static uint32_t* make_program(const DcsrWordReader* reader, uint32_t* program) {
  const uint32_t* words = reader->words;
  const uint8_t* magnitudes = reader->magnitudes;
  uint32_t* last = NULL;
  while (*magnitudes != kEndOfMagnitudes) {
    uint32_t count = 0;
    uint32_t sum = 0;
    while (count < kDcsrMostGroup && sum + magnitudes[count] <= kDcsrMostMagnitude) {
      sum += magnitudes[count++];
    }
    last = program;
    *program++ = count;
    const uint32_t half = count < kDcsrGroupHalf ? count : (uint32_t)kDcsrGroupHalf;
    program = put_half(reader, words, half, program);
    program = put_half(reader, words + half, count - half, program);
    words += count;
    magnitudes += count;
  }
  if (last == NULL) {
    *program++ = empty_row_code();
  } else {
    *last += kDcsrLastGroup;
  }
  return program;
}

#endif

// Decodes the next group of the row, which has to exist.
static void read_group(DcsrWordReader* reader) {
  DcsrGroup group;
  dcsr_decode_group(&reader->row, &group);
  uint32_t* word = reader->word;
  uint8_t* magnitude = reader->magnitude;
  for (uint32_t l = 0; l < group.lanes; ++l) {
    const int32_t weight = group.weight[l];
    *word = ((uint32_t)group.column[l] * reader->pitch) << 16 | (uint32_t)(uint16_t)weight;
    *magnitude = (uint8_t)(weight < 0 ? -weight : weight);
    // Drop fillers.
    word += weight != 0 ? 1 : 0;
    magnitude += weight != 0 ? 1 : 0;
  }
  reader->word = word;
  reader->magnitude = magnitude;
}

// Begins a row but does not count it: dcsr_next_row_program() does.
static void begin_row(DcsrWordReader* reader, uint32_t elements) {
  dcsr_begin_row(&reader->row, elements);
  --reader->row.row;
}

uint32_t* dcsr_mve_stage_none(DcsrWordReader* reader, uint32_t elements, uint32_t* program) {
  (void)program;
  begin_row(reader, elements);
  reader->word = reader->words;
  reader->magnitude = reader->magnitudes;
  return NULL;
}

// Magnitudes of four weights.
static inline uint32_t magnitudes_of(uint32_t weights) {
  const uint32_t signs = weights >> 7 & 0x01010101;
  return (weights ^ signs * 0xFF) + signs;
}

static inline uint32_t word_of(uint32_t offset, int8_t weight) { return offset + (uint16_t)weight; }

// Decodes the whole next row, which has `elements` > 0 elements and plain values.
DCSR_NOINLINE static void read_ones(DcsrWordReader* reader, uint32_t elements) {
  const uint32_t bits = reader->row.remainder_bits;
  DcsrRowReader* row = &reader->row;
  const uint8_t* remainders = row->delta_bits.data + row->delta_bits.byte;
  uint32_t bit = row->delta_bits.bit;
  const int8_t* weight = row->weight;
  uint32_t* word = reader->words;
  uint8_t* magnitude = reader->magnitudes;
  DcsrOnes ones = dcsr_begin_ones(&row->index_bits, 0, reader->pitch << 16, bits);
  uint32_t left = elements;
  for (; left >= 4 && 4 * bits <= kDcsrPeekBits; left -= 4) {
    uint32_t four = bits > 0 ? dcsr_load_u32(remainders + bit / 8) >> (bit % 8) : 0;
    bit += 4 * bits;
    DCSR_UNROLL("GCC unroll 4")
    for (uint32_t l = 0; l < 4; ++l) {
      word[l] = word_of(dcsr_next_one(&ones, four), weight[l]);
      four >>= bits;
      DCSR_LANE_DONE(four);
    }
    const uint32_t magnitudes = magnitudes_of(dcsr_load_u32((const uint8_t*)weight));
    memcpy(magnitude, &magnitudes, 4);
    word += 4;
    weight += 4;
    magnitude += 4;
  }
  for (; left > 0; --left) {
    const uint32_t one = bits > 0 ? dcsr_load_u32(remainders + bit / 8) >> (bit % 8) : 0;
    bit += bits;
    *word++ = word_of(dcsr_next_one(&ones, one), *weight);
    *magnitude++ = (uint8_t)(*weight < 0 ? -*weight : *weight);
    ++weight;
  }
  memset(magnitude, kEndOfMagnitudes, 4);
  row->weight = weight;
  dcsr_end_ones(&ones, &row->index_bits);
  dcsr_skip_bits(&row->delta_bits, elements * bits);
}

#if DCSR_HAS_MVE
static void put_magnitudes(const int8_t* weight, uint32_t elements, uint8_t* magnitude) {
  for (uint32_t i = 0; i < elements; i += kDcsrGroupLanes) {
    vst1q_s8((int8_t*)magnitude + i, vabsq_s8(vld1q_s8(weight + i)));
  }
  memset(magnitude + elements, kEndOfMagnitudes, 4);
}
#endif

// A bitmap has remainders of 0 bits.
uint32_t* dcsr_mve_stage_ones(DcsrWordReader* reader, uint32_t elements, uint32_t* program) {
  begin_row(reader, elements);
#if DCSR_HAS_MVE
  const int8_t* weight = reader->row.weight;
  const int8_t* last_group = weight + (elements - 1) / kDcsrGroupLanes * kDcsrGroupLanes;
  if (dcsr_has_byte_remainders(&reader->row) && last_group <= reader->limit) {
    // In the upper half of the words: each quotient is read before a word overwrites it.
    uint16_t* quotients = (uint16_t*)(void*)reader->words + elements + kSlack;
    dcsr_read_ones_words_mve(&reader->row, elements, quotients, reader->pitch, reader->words);
    put_magnitudes(weight, elements, reader->magnitudes);
    return make_program(reader, program);
  }
#endif
  read_ones(reader, elements);
  return make_program(reader, program);
}

DcsrWordStage* dcsr_word_stage(const DcsrLayer* layer) {
  if (layer->value_coding != kDcsrValuesPlain) return dcsr_mve_stage_none;
  switch (layer->encoding) {
    case kDcsrEncodingDcsr:
      return dcsr_has_byte_deltas(layer) ? dcsr_mve_stage_bytes : dcsr_mve_stage_nibbles;
    case kDcsrEncodingOffset8:
      return dcsr_mve_stage_offset8;
    case kDcsrEncodingRice:
    case kDcsrEncodingBitmap:
      return dcsr_mve_stage_ones;
    case kDcsrEncodingDense:
    case kDcsrEncodingRle:
      break;
  }
  return dcsr_mve_stage_none;
}

DcsrWordReader dcsr_word_reader(const DcsrLayer* layer, DcsrWordStage* stage, const int8_t* x,
                                uint32_t pitch, size_t elements, void* memory) {
  DcsrWordReader reader;
  reader.row = dcsr_row_reader(layer);
  reader.words = (uint32_t*)memory;
  reader.magnitudes = (uint8_t*)(reader.words + elements + kSlack);
  reader.word = reader.words;
  reader.magnitude = reader.magnitudes;
  const bool has_slope = layer->encoding == kDcsrEncodingDcsr && !dcsr_has_byte_deltas(layer);
  reader.slopes = has_slope ? layer->cols << kDcsrSlopeBits : 0;
  reader.x = x;
  reader.pitch = pitch;
  const bool has_words = dcsr_has_word_groups(layer) && layer->value_coding == kDcsrValuesPlain;
  reader.stage = has_words ? stage : dcsr_mve_stage_none;
  reader.limit = layer->values;
  if (DCSR_HAS_MVE && has_words) reader.limit += layer->elements - kDcsrGroupLanes;
  return reader;
}

// Decodes the rest of a row whose groups are not all simple. A separate function, so that other
// rows need no stack for it.
DCSR_NOINLINE static uint32_t* finish_row(DcsrWordReader* reader, uint32_t* program) {
  while (reader->row.left > 0) read_group(reader);
  memset(reader->magnitude, kEndOfMagnitudes, 4);
  return make_program(reader, program);
}

uint32_t* dcsr_next_row_program(DcsrWordReader* reader, uint32_t elements, uint32_t* program) {
  if (elements == 0) {
    ++reader->row.row;
    *program = empty_row_code();
    return program + 1;
  }
  uint32_t* end = reader->stage(reader, elements, program);
  ++reader->row.row;
  return end != NULL ? end : finish_row(reader, program);
}
