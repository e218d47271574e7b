// Decodes rows to words, and cuts these into groups. Format: docs/format.md#encodings.

#include "tflm_kernels/row_words_mve.h"

#include <string.h>

#include "tflm_kernels/group_decoder.h"
#include "tflm_kernels/group_words.h"

#if defined(__ARM_FEATURE_MVE) && (__ARM_FEATURE_MVE & 1)
#define DCSR_HAS_MVE 1
#else
#define DCSR_HAS_MVE 0
#endif

enum {
  kEndOfMagnitudes = 255,
  kSlack = kDcsrGroupLanes,  // words and magnitudes that may be written behind the row's
};

#if DCSR_HAS_MVE

// Stages: the simple groups of a row, whole or partial. Simple are all groups of offset8, and those
// of dcsr without an escaped base that have at most four planes, or none if deltas are bytes; but
// none whose weights are not all before `limit`, as sixteen are read at once.
//
// Columns are computed times 32, in halfwords, and stored with the weights by VST2, which makes the
// words. A partial group is treated as a whole one; then the pointers are put right.
//
// r0 planes or a buffer, r1 elements left, r2 slope times 32, r3 base times 32, r4 index, r5 delta,
// r6 plane, r7 weight, r8 word, r9 magnitude, r10 limit, r11 unit of a plane, r12 descriptor, lr a
// plane. q4, q5 lines times 32, q6 32. Stack: a buffer of 16 bytes, the reader behind d8-d13.
__asm__(
    ".syntax unified\n"

    // Eight words of the deltas at r0 + d and the weights at r7 + d.
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

    ".macro dcsr_mve_begin_stage name\n"
    ".section .text.\\name, \"ax\", %progbits\n"
    ".p2align 2\n"
    ".thumb\n"
    ".thumb_func\n"
    ".type \\name, %function\n"
    "\\name:\n"
    "push {r0, r4-r11, lr}\n"
    "vpush {d8-d13}\n"
    "sub sp, #16\n"
    "add r12, r0, #24\n"
    "adds r0, #4\n"
    "ldm r12, {r1-r3, r8-r10}\n"
    "ldm r0, {r4-r7}\n"
    "mov r12, #32\n"
    "vdup.16 q6, r12\n"
    "lsls r3, r3, #5\n"
    ".endm\n"

    // After a group. `shift`: of elements to bytes of delta.
    ".macro dcsr_mve_end_stage name, shift\n"
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
    "add r12, sp, #16\n"
    "mov lr, #-1\n"
    "vldmia r12, {d8-d13}\n"
    "ldr r0, [sp, #64]\n"
    "str lr, [r9]\n"
    "adds r0, #4\n"
    "stm r0, {r4-r7}\n"
    "add r12, r0, #44\n"
    "add sp, #68\n"
    "movs r1, #0\n"
    "str r1, [r0, #20]\n"
    // The list, instead of a return.
    "ldm r12, {r0-r2}\n"
    "b dcsr_mve_group_words\n"

    // A group that is not simple.
    "8:\n"
    "add sp, #16\n"
    "vpop {d8-d13}\n"
    "pop {r0}\n"
    "asr r3, r3, #5\n"
    "add r12, r0, #32\n"
    "str r1, [r0, #24]\n"
    "stm r12, {r3, r8, r9}\n"
    "adds r0, #4\n"
    "stm r0, {r4-r7}\n"
    "movs r0, #0\n"
    "pop {r4-r11, pc}\n"
    ".size \\name, . - \\name\n"
    ".endm\n"

    // Planes of a group of more than 8 elements, which have halfwords, or of fewer.
    ".macro dcsr_mve_add_planes load, bytes\n"
    "2:\n"
    "\\load lr, [r6], #\\bytes\n"
    "vmsr p0, lr\n"
    "vpst\n"
    "vaddt.i8 q1, q1, r11\n"
    "lsl r11, #1\n"
    "subs r0, #1\n"
    "bne 2b\n"
    ".endm\n"

    "dcsr_mve_begin_stage dcsr_mve_stage_nibbles\n"
    "mov r12, #0\n"
    "vidup.u16 q4, r12, #1\n"
    "vidup.u16 q5, r12, #1\n"
    "vmul.i16 q4, q4, r2\n"
    "vmul.i16 q5, q5, r2\n"
    "vshr.u16 q4, q4, #4\n"
    "vshr.u16 q5, q5, #4\n"
    "vshl.i16 q4, q4, #5\n"
    "vshl.i16 q5, q5, #5\n"
    "lsls r2, r2, #5\n"
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
    "mov r11, #16\n"
    "cmp r1, #8\n"
    "bls 3f\n"
    "dcsr_mve_add_planes ldrh, 2\n"
    "b 4f\n"
    "3:\n"
    "dcsr_mve_add_planes ldrb, 1\n"
    "4:\n"
    "adds r4, #2\n"
    "add r3, r3, r12, lsl #1\n"
    "vstrb.8 q1, [sp]\n"
    "mov r0, sp\n"
    "dcsr_mve_put_words 0, q4\n"
    "dcsr_mve_put_words 8, q5\n"
    "add r3, r2\n"
    "dcsr_mve_end_stage dcsr_mve_stage_nibbles, 1\n"

    "dcsr_mve_begin_stage dcsr_mve_stage_bytes\n"
    "lsls r2, r2, #5\n"
    "1:\n"
    "cmp r7, r10\n"
    "bhi 8f\n"
    "ldrsh r12, [r4]\n"
    "lsls r0, r12, #28\n"
    "bne 8f\n"
    "cmn r12, #0x8000\n"
    "beq 8f\n"
    "adds r4, #2\n"
    "add r3, r3, r12, lsl #1\n"
    "mov r0, r5\n"
    "dcsr_mve_put_words 0\n"
    "dcsr_mve_put_words 8\n"
    "adds r5, #16\n"
    "add r3, r2\n"
    "dcsr_mve_end_stage dcsr_mve_stage_bytes, 0\n"

    "dcsr_mve_begin_stage dcsr_mve_stage_offset8\n"
    "1:\n"
    "cmp r7, r10\n"
    "bhi 8f\n"
    "ldrh r12, [r4], #2\n"
    "add r3, r3, r12, lsl #5\n"
    "mov r0, r5\n"
    "dcsr_mve_put_words 0\n"
    "dcsr_mve_put_words 8\n"
    "adds r5, #16\n"
    "dcsr_mve_end_stage dcsr_mve_stage_offset8, 0\n"

    // r0 list, r1 words, r2 magnitudes; r4-r11 and lr are on the stack. USAD8 with 0 adds four
    // magnitudes; the end makes any sum too large, so that nothing is counted.
    //
    // r3 number of words of the group before, r4-r9 words, r10 0, r12 magnitudes, lr their sum.
    ".macro dcsr_mve_put_group k, words:vararg\n"
    "ldm r1!, {\\words}\n"
    "movs r3, #\\k\n"
    "stm r0!, {r3, \\words}\n"
    "adds r2, #\\k\n"
    ".endm\n"

    ".section .text.dcsr_mve_group_words, \"ax\", %progbits\n"
    ".thumb_func\n"
    ".type dcsr_mve_group_words, %function\n"
    "dcsr_mve_group_words:\n"
    "mov r10, #0\n"
    "movs r3, #0\n"
    "b 9f\n"
    "1:\n"
    "lsls r12, r12, #24\n"
    "cmp r12, #0xff000000\n"
    "beq 8f\n"
    "dcsr_mve_put_group 1, r4\n"
    "b 9f\n"
    "2:\n"
    "lsl lr, r12, #16\n"
    "usad8 lr, lr, r10\n"
    "cmp lr, #254\n"
    "bhi 1b\n"
    "dcsr_mve_put_group 2, r4, r5\n"
    "9:\n"
    "ldr r12, [r2]\n"
    "usad8 lr, r12, r10\n"
    "cmp lr, #254\n"
    "bls 4f\n"
    "lsl lr, r12, #8\n"
    "usad8 lr, lr, r10\n"
    "cmp lr, #254\n"
    "bhi 2b\n"
    "dcsr_mve_put_group 3, r4, r5, r6\n"
    "b 9b\n"
    "4:\n"
    "ldrb r12, [r2, #4]\n"
    "add lr, r12\n"
    "cmp lr, #254\n"
    "bls 5f\n"
    "dcsr_mve_put_group 4, r4, r5, r6, r7\n"
    "b 9b\n"
    "5:\n"
    "ldrb r12, [r2, #5]\n"
    "add lr, r12\n"
    "cmp lr, #254\n"
    "bls 6f\n"
    "dcsr_mve_put_group 5, r4, r5, r6, r7, r8\n"
    "b 9b\n"
    "6:\n"
    "dcsr_mve_put_group 6, r4, r5, r6, r7, r8, r9\n"
    "b 9b\n"
    "8:\n"
    "str r10, [r0]\n"
    "cbz r3, 7f\n"
    "sub r0, r0, r3, lsl #2\n"
    "adds r3, #8\n"
    "str r3, [r0, #-4]\n"
    "7:\n"
    "movs r0, #1\n"
    "pop {r4-r11, pc}\n"
    ".size dcsr_mve_group_words, . - dcsr_mve_group_words\n"

    // The same as a function.
    ".section .text.dcsr_mve_make_list, \"ax\", %progbits\n"
    ".thumb_func\n"
    ".type dcsr_mve_make_list, %function\n"
    "dcsr_mve_make_list:\n"
    "push {r4-r11, lr}\n"
    "b dcsr_mve_group_words\n"
    ".size dcsr_mve_make_list, . - dcsr_mve_make_list\n"
    ".text\n");

