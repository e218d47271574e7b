// Where a firmware's output goes, and how it ends: one library of BUILD implements it.

#ifndef DCSR_TOOLCHAINS_FIRMWARE_IO_H_
#define DCSR_TOOLCHAINS_FIRMWARE_IO_H_

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

// Takes nothing from the heap, as faults are reported with it.
void io_write(const char* data, size_t size);

// Ends the simulation, if there is one, with this status.
__attribute__((noreturn)) void io_exit(int status);

// Not of that library but of runtime.c: writes "firmware: exit status N", then calls io_exit(). Not
// every simulator hands a status on; the line always gets through.
__attribute__((noreturn)) void firmware_exit(int status);

#ifdef __cplusplus
}
#endif

#endif  // DCSR_TOOLCHAINS_FIRMWARE_IO_H_
