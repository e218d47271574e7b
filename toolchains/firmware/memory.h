// Initialises memory as C requires.

#ifndef DCSR_TOOLCHAINS_FIRMWARE_MEMORY_H_
#define DCSR_TOOLCHAINS_FIRMWARE_MEMORY_H_

// Copies the initial values of variables and zeroes those without.
void initialize_memory(void);

#endif  // DCSR_TOOLCHAINS_FIRMWARE_MEMORY_H_
