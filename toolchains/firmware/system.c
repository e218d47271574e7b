// What CMSIS has in system_DEVICE.c: the core made ready before any other code runs.

#include "toolchains/firmware/device.h"

// After a reset; in hertz.
uint32_t SystemCoreClock = DCSR_BOARD_SYSTEM_CLOCK;

void SystemCoreClockUpdate(void) { SystemCoreClock = DCSR_BOARD_SYSTEM_CLOCK; }

// Runs before memory is initialised.
void SystemInit(void) {
#if defined(__ARM_FP) || defined(__ARM_FEATURE_MVE)
  SCB->CPACR |= 0xFu << 20;  // coprocessors 10 and 11: floating point and MVE
#endif
#if !defined(__ARM_ARCH_6M__)
  // Each kind of fault by its own name, not as HardFault.
  SCB->SHCSR |= SCB_SHCSR_MEMFAULTENA_Msk | SCB_SHCSR_BUSFAULTENA_Msk | SCB_SHCSR_USGFAULTENA_Msk;
#else
  // A core of ARMv6-M traps anyway. One that only emulates it has to be told, and not every version
  // of QEMU listens.
  SCB->CCR |= SCB_CCR_UNALIGN_TRP_Msk;
#endif
#if defined(__ARM_FEATURE_MVE)
  // Low-overhead loops; and the branch cache that they are fast with.
  SCB->CCR |= SCB_CCR_LOB_Msk | SCB_CCR_BP_Msk;
#endif
  __DSB();
  __ISB();
}
