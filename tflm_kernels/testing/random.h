// Reproducible pseudo-random numbers (splitmix64), the same on every target.

#ifndef DCSR_TFLM_KERNELS_TESTING_RANDOM_H_
#define DCSR_TFLM_KERNELS_TESTING_RANDOM_H_

#include <stdint.h>

typedef struct {
  uint64_t state;  // the seed
} Random;

static inline uint64_t random_u64(Random* random) {
  random->state += UINT64_C(0x9E3779B97F4A7C15);
  uint64_t z = random->state;
  z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
  z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
  return z ^ (z >> 31);
}

static inline uint32_t random_u32(Random* random) { return (uint32_t)(random_u64(random) >> 32); }

// Uniform in [0, limit), limit > 0.
static inline uint32_t random_below(Random* random, uint32_t limit) {
  return (uint32_t)(((uint64_t)random_u32(random) * limit) >> 32);
}

// Uniform in [low, high].
static inline int32_t random_between(Random* random, int32_t low, int32_t high) {
  return low + (int32_t)random_below(random, (uint32_t)(high - low) + 1);
}

#endif  // DCSR_TFLM_KERNELS_TESTING_RANDOM_H_
