// Checks the initial values of data in each memory.

#include "toolchains/firmware/placement.h"

#include <stdint.h>
#include <stdio.h>

enum { kSize = 100000 };

DCSR_LARGE_CONST static const uint8_t large_const[kSize] = {[0] = 1, [kSize - 1] = 2};
DCSR_LARGE_BSS static uint8_t large_bss[kSize];
DCSR_FAST_BSS static uint8_t fast_bss[kSize];
static uint8_t data[kSize] = {[0] = 3, [kSize - 1] = 4};
static uint8_t bss[kSize];

static int differs(const char* name, const volatile uint8_t* bytes, int first, int last) {
  int failures = bytes[0] != first || bytes[kSize - 1] != last;
  for (int i = 1; i < kSize - 1; ++i) failures += bytes[i] != 0;
  printf("%s %s at %p\n", failures == 0 ? "ok    " : "FAILED", name, (const void*)(uintptr_t)bytes);
  return failures != 0;
}

int main(void) {
  int failures = differs("large const", large_const, 1, 2) + differs("large bss", large_bss, 0, 0) +
                 differs("fast bss", fast_bss, 0, 0) + differs("data", data, 3, 4) +
                 differs("bss", bss, 0, 0);
  volatile uint8_t* const written[] = {large_bss, fast_bss, data, bss};
  for (int i = 0; i < 4; ++i) {
    for (int k = 0; k < kSize; ++k) written[i][k] = (uint8_t)(i + k);
    for (int k = 0; k < kSize; ++k) failures += written[i][k] != (uint8_t)(i + k);
  }
  return failures;
}
