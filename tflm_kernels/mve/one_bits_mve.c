// Columns of rice and bitmap, sixteen at a time, with MVE (Cortex-M55, M85). Format:
// docs/format.md#rice.
//
// Input:   a row reader within a row (row_reader.h); see dcsr_has_byte_remainders().
// Output:  words (row_words_mve.h) or offset groups (offset_runs_mve.h).
// Scratch: halfwords of the caller for quotients, or the stack.
// Cycles:  some 5 instructions per element and 250 per row (docs/kernels.md#streams-of-bits).
//
// Ones are found one byte of the stream at a time: a table holds the number of zeros before each.
// Remainders are extracted from their bits by gathers and shifts, which are the same for every
// sixteen of a row, and summed up in bytes.

#include "tflm_kernels/mve/one_bits_mve.h"

#include "tflm_kernels/common/compiler.h"

#if DCSR_HAS_MVE

#include <arm_mve.h>

// At [byte]: the number of zeros below its first one, its second one and so on, one byte each, from
// the lowest byte on. DCSR_ZEROS_n(z) lists the entries for all values of bits n to 0, given the
// entry `z` for the bits above. DCSR_ONE sets bit n: n zeros are below it while no lower bit is
// set, and each one above it has one zero less below.
#define DCSR_ONES UINT64_C(0x0101010101010101)
#define DCSR_ONE(n, z) ((((z) - DCSR_ONES) << 8 & ~UINT64_C(0xFF)) | n)
#define DCSR_ZEROS_0(z) z, DCSR_ONE(0, z)
#define DCSR_ZEROS_1(z) DCSR_ZEROS_0(z), DCSR_ZEROS_0(DCSR_ONE(1, z))
#define DCSR_ZEROS_2(z) DCSR_ZEROS_1(z), DCSR_ZEROS_1(DCSR_ONE(2, z))
#define DCSR_ZEROS_3(z) DCSR_ZEROS_2(z), DCSR_ZEROS_2(DCSR_ONE(3, z))
#define DCSR_ZEROS_4(z) DCSR_ZEROS_3(z), DCSR_ZEROS_3(DCSR_ONE(4, z))
#define DCSR_ZEROS_5(z) DCSR_ZEROS_4(z), DCSR_ZEROS_4(DCSR_ONE(5, z))
#define DCSR_ZEROS_6(z) DCSR_ZEROS_5(z), DCSR_ZEROS_5(DCSR_ONE(6, z))
#define DCSR_ZEROS_7(z) DCSR_ZEROS_6(z), DCSR_ZEROS_6(DCSR_ONE(7, z))
static const uint64_t kZerosBefore[256] = {DCSR_ZEROS_7(UINT64_C(0))};

// At [byte]: its number of zeros. DCSR_COUNT_b(n) lists the numbers for all values of the lower b
// bits, with n ones above.
#define DCSR_COUNT_2(n) 8 - (n), 7 - (n), 7 - (n), 6 - (n)
#define DCSR_COUNT_4(n) \
  DCSR_COUNT_2(n), DCSR_COUNT_2(n + 1), DCSR_COUNT_2(n + 1), DCSR_COUNT_2(n + 2)
#define DCSR_COUNT_6(n) \
  DCSR_COUNT_4(n), DCSR_COUNT_4(n + 1), DCSR_COUNT_4(n + 1), DCSR_COUNT_4(n + 2)
#define DCSR_COUNT_8 DCSR_COUNT_6(0), DCSR_COUNT_6(1), DCSR_COUNT_6(1), DCSR_COUNT_6(2)
static const uint8_t kZeros[256] = {DCSR_COUNT_8};

// Writes, for each of the next `elements` > 0 elements of a row, the sum of the quotients up to it.
// The quotients of a bitmap are its gaps. Up to seven more halfwords are written.
static inline void read_quotients(const DcsrRowReader* reader, uint32_t elements,
                                  uint16_t* quotients) {
  const DcsrBitReader* bits = &reader->index_bits;
  const uint8_t* byte = bits->data + bits->byte;
  uint16_t* out = quotients;
  uint32_t zeros = 0 - bits->bit;
  uint32_t ones = *byte++ >> bits->bit << bits->bit;
  uint32_t entry, count;
  // The byte after the last byte of the row is read too.
  __asm__ volatile(
      "1:\n"
      "add %[entry], %[table], %[ones], lsl #3\n"
      "ldrb %[count], [%[counts], %[ones]]\n"
      "vldrb.u16 q0, [%[entry]]\n"
      "ldrb %[ones], [%[byte]], #1\n"
      "vadd.i16 q0, q0, %[zeros]\n"
      "vstrh.16 q0, [%[out]], #16\n"
      "sub %[out], %[out], %[count], lsl #1\n"
      "add %[zeros], %[zeros], %[count]\n"
      "cmp %[out], %[end]\n"
      "blo 1b\n"
      : [entry] "=&l"(entry), [count] "=&r"(count), [byte] "+r"(byte), [out] "+r"(out),
        [zeros] "+r"(zeros), [ones] "+r"(ones)
      : [table] "r"(kZerosBefore), [counts] "r"(kZeros), [end] "r"(quotients + elements)
      : "q0", "cc", "memory");
}