DcsrStage dcsr_mve_stage_nibbles;
DcsrStage dcsr_mve_stage_bytes;
DcsrStage dcsr_mve_stage_offset8;
void dcsr_mve_make_list(uint32_t* list, const uint32_t* words, const uint8_t* magnitudes);

static void make_list(const DcsrWordReader* reader) {
  dcsr_mve_make_list(reader->list, reader->words, reader->magnitudes);
}

#else

static void make_list(const DcsrWordReader* reader) {
  const uint32_t* words = reader->words;
  const uint8_t* magnitudes = reader->magnitudes;
  uint32_t* list = reader->list;
  uint32_t* last = NULL;
  while (*magnitudes != kEndOfMagnitudes) {
    uint32_t count = 0;
    uint32_t sum = 0;
    while (count < kDcsrMostGroup && sum + magnitudes[count] <= kDcsrMostMagnitude) {
      sum += magnitudes[count++];
    }
    // In this order: they may overlap.
    memmove(list + 1, words, count * sizeof(*words));
    list[0] = count;
    last = list;
    list += count + 1;
    words += count;
    magnitudes += count;
  }
  if (last != NULL) *last += kDcsrLastGroup;
  *list = 0;
}

#endif

// Any group, which may be the last.
static void read_group(DcsrWordReader* reader) {
  DcsrGroup group;
  if (!dcsr_decode_group(&reader->row, &group)) return;
  uint32_t* word = reader->word;
  uint8_t* magnitude = reader->magnitude;
  for (uint32_t l = 0; l < group.lanes; ++l) {
    const int32_t weight = group.weight[l];
    *word = (uint32_t)group.column[l] << kDcsrWordColumn | (uint32_t)(uint16_t)weight;
    *magnitude = (uint8_t)(weight < 0 ? -weight : weight);
    // Fillers are left out.
    word += weight != 0 ? 1 : 0;
    magnitude += weight != 0 ? 1 : 0;
  }
  reader->word = word;
  reader->magnitude = magnitude;
}

