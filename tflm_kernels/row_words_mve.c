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

enum { kEndOfMagnitudes = 255 };

static size_t append_group(const DcsrGroup* group, uint32_t* words, uint8_t* magnitudes,
                           size_t count) {
  for (uint32_t l = 0; l < group->lanes; ++l) {
    const int32_t weight = group->weight[l];
    words[count] = (uint32_t)group->column[l] << kDcsrWordColumn | (uint32_t)(uint16_t)weight;
    magnitudes[count] = (uint8_t)(weight < 0 ? -weight : weight);
    count += weight != 0 ? 1 : 0;
  }
  return count;
}

#if DCSR_HAS_MVE

// Whole and partial groups of a dcsr row with at most four planes and no escaped base, up to the
// first other one or the first weight beyond `limit`. Returns where the next magnitude goes.
//
// Columns are computed times 32, in halfwords, and stored with the weights by VST2, which makes the
// words. A partial group is treated as a whole one; then the pointers are put right.
__attribute__((naked)) static uint8_t* read_dcsr_groups(
    DcsrRowReader* reader __attribute__((unused)), uint32_t* words __attribute__((unused)),
    uint8_t* magnitudes __attribute__((unused)), const int8_t* limit __attribute__((unused))) {
  // r0 planes, r1 words, r2 magnitudes, r3 limit, r4 index, r5 delta, r6 plane, r7 weight, r8 base
  // times 32, r9 elements left, r10 slope times 32, r11 unit of a plane, r12 descriptor, lr a plane
  // or bytes of one. q4, q5 lines times 32, q6 32.
  __asm__ volatile(
      ".syntax unified\n"
      ".macro dcsr_mve_words line, buffer, weight\n"
      "vldrb.u16 q1, [r0, \\buffer]\n"
      "vldrb.s16 q0, [r7, \\weight]\n"
      "vmlas.u16 q1, q6, r8\n"
      "vadd.i16 q1, q1, \\line\n"
      "vst20.16 {q0, q1}, [r1]\n"
      "vst21.16 {q0, q1}, [r1]!\n"
      ".endm\n"
      "push {r0, r4-r11, lr}\n"
      "vpush {d8-d13}\n"
      "sub sp, #16\n"
      "add r11, r0, #4\n"
      "ldm r11, {r4-r7, r12}\n"
      "ldrd r9, r10, [r0, #24]\n"
      "ldr r8, [r0, #32]\n"
      "mov r12, #0\n"
      "vidup.u16 q4, r12, #1\n"
      "vidup.u16 q5, r12, #1\n"
      "vmul.i16 q4, q4, r10\n"
      "vmul.i16 q5, q5, r10\n"
      "vshr.u16 q4, q4, #4\n"
      "vshr.u16 q5, q5, #4\n"
      "vshl.i16 q4, q4, #5\n"
      "vshl.i16 q5, q5, #5\n"
      "mov r12, #32\n"
      "vdup.16 q6, r12\n"
      "lsls r8, r8, #5\n"
      "lsl r10, r10, #5\n"
      "1:\n"
      "cmp r7, r3\n"
      "bhi 8f\n"
      "ldrsh r12, [r4]\n"
      "ands r0, r12, #15\n"
      "bic r12, r12, #15\n"
      "beq 4f\n"
      "cmp r0, #4\n"
      "bhi 8f\n"
      "cmn r12, #0x8000\n"
      "beq 8f\n"
      "vldrb.u16 q1, [r5], #8\n"
      "vsli.16 q1, q1, #4\n"
      "vbic.i16 q1, #0xf0\n"
      "mov r11, #16\n"
      "cmp r9, #8\n"
      "bls 3f\n"
      "2:\n"
      "ldrh lr, [r6], #2\n"
      "vmsr p0, lr\n"
      "vpst\n"
      "vaddt.i8 q1, q1, r11\n"
      "lsl r11, #1\n"
      "subs r0, #1\n"
      "bne 2b\n"
      "b 5f\n"
      "3:\n"
      "ldrb lr, [r6], #1\n"
      "vmsr p0, lr\n"
      "vpst\n"
      "vaddt.i8 q1, q1, r11\n"
      "lsl r11, #1\n"
      "subs r0, #1\n"
      "bne 3b\n"
      "b 5f\n"
      "4:\n"
      "cmn r12, #0x8000\n"
      "beq 8f\n"
      "vldrb.u16 q1, [r5], #8\n"
      "vsli.16 q1, q1, #4\n"
      "vbic.i16 q1, #0xf0\n"
      "5:\n"
      "add r4, #2\n"
      "add r8, r8, r12, lsl #1\n"
      "vstrb.8 q1, [sp]\n"
      "mov r0, sp\n"
      "dcsr_mve_words q4, #0, #0\n"
      "dcsr_mve_words q5, #8, #8\n"
      "vldrb.8 q0, [r7], #16\n"
      "vabs.s8 q0, q0\n"
      "vstrb.8 q0, [r2], #16\n"
      "add r8, r10\n"
      "subs r9, #16\n"
      "bgt 1b\n"
      "rsb r12, r9, #0\n"
      "sub r7, r12\n"
      "sub r2, r12\n"
      "sub r5, r5, r12, lsr #1\n"
      "mov r9, #0\n"
      "8:\n"
      "add sp, #16\n"
      "vpop {d8-d13}\n"
      "pop {r0}\n"
      "asr r8, r8, #5\n"
      "str r8, [r0, #32]\n"
      "str r9, [r0, #24]\n"
      "adds r0, #4\n"
      "stm r0, {r4-r7}\n"
      "mov r0, r2\n"
      "pop {r4-r11, pc}\n");
}

