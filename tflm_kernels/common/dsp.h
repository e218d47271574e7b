// The instructions of the DSP extension that kernels use. Each has an equivalent in C,
// for tests on a host.

#ifndef DCSR_TFLM_KERNELS_COMMON_DSP_H_
#define DCSR_TFLM_KERNELS_COMMON_DSP_H_

#include <stdint.h>
#include <string.h>

#ifdef __cplusplus
extern "C" {
#endif

// Loads four bytes from any address. Cores with the extension allow unaligned loads.
static inline uint32_t dcsr_dsp_load(const int8_t* p) {
  uint32_t word;
  memcpy(&word, p, sizeof(word));
  return word;
}

// Loads `count` < 4 bytes. The upper bytes of the word are 0.
static inline uint32_t dcsr_dsp_load_some(const int8_t* p, uint32_t count) {
  uint32_t word = 0;
  for (uint32_t i = 0; i < count; ++i) word |= (uint32_t)(uint8_t)p[i] << (8 * i);
  return word;
}

#if defined(__ARM_FEATURE_DSP) && defined(__thumb2__)

// Returns bytes 0 and 2, sign-extended to int16.
static inline uint32_t dcsr_dsp_even(uint32_t bytes) {
  uint32_t result;
  __asm__("sxtb16 %0, %1" : "=r"(result) : "r"(bytes));
  return result;
}

// Returns bytes 1 and 3, sign-extended to int16.
static inline uint32_t dcsr_dsp_odd(uint32_t bytes) {
  uint32_t result;
  __asm__("sxtb16 %0, %1, ror #8" : "=r"(result) : "r"(bytes));
  return result;
}

// Returns `sum` plus the products of both pairs of int16.
static inline uint32_t dcsr_dsp_smlad(uint32_t a, uint32_t b, uint32_t sum) {
  __asm__("smlad %0, %1, %2, %0" : "+r"(sum) : "r"(a), "r"(b));
  return sum;
}

// Returns both int16 doubled, modulo 2^16.
static inline uint32_t dcsr_dsp_double(uint32_t pair) {
  uint32_t result;
  __asm__("uadd16 %0, %1, %1" : "=r"(result) : "r"(pair) : "cc");
  return result;
}

// Returns the lower halves of a and b: that of a below that of b.
static inline uint32_t dcsr_dsp_pack_low(uint32_t a, uint32_t b) {
  uint32_t result;
  __asm__("pkhbt %0, %1, %2, lsl #16" : "=r"(result) : "r"(a), "r"(b));
  return result;
}

// Returns the upper halves of a and b: that of a below that of b.
static inline uint32_t dcsr_dsp_pack_high(uint32_t a, uint32_t b) {
  uint32_t result;
  __asm__("pkhtb %0, %2, %1, asr #16" : "=r"(result) : "r"(a), "r"(b));
  return result;
}

// Returns the larger of each pair of int8.
static inline uint32_t dcsr_dsp_max(uint32_t a, uint32_t b) {
  uint32_t result;
  __asm__("ssub8 %0, %1, %2\n\tsel %0, %1, %2" : "=&r"(result) : "r"(a), "r"(b) : "cc");
  return result;
}

// Returns the smaller of each pair of int8.
static inline uint32_t dcsr_dsp_min(uint32_t a, uint32_t b) {
  uint32_t result;
  __asm__("ssub8 %0, %1, %2\n\tsel %0, %2, %1" : "=&r"(result) : "r"(a), "r"(b) : "cc");
  return result;
}

#else

static inline uint32_t dcsr_dsp_even(uint32_t bytes) {
  const uint32_t low = (uint32_t)(int8_t)bytes;
  const uint32_t high = (uint32_t)(int8_t)(bytes >> 16);
  return high << 16 | (low & 0xFFFF);
}

static inline uint32_t dcsr_dsp_odd(uint32_t bytes) { return dcsr_dsp_even(bytes >> 8); }

static inline uint32_t dcsr_dsp_smlad(uint32_t a, uint32_t b, uint32_t sum) {
  const int32_t low = (int16_t)a * (int16_t)b;
  const int32_t high = (int16_t)(a >> 16) * (int16_t)(b >> 16);
  return sum + (uint32_t)low + (uint32_t)high;
}

static inline uint32_t dcsr_dsp_double(uint32_t pair) {
  return (pair << 1 & 0xFFFE0000u) | (pair << 1 & 0xFFFE);
}

static inline uint32_t dcsr_dsp_pack_low(uint32_t a, uint32_t b) { return (a & 0xFFFF) | b << 16; }

static inline uint32_t dcsr_dsp_pack_high(uint32_t a, uint32_t b) {
  return a >> 16 | (b & 0xFFFF0000u);
}

static inline uint32_t dcsr_dsp_max(uint32_t a, uint32_t b) {
  uint32_t result = 0;
  for (uint32_t i = 0; i < 32; i += 8) {
    result |= ((int8_t)(a >> i) > (int8_t)(b >> i) ? a : b) & (UINT32_C(0xFF) << i);
  }
  return result;
}

static inline uint32_t dcsr_dsp_min(uint32_t a, uint32_t b) { return a ^ b ^ dcsr_dsp_max(a, b); }

#endif

#ifdef __cplusplus
}
#endif

#endif  // DCSR_TFLM_KERNELS_COMMON_DSP_H_
