// The file job.bin in the simulator's working directory, and the memory for its sections. For
// firmware of benchmarks; the simulator reads the file by semihosting.

#ifndef DCSR_BENCHMARKS_FIRMWARE_JOB_H_
#define DCSR_BENCHMARKS_FIRMWARE_JOB_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

// Opens the file and reads its header: a magic number, and the number of its parts. Prints the
// reason and returns false if there is no such file.
bool job_open(uint32_t magic, uint32_t* parts);

// Reads the next bytes. Returns false if the file ends before.
bool job_read(void* data, size_t bytes);

// Returns memory aligned to 16, not initialised. NULL if it is exhausted.
void* job_allocate(size_t bytes);

// Reads the next bytes into newly allocated memory. NULL on failure.
void* job_read_section(size_t bytes);

// Releases all memory.
void job_release(void);

// Returns the instructions that a measurement of nothing counts. Starts the counter.
uint64_t job_overhead(void);

#ifdef __cplusplus
}
#endif

#endif  // DCSR_BENCHMARKS_FIRMWARE_JOB_H_
