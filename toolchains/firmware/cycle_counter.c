#include "toolchains/firmware/cycle_counter.h"

#include "toolchains/firmware/device.h"

enum { kCounterBits = 24, kNanosecondsOfInstruction = 32 };

static volatile uint32_t wraps;

void SysTick_Handler(void);
void SysTick_Handler(void) { ++wraps; }

void cycle_counter_start(void) {
  SysTick->CTRL = 0;
  SysTick->LOAD = (1u << kCounterBits) - 1;
  SysTick->VAL = 0;
  wraps = 0;
  SysTick->CTRL = SysTick_CTRL_CLKSOURCE_Msk | SysTick_CTRL_TICKINT_Msk | SysTick_CTRL_ENABLE_Msk;
}

uint64_t cycle_counter_read(void) {
  for (;;) {
    const uint32_t high = wraps;
    // SysTick counts down and starts at 0.
    const uint32_t low = (0u - SysTick->VAL) & ((1u << kCounterBits) - 1);
    // A pending interrupt is taken here.
    __ISB();
    if (high == wraps) return ((uint64_t)high << kCounterBits) + low;
  }
}

uint64_t cycle_counter_instructions(uint64_t ticks) {
  // Rounded. Clocks are multiples of 1 MHz, so nothing overflows within 100 years.
  const uint64_t mega_hertz = SystemCoreClock / 1000000u;
  const uint64_t divisor = mega_hertz * kNanosecondsOfInstruction;
  return (ticks * 1000 + divisor / 2) / divisor;
}
