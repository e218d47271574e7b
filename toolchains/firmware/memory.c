// Separate from startup.c, because CMSIS-Core declares the same tables with other types.

#include "toolchains/firmware/memory.h"

#include <stdint.h>

// The tables of sections.ld, in the format of CMSIS-Core's __cmsis_start().
typedef struct {
  const uint32_t* source;
  volatile uint32_t* destination;
  uint32_t words;
} CopyEntry;

typedef struct {
  volatile uint32_t* destination;
  uint32_t words;
} ZeroEntry;

extern const CopyEntry __copy_table_start__[];
extern const CopyEntry __copy_table_end__[];
extern const ZeroEntry __zero_table_start__[];
extern const ZeroEntry __zero_table_end__[];

void initialize_memory(void) {
  for (const CopyEntry* entry = __copy_table_start__; entry < __copy_table_end__; ++entry) {
    for (uint32_t i = 0; i < entry->words; ++i) entry->destination[i] = entry->source[i];
  }
  for (const ZeroEntry* entry = __zero_table_start__; entry < __zero_table_end__; ++entry) {
    for (uint32_t i = 0; i < entry->words; ++i) entry->destination[i] = 0;
  }
}
