// Counts processor cycles with SysTick, the only counter that every Cortex-M has.
//
//   cycle_counter_start();
//   const uint64_t before = cycle_counter_read();
//   ...
//   const uint64_t ticks = cycle_counter_read() - before;
//
// On silicon, and in simulators that model them, ticks are clock cycles. QEMU does not model
// cycles: in a test with deterministic = True every instruction takes 32 ns of simulated time, and
// cycle_counter_instructions() converts ticks to instructions. They are the same on every run and
// machine.
//
// The counter occupies SysTick and needs interrupts to be enabled: it wraps after 2^24 ticks.

#ifndef DCSR_TOOLCHAINS_FIRMWARE_CYCLE_COUNTER_H_
#define DCSR_TOOLCHAINS_FIRMWARE_CYCLE_COUNTER_H_

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

void cycle_counter_start(void);

// Ticks since the start. Reading takes a few ticks itself. If that matters, subtract the difference
// of two consecutive reads.
uint64_t cycle_counter_read(void);

// Instructions that QEMU has executed in `ticks`, to within one or two: the counter's own
// instructions are included, and every 2^24 ticks those of an interrupt.
uint64_t cycle_counter_instructions(uint64_t ticks);

// Marks the region whose cycles //benchmarks/cycles estimates. Each mark is one instruction, a hint
// that every core executes as NOP and no compiler emits. A region must not contain another one.
static inline void cycle_counter_mark_begin(void) {
  __asm__ volatile(".inst.n 0xbf80" ::: "memory");
}
static inline void cycle_counter_mark_end(void) { __asm__ volatile(".inst.n 0xbf90" ::: "memory"); }

#ifdef __cplusplus
}
#endif

#endif  // DCSR_TOOLCHAINS_FIRMWARE_CYCLE_COUNTER_H_
