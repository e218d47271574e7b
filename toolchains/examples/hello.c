// A firmware for a board: prints on the first UART what it runs on.

#include <stdio.h>

#include "toolchains/firmware/device.h"

int main(void) {
  printf("hello from CPUID %#lx at %lu Hz\n", (unsigned long)SCB->CPUID,
         (unsigned long)SystemCoreClock);
  return 0;
}
