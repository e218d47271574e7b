// Output and exit of firmware. One library of BUILD implements io_write() and io_exit().

#ifndef DCSR_TOOLCHAINS_FIRMWARE_IO_H_
#define DCSR_TOOLCHAINS_FIRMWARE_IO_H_

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

// Does not use the heap: faults are reported with it.
void io_write(const char* data, size_t size);

// Ends the simulation, if any, with this status.
__attribute__((noreturn)) void io_exit(int status);

// Writes "firmware: exit status N", then calls io_exit(). Not every simulator passes the status on,
// but the line always arrives. Implemented by runtime.c.
__attribute__((noreturn)) void firmware_exit(int status);

#ifdef __cplusplus
}
#endif

#endif  // DCSR_TOOLCHAINS_FIRMWARE_IO_H_
