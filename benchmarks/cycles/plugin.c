// QEMU plugin: passes executed instructions and their accesses through the model of the pipeline.
//
//   qemu-system-arm ... -plugin FILE,program=PROGRAM,output=OUTPUT
//
// program.py writes PROGRAM: a header, the numbers of the core, and the instructions of the
// firmware in the order of their addresses. For each measured region of the firmware
// (cycle_counter_mark() in cortex_m_bench.c) that is not empty, OUTPUT gets a line:
//
//   cycles: <instructions> <cycles, data in DTCM> <cycles, data behind a cache> <unknown
//   instructions>

#include <dlfcn.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "benchmarks/cycles/pipeline.h"
#include "benchmarks/cycles/qemu_plugin.h"

#define EXPORTED __attribute__((visibility("default")))

enum { kMagic = 0x43435944 };  // "DYCC"

typedef struct {
  uint32_t magic;
  uint32_t core_bytes;
  uint32_t instruction_bytes;
  uint32_t instructions;
} ProgramHeader;

EXPORTED extern int qemu_plugin_version;
EXPORTED int qemu_plugin_install(qemu_plugin_id_t id, const qemu_info_t* info, int argc,
                                 char** argv);

// QEMU reads it after loading the library. Its value is set when the library is loaded.
int qemu_plugin_version;

static Core core;
static Instruction* program;
static size_t program_size;
static FILE* output;

static Pipeline pipelines[kMemories];
static bool is_measuring;
static uint64_t instructions;
static uint64_t unknown;
// The instruction that is being executed, with its accesses so far.
static const Instruction* current;
static uint32_t accesses[kMaxAccesses];
static size_t access_count;

// An instruction outside of the program, for example in a vector table's handler.
static const Instruction kOutside = {
    .kind = kKindUnknown, .size = 4, .issue = 1, .issue_memory = 1};

// QEMU 7.2 to 8.2 accept version 1 only, later ones 2 and more. The scoreboard came with version 2.
__attribute__((constructor)) static void choose_version(void) {
  qemu_plugin_version = dlsym(RTLD_DEFAULT, "qemu_plugin_scoreboard_new") != NULL ? 2 : 1;
}

static const Instruction* find(uint32_t address) {
  size_t begin = 0;
  size_t end = program_size;
  while (begin < end) {
    const size_t middle = begin + (end - begin) / 2;
    if (program[middle].address == address) return &program[middle];
    if (program[middle].address < address) {
      begin = middle + 1;
    } else {
      end = middle;
    }
  }
  return &kOutside;
}

static void execute(unsigned int vcpu_index, void* userdata) {
  (void)vcpu_index;
  const Instruction* next = (const Instruction*)userdata;
  if (is_measuring && current->kind != kKindBegin) {
    for (int memory = 0; memory < kMemories; ++memory) {
      pipeline_step(&pipelines[memory], current, next->address, accesses, access_count);
    }
    ++instructions;
    unknown += current->kind == kKindUnknown;
  }
  current = next;
  access_count = 0;
  if (next->kind == kKindBegin) {
    for (int memory = 0; memory < kMemories; ++memory) {
      pipeline_start(&pipelines[memory], &core, (Memory)memory);
    }
    instructions = 0;
    unknown = 0;
    is_measuring = true;
  } else if (next->kind == kKindEnd && is_measuring) {
    is_measuring = false;
    if (instructions > 0) {
      fprintf(output, "cycles: %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 "\n", instructions,
              pipeline_cycles(&pipelines[kMemoryDtcm]), pipeline_cycles(&pipelines[kMemoryCached]),
              unknown);
    }
  }
}

static void access_memory(unsigned int vcpu_index, qemu_plugin_meminfo_t info, uint64_t vaddr,
                          void* userdata) {
  (void)vcpu_index;
  (void)info;
  (void)userdata;
  if (access_count < kMaxAccesses) accesses[access_count++] = (uint32_t)vaddr;
}

static void translate(qemu_plugin_id_t id, struct qemu_plugin_tb* tb) {
  (void)id;
  const size_t count = qemu_plugin_tb_n_insns(tb);
  for (size_t i = 0; i < count; ++i) {
    struct qemu_plugin_insn* insn = qemu_plugin_tb_get_insn(tb, i);
    const Instruction* instruction = find((uint32_t)qemu_plugin_insn_vaddr(insn));
    qemu_plugin_register_vcpu_insn_exec_cb(insn, execute, QEMU_PLUGIN_CB_NO_REGS,
                                           (void*)(uintptr_t)instruction);
    if (instruction->access == kAccessVector || instruction->access == kAccessGather) {
      qemu_plugin_register_vcpu_mem_cb(insn, access_memory, QEMU_PLUGIN_CB_NO_REGS,
                                       QEMU_PLUGIN_MEM_RW, NULL);
    }
  }
}

static void finish(qemu_plugin_id_t id, void* userdata) {
  (void)id;
  (void)userdata;
  fclose(output);
}

static const char* argument(const char* name, int argc, char** argv) {
  const size_t length = strlen(name);
  for (int i = 0; i < argc; ++i) {
    if (strncmp(argv[i], name, length) == 0 && argv[i][length] == '=') return argv[i] + length + 1;
  }
  fprintf(stderr, "cycles: no argument %s\n", name);
  return NULL;
}

static bool read_program(const char* path) {
  FILE* file = fopen(path, "rb");
  if (file == NULL) {
    perror(path);
    return false;
  }
  ProgramHeader header;
  bool is_good = fread(&header, sizeof(header), 1, file) == 1 && header.magic == kMagic &&
                 header.core_bytes == sizeof(Core) &&
                 header.instruction_bytes == sizeof(Instruction);
  if (is_good) {
    program_size = header.instructions;
    program = (Instruction*)calloc(program_size, sizeof(Instruction));
    is_good = program != NULL && fread(&core, sizeof(core), 1, file) == 1 &&
              fread(program, sizeof(Instruction), program_size, file) == program_size;
  }
  fclose(file);
  if (!is_good) fprintf(stderr, "cycles: %s is not a program of this plugin\n", path);
  return is_good;
}

int qemu_plugin_install(qemu_plugin_id_t id, const qemu_info_t* info, int argc, char** argv) {
  (void)info;
  const char* program_path = argument("program", argc, argv);
  const char* output_path = argument("output", argc, argv);
  if (program_path == NULL || output_path == NULL || !read_program(program_path)) return 1;
  output = fopen(output_path, "w");
  if (output == NULL) {
    perror(output_path);
    return 1;
  }
  current = &kOutside;
  qemu_plugin_register_vcpu_tb_trans_cb(id, translate);
  qemu_plugin_register_atexit_cb(id, finish, NULL);
  return 0;
}
