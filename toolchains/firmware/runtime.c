// The start of the program after memory is initialised, and Newlib's system calls.

#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "toolchains/firmware/io.h"

// Defined in sections.ld.
extern char __HeapBase[];
extern char __HeapLimit[];

typedef void (*Function)(void);

extern const Function __preinit_array_start[];
extern const Function __preinit_array_end[];
extern const Function __init_array_start[];
extern const Function __init_array_end[];

int main(void);

// Also called at the end of CMSIS-Core's __PROGRAM_START.
__attribute__((noreturn)) void _start(void);

void* _sbrk(ptrdiff_t increment);
int _write(int file, const char* data, int size);
int _read(int file, char* data, int size);
int _close(int file);
int _lseek(int file, int offset, int whence);
int _fstat(int file, struct stat* status);
int _isatty(int file);
int _kill(int process, int signal);
int _getpid(void);
void _exit(int status);
void _init(void);
void _fini(void);

// C++ refers to it. Nothing is ever unloaded.
extern void* __dso_handle;
void* __dso_handle = NULL;

void _start(void) {
  for (const Function* f = __preinit_array_start; f < __preinit_array_end; ++f) (*f)();
  for (const Function* f = __init_array_start; f < __init_array_end; ++f) (*f)();
  exit(main());
}

void* _sbrk(ptrdiff_t increment) {
  static char* end = __HeapBase;
  // Compare as integers: the sum may be outside any object.
  const uintptr_t next = (uintptr_t)end + (uintptr_t)increment;
  if (next < (uintptr_t)__HeapBase || next > (uintptr_t)__HeapLimit) {
    errno = ENOMEM;
    return (void*)-1;
  }
  char* start = end;
  end += increment;
  return start;
}

int _write(int file, const char* data, int size) {
  (void)file;
  io_write(data, (size_t)size);
  return size;
}

static void print(const char* text) { io_write(text, strlen(text)); }

void firmware_exit(int status) {
  // Decimal, without printf(), which needs the heap.
  char digits[12];
  char* p = digits + sizeof(digits);
  *--p = '\0';
  uint32_t rest = status < 0 ? 0u - (uint32_t)status : (uint32_t)status;
  do {
    *--p = (char)('0' + rest % 10);
    rest /= 10;
  } while (rest > 0);
  if (status < 0) *--p = '-';
  print("firmware: exit status ");
  print(p);
  print("\n");
  io_exit(status);
}

void _exit(int status) { firmware_exit(status); }

int _kill(int process, int signal) {
  (void)process;
  // Called by abort(), also after a failed assert().
  print("\nfirmware: aborted\n");
  firmware_exit(128 + signal);
}

int _getpid(void) { return 1; }

int _read(int file, char* data, int size) {
  (void)file;
  (void)data;
  (void)size;
  return 0;
}

int _close(int file) {
  (void)file;
  return -1;
}

int _lseek(int file, int offset, int whence) {
  (void)file;
  (void)offset;
  (void)whence;
  return 0;
}

int _fstat(int file, struct stat* status) {
  (void)file;
  memset(status, 0, sizeof(*status));
  status->st_mode = S_IFCHR;
  return 0;
}

int _isatty(int file) {
  (void)file;
  return 1;
}

void _init(void) {}

void _fini(void) {}
