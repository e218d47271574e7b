// Output and exit through the simulator or debugger. Without one, the first output faults.

#include <stdint.h>

#include "toolchains/firmware/io.h"
#include "toolchains/firmware/semihosting.h"

void io_write(const char* data, size_t size) {
  // ":tt" is the console, mode 4 is "w".
  static const char kConsole[] = ":tt";
  static int32_t console = 0;  // handle of standard input; never returned by open
  if (console == 0) {
    const uint32_t open[3] = {(uint32_t)(uintptr_t)kConsole, 4, sizeof(kConsole) - 1};
    console = semihosting_call(kSemihostingOpen, open);
  }
  const uint32_t write[3] = {(uint32_t)console, (uint32_t)(uintptr_t)data, (uint32_t)size};
  semihosting_call(kSemihostingWrite, write);
}

void io_exit(int status) {
  const uint32_t block[2] = {kSemihostingApplicationExit, (uint32_t)status};
  semihosting_call(kSemihostingExitExtended, block);
  for (;;) {
  }
}
