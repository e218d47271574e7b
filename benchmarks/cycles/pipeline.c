#include "benchmarks/cycles/pipeline.h"

#include <stdbool.h>
#include <string.h>

enum { kPairs = 1, kLight = 2, kWordBytes = 4, kWideBytes = 4 };

static uint64_t larger(uint64_t a, uint64_t b) { return a > b ? a : b; }

static uint64_t when_ready(const Pipeline* pipeline, uint32_t registers, uint32_t margin) {
  uint64_t cycle = 0;
  for (; registers != 0; registers &= registers - 1) {
    const uint64_t ready = pipeline->ready[__builtin_ctz(registers)];
    if (ready > 0) cycle = larger(cycle, ready + margin);
  }
  return cycle;
}

static void set_ready(Pipeline* pipeline, uint32_t registers, uint64_t cycle) {
  for (; registers != 0; registers &= registers - 1) {
    pipeline->ready[__builtin_ctz(registers)] = cycle;
  }
}

static bool can_pair(const Pipeline* pipeline, const Instruction* instruction) {
  const Instruction* previous = pipeline->previous;
  const Core* core = pipeline->core;
  return previous != NULL && pipeline->issued < core->width && previous->kind == kKindPlain &&
         (previous->pairs & instruction->pairs & kPairs) != 0 && previous->issue == 1 &&
         (!core->needs_light || ((previous->pairs | instruction->pairs) & kLight) != 0);
}

// Accesses are served in order. In DTCM, `accesses` of them may share a cycle, unless they need
// different words of the same bank.
static uint32_t gather_cycles(const Pipeline* pipeline, const uint32_t* accesses, size_t count) {
  if (pipeline->memory == kMemoryCached) return (uint32_t)count;
  uint32_t cycles = 0;
  for (size_t i = 0; i < count; ++cycles) {
    size_t end = i + 1;
    while (end < count && end - i < pipeline->core->accesses) {
      bool conflicts = false;
      for (size_t k = i; k < end; ++k) {
        const uint32_t one = accesses[k] / kWordBytes;
        const uint32_t other = accesses[end] / kWordBytes;
        conflicts |= one != other && one % kBanks == other % kBanks;
      }
      if (conflicts) break;
      ++end;
    }
    i = end;
  }
  return cycles;
}

static uint32_t busy_cycles(const Pipeline* pipeline, const Instruction* instruction,
                            const uint32_t* accesses, size_t count) {
  const Core* core = pipeline->core;
  uint32_t busy = instruction->busy;
  if (instruction->access == kAccessGather) {
    const uint32_t cycles = gather_cycles(pipeline, accesses, count);
    if (cycles > busy) busy = cycles;
  }
  if (instruction->access == kAccessVector && count > 0 && accesses[0] >= core->code_begin &&
      accesses[0] < core->code_end && core->code_vector > busy) {
    busy = core->code_vector;
  }
  return busy;
}

// Cycles that pass between a branch and the next instruction, except the branch's own.
static uint32_t branch_cycles(const Core* core, const Instruction* instruction, bool is_taken,
                              bool is_backward) {
  switch (instruction->kind) {
    case kKindConditional:
      if (core->predicts && is_taken != is_backward) return core->mispredicted;
      return is_taken ? core->taken : 0;
    case kKindIndirect:
      return is_taken ? core->indirect : 0;
    case kKindLoadPc:
      return is_taken ? core->load_pc : 0;
    default:
      return is_taken ? core->taken : 0;
  }
}

static void delay(Pipeline* pipeline, uint32_t cycles) {
  pipeline->next += cycles;
  pipeline->next_memory += cycles;
}

void pipeline_start(Pipeline* pipeline, const Core* core, Memory memory) {
  memset(pipeline, 0, sizeof(*pipeline));
  pipeline->core = core;
  pipeline->memory = memory;
}

void pipeline_step(Pipeline* pipeline, const Instruction* instruction, uint32_t next_address,
                   const uint32_t* accesses, size_t access_count) {
  const Core* core = pipeline->core;
  const uint32_t end = instruction->address + instruction->size;
  const bool is_taken = next_address != end;
  const bool is_target = pipeline->is_target;
  pipeline->is_target = is_taken;
  if (instruction->kind == kKindLoopEnd) {
    if (pipeline->loop_end == instruction->address) return;
    pipeline->loop_end = instruction->address;
  }
  if (instruction->kind == kKindLoopStart) pipeline->loop_end = 0;
  if (is_target && instruction->size == kWideBytes && instruction->address % kWideBytes != 0) {
    delay(pipeline, core->misaligned_target);
  }

  uint64_t cycle = instruction->is_memory ? pipeline->next_memory : pipeline->next;
  if (can_pair(pipeline, instruction)) cycle = pipeline->cycle;
  cycle = larger(cycle, when_ready(pipeline, instruction->reads, 0));
  cycle = larger(cycle, when_ready(pipeline, instruction->early, core->early_cycles));
  if (instruction->pipe != 0) cycle = larger(cycle, pipeline->free[instruction->pipe]);
  pipeline->issued =
      cycle == pipeline->cycle && pipeline->previous != NULL ? pipeline->issued + 1 : 1;
  pipeline->cycle = cycle;
  pipeline->previous = instruction;

  const uint32_t busy = busy_cycles(pipeline, instruction, accesses, access_count);
  const uint32_t longer = busy - instruction->busy;
  if (instruction->pipe != 0) pipeline->free[instruction->pipe] = cycle + busy;
  set_ready(pipeline, instruction->writes, cycle + instruction->latency + longer);
  set_ready(pipeline, instruction->bases, cycle + 1);
  pipeline->next = cycle + instruction->issue + longer;
  pipeline->next_memory = cycle + instruction->issue_memory + longer;
  if (instruction->kind != kKindPlain || is_taken) {
    delay(pipeline,
          branch_cycles(core, instruction, is_taken, next_address < instruction->address));
    pipeline->previous = NULL;
  }
}

uint64_t pipeline_cycles(const Pipeline* pipeline) { return pipeline->next; }

size_t pipeline_bytes(void) { return sizeof(Pipeline); }
