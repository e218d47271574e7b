// Start-up code like a vendor's, according to CMSIS: vectors, and the work of CMSIS-Core's
// __cmsis_start().

#include <stdint.h>

typedef struct {
  uint32_t const* src;
  uint32_t* dest;
  uint32_t wlen;
} __copy_table_t;

typedef struct {
  uint32_t* dest;
  uint32_t wlen;
} __zero_table_t;

extern const __copy_table_t __copy_table_start__;
extern const __copy_table_t __copy_table_end__;
extern const __zero_table_t __zero_table_start__;
extern const __zero_table_t __zero_table_end__;
extern uint32_t __StackTop;

__attribute__((noreturn)) void _start(void);
void Reset_Handler(void);
static void Default_Handler(void);

static void Default_Handler(void) {
  for (;;) {
  }
}

void Reset_Handler(void) {
  for (__copy_table_t const* table = &__copy_table_start__; table < &__copy_table_end__; ++table) {
    for (uint32_t i = 0; i < table->wlen; ++i) table->dest[i] = table->src[i];
  }
  for (__zero_table_t const* table = &__zero_table_start__; table < &__zero_table_end__; ++table) {
    for (uint32_t i = 0; i < table->wlen; ++i) table->dest[i] = 0;
  }
  _start();
}

extern void (*const __Vectors[])(void);
__attribute__((used, section(".vectors"))) void (*const __Vectors[])(void) = {
    (void (*)(void))(uintptr_t)&__StackTop,
    Reset_Handler,
    Default_Handler,
    Default_Handler,
};
