// What C++ needs of its library, which is not linked: memory from malloc(), and an end in place of
// what cannot happen.

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

// Called in place of a virtual function that has no body.
extern "C" void __cxa_pure_virtual() { abort(); }