static size_t read_dcsr_words(DcsrRowReader* reader, uint32_t* words, uint8_t* magnitudes) {
  const DcsrLayer* layer = reader->layer;
  // Sixteen weights are read at once.
  const int8_t* limit = layer->values + layer->elements - kDcsrGroupLanes;
  size_t count = 0;
  while (reader->left > 0) {
    count = (size_t)(read_dcsr_groups(reader, words + count, magnitudes + count, limit) -
                     magnitudes);
    DcsrGroup group;
    if (dcsr_next_group(reader, &group)) count = append_group(&group, words, magnitudes, count);
  }
  return count;
}

#endif

static size_t read_groups(DcsrRowReader* reader, uint32_t* words, uint8_t* magnitudes) {
  size_t count = 0;
  DcsrGroup group;
  while (dcsr_decode_group(reader, &group)) {
    count = append_group(&group, words, magnitudes, count);
  }
  return count;
}

size_t dcsr_read_row_words(DcsrRowReader* reader, uint32_t* words, uint8_t* magnitudes) {
  size_t count;
#if DCSR_HAS_MVE
  if (reader->layer->encoding == kDcsrEncodingDcsr && dcsr_has_word_groups(reader->layer)) {
    count = read_dcsr_words(reader, words, magnitudes);
  } else {
    count = read_groups(reader, words, magnitudes);
  }
#else
  count = read_groups(reader, words, magnitudes);
#endif
  memset(magnitudes + count, kEndOfMagnitudes, 4);
  return count;
}

#if DCSR_HAS_MVE

// USAD8 with 0 adds four magnitudes. The end makes any sum too large, so that there is no count.
__attribute__((naked)) void dcsr_group_words(const uint32_t* words __attribute__((unused)),
                                             const uint8_t* magnitudes __attribute__((unused)),
                                             uint32_t* list __attribute__((unused))) {
  // r0 words, r1 magnitudes, r2 list, r3 number of words of the group before, r4-r9 words, r10 0,
  // r12 magnitudes, lr their sum.
  __asm__ volatile(
      ".syntax unified\n"
      ".macro dcsr_mve_put_group k, words:vararg\n"
      "ldm r0!, {\\words}\n"
      "movs r3, #\\k\n"
      "stm r2!, {r3, \\words}\n"
      "adds r1, #\\k\n"
      ".endm\n"
      "push {r4-r10, lr}\n"
      "mov r10, #0\n"
      "movs r3, #0\n"
      "b 9f\n"
      "1:\n"
      "lsls r12, r12, #24\n"
      "cmp r12, #0xff000000\n"
      "beq 8f\n"
      "ldr r4, [r0], #4\n"
      "movs r3, #1\n"
      "stm r2!, {r3, r4}\n"
      "adds r1, #1\n"
      "b 9f\n"
      "2:\n"
      "lsl lr, r12, #16\n"
      "usad8 lr, lr, r10\n"
      "cmp lr, #254\n"
      "bhi 1b\n"
      "dcsr_mve_put_group 2, r4, r5\n"
      "9:\n"
      "ldr r12, [r1]\n"
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
      "ldrb r12, [r1, #4]\n"
      "add lr, r12\n"
      "cmp lr, #254\n"
      "bls 5f\n"
      "dcsr_mve_put_group 4, r4, r5, r6, r7\n"
      "b 9b\n"
      "5:\n"
      "ldrb r12, [r1, #5]\n"
      "add lr, r12\n"
      "cmp lr, #254\n"
      "bls 6f\n"
      "dcsr_mve_put_group 5, r4, r5, r6, r7, r8\n"
      "b 9b\n"
      "6:\n"
      "dcsr_mve_put_group 6, r4, r5, r6, r7, r8, r9\n"
      "b 9b\n"
      "8:\n"
      "str r10, [r2]\n"
      "cbz r3, 7f\n"
      "sub r2, r2, r3, lsl #2\n"
      "adds r3, #8\n"
      "str r3, [r2, #-4]\n"
      "7:\n"
      "pop {r4-r10, pc}\n");
}

#else

void dcsr_group_words(const uint32_t* words, const uint8_t* magnitudes, uint32_t* list) {
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
