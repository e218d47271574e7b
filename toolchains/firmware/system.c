// The equivalent of CMSIS's system_DEVICE.c: sets up the core before any other code runs.

#include "toolchains/firmware/device.h"

// Hertz, after reset.
uint32_t SystemCoreClock = DCSR_BOARD_SYSTEM_CLOCK;

void SystemCoreClockUpdate(void) { SystemCoreClock = DCSR_BOARD_SYSTEM_CLOCK; }

// Runs before memory is initialised.
void SystemInit(void) {
#if defined(__ARM_FP) || defined(__ARM_FEATURE_MVE)
  SCB->CPACR |= 0xFu << 20;  // coprocessors 10 and 11: floating point and MVE
#endif
#if !defined(__ARM_ARCH_6M__)
  // Report each kind of fault separately, not as HardFault.
  SCB->SHCSR |= SCB_SHCSR_MEMFAULTENA_Msk | SCB_SHCSR_BUSFAULTENA_Msk | SCB_SHCSR_USGFAULTENA_Msk;
#else
  // ARMv6-M cores always trap unaligned accesses. A core that emulates one must be configured; some
  // versions of QEMU ignore this bit.
  SCB->CCR |= SCB_CCR_UNALIGN_TRP_Msk;
#endif
#if defined(__ARM_FEATURE_MVE)
  // Low-overhead loops, and the branch cache that makes them fast.
  SCB->CCR |= SCB_CCR_LOB_Msk | SCB_CCR_BP_Msk;
#endif
  __DSB();
  __ISB();
}
