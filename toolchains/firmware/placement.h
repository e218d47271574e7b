// Places large data in a firmware's memories. No effect on a host.
//
//   DCSR_LARGE_CONST const unsigned char model[] = {...};   // DDR on AN547, else with the code
//   DCSR_LARGE_BSS static uint8_t arena[1 << 20];           // external memory
//   DCSR_FAST_BSS static uint8_t scratch[1 << 16];          // tightly coupled memory on AN547
//
// Other data is in the board's internal memory. Variables in a *_BSS section are zero at start and
// cannot have an initialiser.

#ifndef DCSR_TOOLCHAINS_FIRMWARE_PLACEMENT_H_
#define DCSR_TOOLCHAINS_FIRMWARE_PLACEMENT_H_

#if defined(__arm__) && !defined(__linux__)
#define DCSR_LARGE_CONST __attribute__((section(".rodata.dcsr_large")))
#define DCSR_LARGE_BSS __attribute__((section(".bss.dcsr_large")))
#define DCSR_FAST_BSS __attribute__((section(".bss.dcsr_fast")))
#else
#define DCSR_LARGE_CONST
#define DCSR_LARGE_BSS
#define DCSR_FAST_BSS
#endif

#endif  // DCSR_TOOLCHAINS_FIRMWARE_PLACEMENT_H_
