// Firmware that fails in the way selected by the macro MISBEHAVIOUR. cortex_m_test() must detect
// the failure.

#include <assert.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "toolchains/firmware/io.h"

typedef int (*Misbehaviour)(void);

// Volatile: the compiler cannot predict the behaviour.
static volatile int zero = 0;

static int returns_3(void) { return 3; }

static int returns_minus_1(void) { return -1; }

static int fails_assertion(void) {
  assert(zero == 1);
  return 0;
}

static int aborts(void) { abort(); }

static int hangs(void) {
  while (zero == 0) {
  }
  return 0;
}

// Ends the simulator successfully, but without firmware_exit().
static int ends_unseen(void) { io_exit(0); }

static int writes_where_no_memory_is(void) {
  *(volatile uint32_t*)(uintptr_t)0xF0000000u = 1;
  return 0;
}

static int executes_undefined_instruction(void) {
  __asm__ volatile("udf #0");
  return 0;
}

static int takes_unexpected_exception(void) {
  __asm__ volatile("svc #0");
  return 0;
}

static int recurse(volatile char* caller) {
  volatile char frame[512];
  frame[0] = (char)(caller[0] + 1);
  const int deeper = zero == 0 ? recurse(frame) : 0;
  return deeper + frame[0];
}

static int overflows_stack(void) {
  volatile char frame[1] = {0};
  return recurse(frame);
}

// References all functions, so that none is unused.
static const Misbehaviour kAll[] = {
    returns_3,
    returns_minus_1,
    fails_assertion,
    aborts,
    hangs,
    ends_unseen,
    overflows_stack,
    writes_where_no_memory_is,
    executes_undefined_instruction,
    takes_unexpected_exception,
};

int main(void) {
  printf("%d ways to fail\n", (int)(sizeof(kAll) / sizeof(kAll[0])));
  return MISBEHAVIOUR();
}
