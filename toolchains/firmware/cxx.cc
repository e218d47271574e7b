// Replaces the parts of the C++ library that C++ code needs; the library itself is not linked.
// Memory comes from malloc(). Impossible events abort.

#include <stddef.h>
#include <stdlib.h>

void* operator new(size_t size) {
  void* memory = malloc(size > 0 ? size : 1);
  if (memory == nullptr) abort();
  return memory;
}

void* operator new[](size_t size) { return operator new(size); }

void operator delete(void* memory) noexcept { free(memory); }

void operator delete[](void* memory) noexcept { free(memory); }

void operator delete(void* memory, size_t) noexcept { free(memory); }

void operator delete[](void* memory, size_t) noexcept { free(memory); }

// Called instead of a virtual function without a body.
extern "C" void __cxa_pure_virtual() { abort(); }
