// Memory as C expects it.

#ifndef DCSR_TOOLCHAINS_FIRMWARE_MEMORY_H_
#define DCSR_TOOLCHAINS_FIRMWARE_MEMORY_H_

// Gives variables their first values, and those without any zeros.
void initialize_memory(void);

#endif  // DCSR_TOOLCHAINS_FIRMWARE_MEMORY_H_
