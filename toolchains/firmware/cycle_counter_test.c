// Counts the instructions of a loop of known length.

#include "toolchains/firmware/cycle_counter.h"

#include <stdio.h>

static uint64_t instructions_of_loop(uint32_t iterations) {
  const uint64_t before = cycle_counter_read();
  // Two instructions on any core.
  __asm__ volatile(
      ".syntax unified\n"
      "1: subs %0, #1\n"
      "bne 1b\n"
      : "+l"(iterations)
      :
      : "cc");
  return cycle_counter_instructions(cycle_counter_read() - before);
}

int main(void) {
  // With the last two, SysTick wraps once and three times.
  static const uint32_t kIterations[] = {1, 10, 1000, 100000, 10000000, 30000000};
  enum { kTolerance = 3 };
  int failures = 0;
  cycle_counter_start();
  const uint64_t overhead = instructions_of_loop(1) - 2;
  for (int i = 0; i < (int)(sizeof(kIterations) / sizeof(kIterations[0])); ++i) {
    const uint64_t expected = 2 * (uint64_t)kIterations[i];
    const uint64_t actual = instructions_of_loop(kIterations[i]) - overhead;
    const uint64_t interrupts = expected / (1u << 23);
    const uint64_t difference = actual > expected ? actual - expected : expected - actual;
    const int fails = difference > kTolerance + 40 * interrupts;
    printf("%s %lu iterations: expected %lu instructions, counted %lu\n",
           fails ? "FAILED" : "ok    ", (unsigned long)kIterations[i], (unsigned long)expected,
           (unsigned long)actual);
    failures += fails;
  }
  return failures;
}