// Constants for sums of sixteen bytes, in the order in which the assembly loads them.
typedef struct {
  uint8_t mask[kDcsrGroupLanes];  // of a remainder
  uint8_t second_four[kDcsrGroupLanes];
  uint8_t last_four[kDcsrGroupLanes];
  uint8_t last_eight[kDcsrGroupLanes];
  uint8_t lane[kDcsrGroupLanes];
} SumLanes;

// Offsets that the assembly uses.
_Static_assert(offsetof(SumLanes, second_four) == 16, "");
_Static_assert(offsetof(SumLanes, last_four) == 32, "");
_Static_assert(offsetof(SumLanes, last_eight) == 48, "");
_Static_assert(offsetof(SumLanes, lane) == 64, "");

#define DCSR_SUM_LANES(m)                            \
  {{m, m, m, m, m, m, m, m, m, m, m, m, m, m, m, m}, \
   {0, 0, 0, 0, 1, 1, 1, 1},                         \
   {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1}, \
   {0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1}, \
   {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}}
// Indexed by the bits of a remainder.
static const SumLanes kSumLanes[kDcsrMostByteRemainderBits + 1] = {
    DCSR_SUM_LANES(0), DCSR_SUM_LANES(1), DCSR_SUM_LANES(3), DCSR_SUM_LANES(7), DCSR_SUM_LANES(15)};

// The remainders of a row, and the vectors that extract sixteen of them.
typedef struct {
  const uint8_t* next;
  int8x16_t byte;  // index of the byte in which each begins
  int8x16_t down;  // shift of that byte
  int8x16_t up;    // shift of the byte after it
} Remainders;

static inline Remainders begin_remainders(const DcsrRowReader* reader) {
  const DcsrBitReader* delta = &reader->delta_bits;
  const uint8_t bits = (uint8_t)reader->remainder_bits;
  Remainders remainders;
  remainders.next = delta->data + delta->byte;
  const int8x16_t first =
      vreinterpretq_s8_u8(vaddq_n_u8(vmulq_n_u8(vidupq_n_u8(0, 1), bits), (uint8_t)delta->bit));
  remainders.byte = vshrq_n_s8(first, 3);
  remainders.down = vsubq_s8(vshlq_n_s8(remainders.byte, 3), first);
  remainders.up = vaddq_n_s8(remainders.down, 8);
  return remainders;
}

// q0: prefix sums of the next sixteen remainders, plus 0 to 15. t: the last of these sums. Sums are
// within four lanes first, then eight, then all sixteen.
#define DCSR_SUM_REMAINDERS            \
  "vldrb.u8 q0, [%[next], %q[byte]]\n" \
  "add %[next], #1\n"                  \
  "vldrb.u8 q1, [%[next], %q[byte]]\n" \
  "add %[next], %[next], %[step]\n"    \
  "vshl.u8 q0, q0, %q[down]\n"         \
  "vshl.u8 q1, q1, %q[up]\n"           \
  "vorr q0, q0, q1\n"                  \
  "vldrb.8 q1, [%[lanes]]\n"           \
  "vand q0, q0, q1\n"                  \
  "vmul.i32 q0, q0, %[ones]\n"         \
  "vldrb.8 q1, [%[lanes], #16]\n"      \
  "vmov.u8 %[t], q0[3]\n"              \
  "vmla.u8 q0, q1, %[t]\n"             \
  "vldrb.8 q1, [%[lanes], #32]\n"      \
  "vmov.u8 %[t], q0[11]\n"             \
  "vmla.u8 q0, q1, %[t]\n"             \
  "vldrb.8 q1, [%[lanes], #48]\n"      \
  "vmov.u8 %[t], q0[7]\n"              \
  "vmla.u8 q0, q1, %[t]\n"             \
  "vldrb.8 q1, [%[lanes], #64]\n"      \
  "vadd.i8 q0, q0, q1\n"               \
  "vmov.u8 %[t], q0[15]\n"
#define DCSR_SUM_REMAINDERS_INPUTS                                                             \
  [step] "r"(2 * reader->remainder_bits - 1), [lanes] "r"(kSumLanes + reader->remainder_bits), \
      [ones] "r"(0x01010101), [factor] "r"(1u << reader->remainder_bits),                      \
      [byte] "w"(remainders.byte), [down] "w"(remainders.down), [up] "w"(remainders.up)

// Moves the bit positions of the reader past `elements` > 0 elements.
static inline void skip_elements(DcsrRowReader* reader, const uint16_t* quotients,
                                 uint32_t elements) {
  dcsr_skip_bits(&reader->index_bits, quotients[elements - 1] + elements);
  dcsr_skip_bits(&reader->delta_bits, elements * reader->remainder_bits);
}

// Writes eight words for the sums at sums + at.
#define DCSR_PUT_WORDS(at)               \
  "vldrb.u16 q1, [%[sums], #" at         \
  "]\n"                                  \
  "vldrh.16 q2, [%[quotients]], #16\n"   \
  "vldrb.s16 q0, [%[weight]], #8\n"      \
  "vmla.u16 q1, q2, %[factor]\n"         \
  "vmlas.u16 q1, %q[pitches], %[base]\n" \
  "vst20.16 {q0, q1}, [%[words]]\n"      \
  "vst21.16 {q0, q1}, [%[words]]!\n"