static bool stage_groups(DcsrWordReader* reader) {
  while (reader->row.left > 0) read_group(reader);
  memset(reader->magnitude, kEndOfMagnitudes, 4);
  make_list(reader);
  return true;
}

size_t dcsr_word_reader_bytes(size_t elements) {
  // A list of groups of one word, in which the words lie, and the magnitudes behind it.
  const size_t words = 2 * elements + 1 + kSlack;
  return words * sizeof(uint32_t) + (elements + kSlack + 3) / 4 * 4;
}

DcsrWordReader dcsr_word_reader(const DcsrLayer* layer, size_t elements, void* memory) {
  DcsrWordReader reader;
  reader.row = dcsr_row_reader(layer);
  reader.list = (uint32_t*)memory;
  reader.words = reader.list + elements + 1;
  reader.magnitudes = (uint8_t*)(reader.words + elements + kSlack);
  reader.limit = layer->values;
  reader.stage = stage_groups;
#if DCSR_HAS_MVE
  if (dcsr_has_word_groups(layer)) {
    reader.limit = layer->values + layer->elements - kDcsrGroupLanes;
    if (layer->encoding == kDcsrEncodingOffset8) reader.stage = dcsr_mve_stage_offset8;
    if (layer->encoding == kDcsrEncodingDcsr) {
      reader.stage = dcsr_has_byte_deltas(layer) ? dcsr_mve_stage_bytes : dcsr_mve_stage_nibbles;
    }
  }
#endif
  return reader;
}

uint32_t dcsr_next_row_list(DcsrWordReader* reader) {
  dcsr_next_row(&reader->row);
  reader->word = reader->words;
  reader->magnitude = reader->magnitudes;
  const uint32_t elements = reader->row.left;
  if (elements == 0) {
    *reader->list = 0;
    return 0;
  }
  while (!reader->stage(reader)) {
    read_group(reader);
    if (reader->row.left == 0) {
      stage_groups(reader);
      break;
    }
  }
  return elements;
}
