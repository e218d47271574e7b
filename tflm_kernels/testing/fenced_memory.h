// Memory for inputs and scratch behind which an access faults, on cores with MVE. There no
// sanitizer runs, and their kernels have no twins on the host. Elsewhere this is malloc.
//
// The MPU allows all memory of the board but 32 bytes before, between and behind two windows.

#ifndef DCSR_TFLM_KERNELS_TESTING_FENCED_MEMORY_H_
#define DCSR_TFLM_KERNELS_TESTING_FENCED_MEMORY_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#if defined(__ARM_FEATURE_MVE)

enum { kFenceBytes = 32, kWindowBytes = 96 * 1024, kInputAlignment = 4, kScratchAlignment = 16 };

typedef struct {
  uint8_t before[kFenceBytes];
  uint8_t input[kWindowBytes];
  uint8_t between[kFenceBytes];
  uint8_t scratch[kWindowBytes];
  uint8_t behind[kFenceBytes];
} FencedMemory;

static FencedMemory g_fenced __attribute__((aligned(32)));

static inline void fence_region(uint32_t number, uint32_t first, uint32_t end, uint32_t rights,
                                uint32_t attribute) {
  volatile uint32_t* const mpu = (volatile uint32_t*)0xE000ED90u;  // Armv8-M ARM, D1.2
  mpu[2] = number;
  mpu[3] = first | rights;
  mpu[4] = (end - kFenceBytes) | attribute << 1 | 1;
}

// Turns on the MPU. The addresses are those of the AN547 and the Corstone-300 FVP.
static inline void fence_memory(void) {
  static bool is_fenced;
  if (is_fenced) return;
  is_fenced = true;
  enum { kExecute = 0, kNoExecute = 1, kNormal = 0, kDevice = 1 };
  volatile uint32_t* const mpu = (volatile uint32_t*)0xE000ED90u;
  const uint32_t input = (uint32_t)(uintptr_t)g_fenced.input;
  const uint32_t scratch = (uint32_t)(uintptr_t)g_fenced.scratch;
  mpu[12] = 0x0044;  // MAIR0: normal memory without cache, device memory
  fence_region(0, 0x10000000u, 0x10080000u, kExecute, kNormal);
  fence_region(1, 0x30000000u, 0x30080000u, kNoExecute, kNormal);
  fence_region(2, 0x31000000u, input - kFenceBytes, kNoExecute, kNormal);
  fence_region(3, input, input + kWindowBytes, kNoExecute, kNormal);
  fence_region(4, scratch, scratch + kWindowBytes, kNoExecute, kNormal);
  fence_region(5, scratch + kWindowBytes + kFenceBytes, 0x31400000u, kNoExecute, kNormal);
  fence_region(6, 0x40000000u, 0x60000000u, kNoExecute, kDevice);
  fence_region(7, 0x70000000u, 0x74000000u, kNoExecute, kNormal);
  mpu[1] = 1;
  __asm__ volatile("dsb\nisb\n" ::: "memory");
}

// Returns the last `bytes` bytes of a window, or memory without a fence if there are more.
static inline void* fenced(uint8_t* window, size_t bytes, uintptr_t alignment) {
  if (bytes > kWindowBytes) return malloc(bytes);
  fence_memory();
  return (void*)(((uintptr_t)window + kWindowBytes - bytes) & ~(alignment - 1));
}

static inline void* fenced_input(size_t bytes) {
  return fenced(g_fenced.input, bytes, kInputAlignment);
}

static inline void* fenced_scratch(size_t bytes) {
  return fenced(g_fenced.scratch, bytes, kScratchAlignment);
}

static inline void free_fenced(void* memory) {
  const uint8_t* const byte = (const uint8_t*)memory;
  if (byte < g_fenced.before || byte >= g_fenced.behind) free(memory);
}

#else

static inline void* fenced_input(size_t bytes) { return malloc(bytes); }
static inline void* fenced_scratch(size_t bytes) { return malloc(bytes); }
static inline void free_fenced(void* memory) { free(memory); }

#endif

#endif  // DCSR_TFLM_KERNELS_TESTING_FENCED_MEMORY_H_
