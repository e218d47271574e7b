// Calls to the attached simulator or debugger (Arm semihosting).

#ifndef DCSR_TOOLCHAINS_FIRMWARE_SEMIHOSTING_H_
#define DCSR_TOOLCHAINS_FIRMWARE_SEMIHOSTING_H_

#include <stdint.h>

enum {
  kSemihostingOpen = 0x01,
  kSemihostingWrite = 0x05,
  kSemihostingExitExtended = 0x20,
  // Exit reason: the program ended normally.
  kSemihostingApplicationExit = 0x20026,
};

static inline int32_t semihosting_call(int32_t operation, const void* arguments) {
  register int32_t r0 __asm__("r0") = operation;
  register const void* r1 __asm__("r1") = arguments;
  __asm__ volatile("bkpt 0xab" : "+r"(r0) : "r"(r1) : "memory");
  return r0;
}

#endif  // DCSR_TOOLCHAINS_FIRMWARE_SEMIHOSTING_H_