void dcsr_read_ones_words_mve(DcsrRowReader* reader, uint32_t elements, uint16_t* quotients,
                              uint32_t pitch, uint32_t* words) {
  read_quotients(reader, elements, quotients);
  Remainders remainders = begin_remainders(reader);
  const int8_t* weight = reader->weight;
  // Before the words are written, because they overwrite the quotients.
  skip_elements(reader, quotients, elements);
  const uint16x8_t pitches = vdupq_n_u16((uint16_t)pitch);
  uint8_t sums[kDcsrGroupLanes];
  uint32_t base = 0;
  uint32_t t = dcsr_groups_of(elements);
  __asm__ volatile(
      "dls lr, %[t]\n"
      ".p2align 2\n"
      "1:\n"
      DCSR_SUM_REMAINDERS
      "add %[t], #1\n"
      "vstrb.8 q0, [%[sums]]\n"
      DCSR_PUT_WORDS("0")
      DCSR_PUT_WORDS("8")
      "mla %[base], %[t], %[pitch], %[base]\n"
      "le lr, 1b\n"
      : [t] "+r"(t), [next] "+r"(remainders.next), [quotients] "+r"(quotients),
        [weight] "+l"(weight), [words] "+r"(words), [base] "+r"(base)
      : [sums] "l"(sums), [pitch] "r"(pitch),
        [pitches] "w"(pitches), DCSR_SUM_REMAINDERS_INPUTS
      : "lr", "q0", "q1", "q2", "cc", "memory");
  reader->weight += elements;
}

// Writes offset groups of `elements` elements. `quotients` is filled up to whole groups.
static inline uint32_t put_offsets(DcsrRowReader* reader, uint32_t elements,
                                   const uint16_t* quotients, int32_t* base, uint8_t* offset) {
  Remainders remainders = begin_remainders(reader);
  const uint8_t* const offsets = offset;
  const uint16_t* quotient = quotients;
  uint32_t column = (uint32_t)reader->expected;
  uint32_t t = dcsr_groups_of(elements);
  uint32_t first, last;
  // The last offset of a group is the largest.
  __asm__ volatile(
      "dls lr, %[t]\n"
      ".p2align 2\n"
      "1:\n" DCSR_SUM_REMAINDERS
      "ldrh %[first], [%[quotient]]\n"
      "ldrh %[last], [%[quotient], #30]\n"
      "vld20.8 {q1, q2}, [%[quotient]]\n"
      "sub %[last], %[last], %[first]\n"
      "mla %[last], %[last], %[factor], %[t]\n"
      "vld21.8 {q1, q2}, [%[quotient]]!\n"
      "cmp %[last], #255\n"
      "bhi 2f\n"
      "vsub.i8 q1, q1, %[first]\n"
      "mla %[first], %[first], %[factor], %[column]\n"
      "vmla.u8 q0, q1, %[factor]\n"
      "str %[first], [%[base]], #4\n"
      "add %[column], %[column], %[t]\n"
      "vstrb.8 q0, [%[offset]], #16\n"
      "add %[column], %[column], #1\n"
      "le lr, 1b\n"
      "2:\n"
      : [t] "+r"(t), [first] "=&r"(first), [last] "=&r"(last), [next] "+r"(remainders.next),
        [quotient] "+r"(quotient), [base] "+r"(base), [offset] "+r"(offset), [column] "+r"(column)
      : DCSR_SUM_REMAINDERS_INPUTS
      : "lr", "q0", "q1", "q2", "cc", "memory");
  const uint32_t whole = (uint32_t)(offset - offsets);
  const uint32_t done = whole < elements ? whole : elements;
  if (done > 0) {
    reader->expected = (int32_t)(column + (quotients[done - 1] << reader->remainder_bits));
    skip_elements(reader, quotients, done);
  }
  return done;
}

enum { kMostQuotients = 8 * kDcsrGroupLanes };  // read at a time

uint32_t dcsr_read_ones_offsets_mve(DcsrRowReader* reader, uint32_t elements, int32_t* base,
                                    uint8_t* offset) {
  uint16_t quotients[kMostQuotients + kDcsrGroupLanes];
  uint32_t done = 0;
  while (done < elements) {
    const uint32_t left = elements - done;
    const uint32_t count = left < kMostQuotients ? left : (uint32_t)kMostQuotients;
    read_quotients(reader, count, quotients);
    // put_offsets() takes the last quotient of a group as the largest, so fill up a partial group.
    const uint16x8_t end = vdupq_n_u16(quotients[count - 1]);
    vst1q_u16(quotients + count, end);
    vst1q_u16(quotients + count + 8, end);
    const uint32_t read =
        put_offsets(reader, count, quotients, base + done / kDcsrGroupLanes, offset + done);
    done += read;
    if (read < count) break;
  }
  return done;
}

#endif  // DCSR_HAS_MVE
