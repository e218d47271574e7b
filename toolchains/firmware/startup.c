// Reset, vectors and faults. The names are those of CMSIS, so that a vendor's startup file can
// replace this one: __Vectors, Reset_Handler, SystemInit(), NMI_Handler and so on.

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "toolchains/firmware/device.h"
#include "toolchains/firmware/io.h"
#include "toolchains/firmware/memory.h"

typedef void (*Function)(void);

// Defined in sections.ld.
extern uint32_t __StackLimit[];
extern uint32_t __StackTop[];

// Defined in runtime.c.
__attribute__((noreturn)) void _start(void);

void Reset_Handler(void);
void Default_Handler(void);
void Fault_Handler(void);

// Weak: other files, including a vendor's, may define any of them.
#define DCSR_HANDLER(name, target) void name(void) __attribute__((weak, alias(#target)))
DCSR_HANDLER(NMI_Handler, Default_Handler);
DCSR_HANDLER(HardFault_Handler, Fault_Handler);
DCSR_HANDLER(MemManage_Handler, Fault_Handler);
DCSR_HANDLER(BusFault_Handler, Fault_Handler);
DCSR_HANDLER(UsageFault_Handler, Fault_Handler);
DCSR_HANDLER(SecureFault_Handler, Fault_Handler);
DCSR_HANDLER(SVC_Handler, Default_Handler);
DCSR_HANDLER(DebugMon_Handler, Default_Handler);
DCSR_HANDLER(PendSV_Handler, Default_Handler);
DCSR_HANDLER(SysTick_Handler, Default_Handler);

// Exceptions of the core. Device interrupts have no entries because none is enabled. Firmware that
// uses them needs its vendor's table.
extern const Function __Vectors[16];
__attribute__((used, section(".vectors"))) const Function __Vectors[16] = {
    (Function)(uintptr_t)__StackTop,
    Reset_Handler,
    NMI_Handler,
    HardFault_Handler,
    MemManage_Handler,
    BusFault_Handler,
    UsageFault_Handler,
    SecureFault_Handler,
    NULL,
    NULL,
    NULL,
    SVC_Handler,
    DebugMon_Handler,
    NULL,
    PendSV_Handler,
    SysTick_Handler,
};

// Called only from assembly, hence without a prototype in a header.
void start(void);
void report_fault(const uint32_t* frame, uint32_t exception_return);

enum { kGuardBytes = 1024 };

// Makes the end of the stack inaccessible with the MPU, if there is one: an overflow faults.
static void guard_stack(void) {
#if !defined(__ARM_ARCH_8M_MAIN__) && !defined(__ARM_ARCH_8_1M_MAIN__)
  if (MPU->TYPE == 0) return;
  MPU->RNR = 0;
  MPU->RBAR = ((uint32_t)(uintptr_t)__StackLimit + kGuardBytes - 1) & ~(uint32_t)(kGuardBytes - 1);
  // No access; 2^(9 + 1) bytes.
  MPU->RASR = MPU_RASR_XN_Msk | 9u << MPU_RASR_SIZE_Pos | MPU_RASR_ENABLE_Msk;
  MPU->CTRL = MPU_CTRL_PRIVDEFENA_Msk | MPU_CTRL_ENABLE_Msk;
  __DSB();
  __ISB();
#endif
}

void start(void) {
  SystemInit();
  guard_stack();
  initialize_memory();
  _start();
}

__attribute__((naked)) void Reset_Handler(void) {
  __asm__ volatile(
#if defined(__ARM_ARCH_8M_MAIN__) || defined(__ARM_ARCH_8_1M_MAIN__)
      // The stack limit replaces the MPU region of the other cores.
      "ldr r0, =__StackLimit\n"
      "msr msplim, r0\n"
#endif
      "ldr r0, =__StackTop\n"
      "mov sp, r0\n"
      "ldr r0, =start\n"
      "bx r0\n"
      ".ltorg\n");
}

// ----- Faults -----

static void print(const char* text) { io_write(text, strlen(text)); }

static void print_hex(const char* name, uint32_t value) {
  char digits[] = "0x00000000";
  for (size_t i = 0; i < 8; ++i) digits[9 - i] = "0123456789abcdef"[value >> (4 * i) & 15];
  print("  ");
  print(name);
  print(" ");
  print(digits);
  print("\n");
}

static const char* exception_name(uint32_t number) {
  switch (number) {
    case 2:
      return "NMI";
    case 3:
      return "HardFault";
    case 4:
      return "MemManage fault";
    case 5:
      return "BusFault";
    case 6:
      return "UsageFault";
    case 7:
      return "SecureFault";
    default:
      return "unexpected exception";
  }
}

// Whether the core could not save the exception frame because the stack was full.
static bool stack_is_full(const uint32_t* frame) {
#if !defined(__ARM_ARCH_6M__)
  const uint32_t mstkerr = 1u << 4;
  const uint32_t stkerr = 1u << 12;
  const uint32_t stkof = 1u << 20;
  if ((SCB->CFSR & (mstkerr | stkerr | stkof)) != 0) return true;
#endif
  return frame < __StackLimit + 2 * kGuardBytes / sizeof(*frame) || frame + 8 > __StackTop;
}

enum { kFaultStatus = 100, kUnexpectedStatus = 101 };

// `frame` is the exception frame, saved by the core at the end of the stack unless that is full.
__attribute__((used)) void report_fault(const uint32_t* frame, uint32_t exception_return) {
  const uint32_t number = __get_IPSR() & 0x1FF;
  print("\nfirmware: ");
  print(exception_name(number));
  print("\n");
  print_hex("exception", number);
  print_hex("sp", (uint32_t)(uintptr_t)frame);
  if (stack_is_full(frame)) {
    print("  the stack is full\n");
  } else {
    print_hex("pc", frame[6]);
    print_hex("lr", frame[5]);
    print_hex("xpsr", frame[7]);
  }
  print_hex("exc_return", exception_return);
#if !defined(__ARM_ARCH_6M__)
  print_hex("cfsr", SCB->CFSR);
  print_hex("hfsr", SCB->HFSR);
  print_hex("mmfar", SCB->MMFAR);
  print_hex("bfar", SCB->BFAR);
#endif
  firmware_exit(number >= 3 && number <= 7 ? kFaultStatus : kUnexpectedStatus);
}

// Does not return. If the stack is full, the report reuses it from the top. Otherwise the report
// continues below the exception frame, which it reads.
__attribute__((naked)) void Fault_Handler(void) {
  __asm__ volatile(
      "mrs r0, msp\n"
      "mov r1, lr\n"
      "ldr r2, =__StackTop\n"
      "mov sp, r2\n"
      "ldr r3, =__StackLimit+2048\n"
      "cmp r0, r3\n"
      "blo 1f\n"
      "mov sp, r0\n"
      "1:\n"
      "ldr r2, =report_fault\n"
      "bx r2\n"
      ".ltorg\n");
}

__attribute__((naked)) void Default_Handler(void) {
  __asm__ volatile(
      "ldr r2, =Fault_Handler\n"
      "bx r2\n"
      ".ltorg\n");
}
