// The device header, as in CMSIS: registers of the core, with the names of CMSIS-Core.
//
// If CMSIS-Core is available (--//third_party/cmsis:core=LABEL, docs/cortex_m.md), its header is
// included. Otherwise the definitions below provide the required subset of the same names.

#ifndef DCSR_TOOLCHAINS_FIRMWARE_DEVICE_H_
#define DCSR_TOOLCHAINS_FIRMWARE_DEVICE_H_

#include <stdint.h>

// Boards of the tests and examples (BOARD.ld).
#if defined(DCSR_BOARD_AN385)
#define DCSR_BOARD_SYSTEM_CLOCK 25000000u
#define DCSR_BOARD_UART_CLOCK 25000000u
#define DCSR_BOARD_UART0 0x40004000u
#elif defined(DCSR_BOARD_AN505)
#define DCSR_BOARD_SYSTEM_CLOCK 20000000u
#define DCSR_BOARD_UART_CLOCK 20000000u
#define DCSR_BOARD_UART0 0x50200000u
#elif defined(DCSR_BOARD_AN547)
#define DCSR_BOARD_SYSTEM_CLOCK 32000000u
#define DCSR_BOARD_UART_CLOCK 25000000u
#define DCSR_BOARD_UART0 0x59303000u
#endif

#if defined(__ARM_FEATURE_MVE)
#define DCSR_CMSIS_CORE_HEADER "core_cm55.h"
#elif defined(__ARM_ARCH_8M_MAIN__)
#define DCSR_CMSIS_CORE_HEADER "core_cm33.h"
#elif defined(__ARM_ARCH_6M__)
#define DCSR_CMSIS_CORE_HEADER "core_cm0plus.h"
#elif !defined(__ARM_FEATURE_DSP)
#define DCSR_CMSIS_CORE_HEADER "core_cm3.h"
#elif defined(__ARM_FP) && (__ARM_FP & 8)
#define DCSR_CMSIS_CORE_HEADER "core_cm7.h"
#else
#define DCSR_CMSIS_CORE_HEADER "core_cm4.h"
#endif

// Interrupts of the core. Device interrupts are in the vendor's header.
typedef enum {
  NonMaskableInt_IRQn = -14,
  HardFault_IRQn = -13,
  MemoryManagement_IRQn = -12,
  BusFault_IRQn = -11,
  UsageFault_IRQn = -10,
  SecureFault_IRQn = -9,
  SVCall_IRQn = -5,
  DebugMonitor_IRQn = -4,
  PendSV_IRQn = -2,
  SysTick_IRQn = -1,
} IRQn_Type;

#if __has_include(DCSR_CMSIS_CORE_HEADER)

#define DCSR_HAS_CMSIS_CORE 1

// Macros that CMSIS-Core requires of a device header.
#define __CM0PLUS_REV 0x0001u
#define __CM3_REV 0x0201u
#define __CM4_REV 0x0001u
#define __CM7_REV 0x0102u
#define __CM33_REV 0x0000u
#define __CM55_REV 0x0001u
#define __NVIC_PRIO_BITS 3u
#define __Vendor_SysTickConfig 0u
#define __MPU_PRESENT 1u
#define __VTOR_PRESENT 1u
#if defined(__ARM_FP)
#define __FPU_PRESENT 1u
#else
#define __FPU_PRESENT 0u
#endif
#if defined(__ARM_FP) && (__ARM_FP & 8)
#define __FPU_DP 1u
#else
#define __FPU_DP 0u
#endif
#define __DSP_PRESENT 1u
#define __ICACHE_PRESENT 1u
#define __DCACHE_PRESENT 1u
#define __DTCM_PRESENT 1u
#define __SAUREGION_PRESENT 1u
#define __PMU_PRESENT 1u
#define __PMU_NUM_EVENTCNT 8u

#include DCSR_CMSIS_CORE_HEADER

#else

#define DCSR_HAS_CMSIS_CORE 0

// System control block.
typedef struct {
  volatile const uint32_t CPUID;
  volatile uint32_t ICSR;
  volatile uint32_t VTOR;
  volatile uint32_t AIRCR;
  volatile uint32_t SCR;
  volatile uint32_t CCR;
  volatile uint32_t SHPR[3];
  volatile uint32_t SHCSR;
  volatile uint32_t CFSR;
  volatile uint32_t HFSR;
  volatile uint32_t DFSR;
  volatile uint32_t MMFAR;
  volatile uint32_t BFAR;
  volatile uint32_t AFSR;
  uint32_t RESERVED[18];
  volatile uint32_t CPACR;
} SCB_Type;

typedef struct {
  volatile uint32_t CTRL;
  volatile uint32_t LOAD;
  volatile uint32_t VAL;
  volatile const uint32_t CALIB;
} SysTick_Type;

// Up to ARMv7-M. The MPU of ARMv8-M is different.
typedef struct {
  volatile const uint32_t TYPE;
  volatile uint32_t CTRL;
  volatile uint32_t RNR;
  volatile uint32_t RBAR;
  volatile uint32_t RASR;
} MPU_Type;

#define SysTick ((SysTick_Type*)0xE000E010u)
#define SCB ((SCB_Type*)0xE000ED00u)
#define MPU ((MPU_Type*)0xE000ED90u)

#define SysTick_CTRL_CLKSOURCE_Msk (1u << 2)
#define SysTick_CTRL_TICKINT_Msk (1u << 1)
#define SysTick_CTRL_ENABLE_Msk 1u
#define SCB_CCR_UNALIGN_TRP_Msk (1u << 3)
#define SCB_CCR_BP_Msk (1u << 18)
#define SCB_CCR_LOB_Msk (1u << 19)
#define SCB_SHCSR_MEMFAULTENA_Msk (1u << 16)
#define SCB_SHCSR_BUSFAULTENA_Msk (1u << 17)
#define SCB_SHCSR_USGFAULTENA_Msk (1u << 18)
#define MPU_CTRL_PRIVDEFENA_Msk (1u << 2)
#define MPU_CTRL_ENABLE_Msk 1u
#define MPU_RASR_XN_Msk (1u << 28)
#define MPU_RASR_SIZE_Pos 1u
#define MPU_RASR_ENABLE_Msk 1u

static inline void __DSB(void) { __asm__ volatile("dsb 0xf" ::: "memory"); }
static inline void __ISB(void) { __asm__ volatile("isb 0xf" ::: "memory"); }
static inline void __WFI(void) { __asm__ volatile("wfi" ::: "memory"); }

static inline uint32_t __get_IPSR(void) {
  uint32_t ipsr;
  __asm__ volatile("mrs %0, ipsr" : "=r"(ipsr));
  return ipsr;
}

#endif

#ifdef __cplusplus
extern "C" {
#endif

// As in CMSIS's system_DEVICE.h.
extern uint32_t SystemCoreClock;
void SystemInit(void);
void SystemCoreClockUpdate(void);

#ifdef __cplusplus
}
#endif

#endif  // DCSR_TOOLCHAINS_FIRMWARE_DEVICE_H_
