#include "benchmarks/firmware/job.h"

#include <stdio.h>

#include "toolchains/firmware/cycle_counter.h"
#include "toolchains/firmware/placement.h"
#include "toolchains/firmware/semihosting.h"

enum {
  kSemihostingRead = 0x06,
  kSemihostingModeRead = 1,  // "rb"
  kPoolBytes = 8 << 20,
  kAlignment = 16,
};

static const char kJobFile[] = "job.bin";

static int32_t file = -1;

DCSR_LARGE_BSS static uint8_t pool[kPoolBytes] __attribute__((aligned(kAlignment)));
static size_t pool_used;

bool job_open(uint32_t magic, uint32_t* parts) {
  const uint32_t block[3] = {(uint32_t)(uintptr_t)kJobFile, kSemihostingModeRead,
                             sizeof(kJobFile) - 1};
  file = semihosting_call(kSemihostingOpen, block);
  uint32_t header[2];
  if (file < 0 || !job_read(header, sizeof(header)) || header[0] != magic) {
    printf("no job in %s\n", kJobFile);
    return false;
  }
  *parts = header[1];
  return true;
}

bool job_read(void* data, size_t bytes) {
  const uint32_t block[3] = {(uint32_t)file, (uint32_t)(uintptr_t)data, (uint32_t)bytes};
  // The call returns the number of missing bytes.
  return semihosting_call(kSemihostingRead, block) == 0;
}

void* job_allocate(size_t bytes) {
  const size_t rounded = (bytes + kAlignment - 1) / kAlignment * kAlignment;
  if (bytes > kPoolBytes || rounded > kPoolBytes - pool_used) return NULL;
  void* memory = pool + pool_used;
  pool_used += rounded;
  return memory;
}

void* job_read_section(size_t bytes) {
  void* data = job_allocate(bytes);
  return data != NULL && job_read(data, bytes) ? data : NULL;
}

void job_release(void) { pool_used = 0; }

uint64_t job_overhead(void) {
  cycle_counter_start();
  const uint64_t start = cycle_counter_read();
  cycle_counter_mark_begin();
  cycle_counter_mark_end();
  return cycle_counter_read() - start;
}
