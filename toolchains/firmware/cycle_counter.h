// Counts processor cycles with SysTick, the one counter that every Cortex-M has.
//
//   cycle_counter_start();
//   const uint64_t before = cycle_counter_read();
//   ...
//   const uint64_t ticks = cycle_counter_read() - before;
//
// On silicon, and as far as a simulator models them, ticks are clock cycles. QEMU has no notion of
// cycles; in a test with deterministic = True every instruction takes 32 ns of its time, and
// cycle_counter_instructions() says how many they were, the same on every run and machine.
//
// SysTick is used up, and interrupts have to be enabled: it wraps after 2^24 ticks.

#ifndef DCSR_TOOLCHAINS_FIRMWARE_CYCLE_COUNTER_H_
#define DCSR_TOOLCHAINS_FIRMWARE_CYCLE_COUNTER_H_

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

void cycle_counter_start(void);

// Ticks since the start. Reading takes a few itself: take the difference of two reads with nothing
// in between off, if that matters.
uint64_t cycle_counter_read(void);

// Instructions that QEMU has executed in so many ticks, to within one or two: those of the counter
// count too, and once in 2^24 ticks the few of an interrupt.
uint64_t cycle_counter_instructions(uint64_t ticks);

#ifdef __cplusplus
}
#endif

#endif  // DCSR_TOOLCHAINS_FIRMWARE_CYCLE_COUNTER_H_
