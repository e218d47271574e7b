// In-order model of a Cortex-M's pipeline: cycles of a sequence of executed instructions.
//
// The model has no table of instructions. timings.py has it, with the source of every number, and
// describes each instruction of a program by one Instruction. docs/cycles.md explains the rules.

#ifndef DCSR_BENCHMARKS_CYCLES_PIPELINE_H_
#define DCSR_BENCHMARKS_CYCLES_PIPELINE_H_

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum {
  kRegisters = 32,  // r0 to r15, q0 to q7, flags, VPR
  kPipes = 8,       // 0: an instruction that occupies none
  kBanks = 4,
  kMaxAccesses = 64,  // of one instruction
};

typedef enum {
  kKindPlain,
  kKindBranch,       // direct, unconditional
  kKindConditional,  // direct, conditional
  kKindIndirect,     // to an address in a register
  kKindLoadPc,       // to an address from memory
  kKindLoopEnd,      // LE, LETP
  kKindLoopStart,    // DLS, WLS and their tail-predicated forms
  kKindBegin,        // marks the begin of a measured region; takes no time
  kKindEnd,
  kKindUnknown,  // not in the table; counted, and a reason to reject the result
} Kind;

typedef enum {
  kAccessNone,
  kAccessScalar,  // also of several registers
  kAccessVector,  // contiguous
  kAccessGather,  // one access for each element; also scatter
} Access;

// The layout is that of program.py.
typedef struct {
  uint32_t address;
  uint32_t reads;   // set of registers
  uint32_t early;   // registers that must be ready early_cycles before: offsets of a gather
  uint32_t writes;  // ready after `latency`
  uint32_t bases;   // ready after a cycle: flags, base registers with write-back
  uint8_t size;     // bytes
  uint8_t kind;
  uint8_t access;
  uint8_t pipe;
  uint8_t busy;          // cycles on the pipe
  uint8_t latency;       // cycles until a dependent instruction may issue
  uint8_t issue;         // cycles until the next instruction may issue
  uint8_t issue_memory;  // the same if the next one is a single load or store
  uint8_t is_memory;     // a single load or store
  uint8_t
      pairs;  // bit 0: may issue in a cycle with another one, 1: and is the light half of a pair
  uint8_t unused[2];
} Instruction;

// Numbers of a core, in cycles. The layout is that of program.py.
typedef struct {
  uint32_t width;         // instructions that may issue in a cycle, 1 or 2
  uint32_t needs_light;   // of a pair, one must be light
  uint32_t early_cycles;  // Instruction.early
  uint32_t taken;         // extra cycles of a taken direct branch
  uint32_t predicts;      // whether conditional branches are predicted: backward ones are taken
  uint32_t mispredicted;  // extra cycles of a conditional branch that was predicted wrongly
  uint32_t indirect;      // of a branch to an address in a register
  uint32_t load_pc;       // of a branch to an address from memory
  uint32_t
      misaligned_target;  // of a branch to an instruction of 4 bytes that is not at a multiple of 4
  uint32_t code_begin, code_end;  // memory of the code
  uint32_t code_vector;           // cycles of a vector load from there
  uint32_t accesses;              // elements of a gather in a cycle, data in DTCM
} Core;

typedef enum { kMemoryDtcm, kMemoryCached, kMemories } Memory;

typedef struct {
  const Core* core;
  Memory memory;
  uint64_t cycle;        // of the last instruction
  uint64_t next;         // the next instruction issues in this cycle or later
  uint64_t next_memory;  // the same for a single load or store
  uint64_t ready[kRegisters];
  uint64_t free[kPipes];
  uint32_t issued;  // instructions in `cycle`
  const Instruction* previous;
  uint32_t loop_end;   // address of the last LE; 0 after the start of a loop
  uint32_t is_target;  // whether the next instruction is the target of a taken branch
} Pipeline;

// Starts at cycle 0 with all registers ready.
void pipeline_start(Pipeline* pipeline, const Core* core, Memory memory);

// Executes an instruction.
//
//   next_address: of the instruction that is executed after it
//   accesses: addresses of its accesses to memory, in order; kAccessGather needs all, kAccessVector
//     the first one, the others none
void pipeline_step(Pipeline* pipeline, const Instruction* instruction, uint32_t next_address,
                   const uint32_t* accesses, size_t access_count);

// Cycles since the start.
uint64_t pipeline_cycles(const Pipeline* pipeline);

// sizeof(Pipeline), for other languages.
size_t pipeline_bytes(void);

#ifdef __cplusplus
}
#endif

#endif  // DCSR_BENCHMARKS_CYCLES_PIPELINE_H_
