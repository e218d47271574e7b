// Firmware for a board: prints the CPUID and the clock on the first UART.

#include <stdio.h>

#include "toolchains/firmware/device.h"

int main(void) {
  printf("hello from CPUID %#lx at %lu Hz\n", (unsigned long)SCB->CPUID,
         (unsigned long)SystemCoreClock);
  return 0;
}
