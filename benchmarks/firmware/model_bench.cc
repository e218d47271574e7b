// Counts the instructions of a model's operators on an emulated core.
//
// Reads them from the job (job.h), one at a time, each with its inputs and its expected output:
// benchmarks/model_steps.py writes the job and documents its format. A job may exceed the board's
// memory, an operator may not. For each operator the firmware prints
//
//   step: <operator> <instructions of start-up> <of inference> <bytes of scratch> <persistent>
//
// or `step: <operator> - <0 or 1>` if it has no kernel for it; 1 if a kernel refused it when it
// ran. Start-up is that of the custom ops: Prepare, which validates. Each is a region of
// cycle_counter_mark_begin() and cycle_counter_mark_end().
//
// Exit status: 0 all outputs were right, 1 one was wrong or the job could not be read.

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "benchmarks/firmware/job.h"
#include "benchmarks/firmware/step.h"

namespace {

constexpr uint32_t kMagic = 0x4D534344;  // "DCSM"
constexpr uint32_t kNameBytes = 64;

// Begins an operator in the job. Its parameters, the sizes of its sections, the sections and the
// expected output follow.
struct StepHeader {
  char name[kNameBytes];
  uint32_t kind;
  uint32_t parameters;
  uint32_t sections;
  uint32_t output_bytes;
  uint32_t plane_bytes;   // of an output in planes, else 0
  uint32_t plane_pixels;  // bytes behind them in a plane are unspecified
};

bool ReadStep(StepHeader* header, Step* step, const uint8_t** expected) {
  if (!job_read(header, sizeof(*header)) || header->parameters > kMostParameters ||
      header->sections > kMostSections) {
    return false;
  }
  *step = {};
  step->kind = header->kind;
  step->parameters = header->parameters;
  step->sections = header->sections;
  step->output_bytes = header->output_bytes;
  step->parameter =
      static_cast<const int32_t*>(job_read_section(header->parameters * sizeof(int32_t)));
  if (step->parameter == nullptr) return false;
  if (!job_read(step->section_bytes, header->sections * sizeof(uint32_t))) return false;
  for (uint32_t i = 0; i < header->sections; ++i) {
    if (step->section_bytes[i] == 0) continue;
    step->section[i] = job_read_section(step->section_bytes[i]);
    if (step->section[i] == nullptr) return false;
  }
  *expected = static_cast<const uint8_t*>(job_read_section(header->output_bytes));
  step->output = job_allocate(header->output_bytes);
  return *expected != nullptr && step->output != nullptr;
}

bool IsRight(const StepHeader& header, const Step& step, const uint8_t* expected) {
  const uint8_t* bytes = static_cast<const uint8_t*>(step.output);
  for (uint32_t i = 0; i < step.output_bytes; ++i) {
    if (header.plane_bytes != 0 && i % header.plane_bytes >= header.plane_pixels) continue;
    if (bytes[i] != expected[i]) {
      printf("operator %s: output byte %" PRIu32 " is %d instead of %d\n", header.name, i, bytes[i],
             expected[i]);
      return false;
    }
  }
  return true;
}

bool RunStep(uint32_t index) {
  job_release();
  StepHeader header;
  Step step;
  const uint8_t* expected = nullptr;
  if (!ReadStep(&header, &step, &expected)) {
    printf("an operator is larger than the memory, or the job ends too early\n");
    return false;
  }
  // Fill the output with wrong values, so that missing writes are detected.
  uint8_t* output = static_cast<uint8_t*>(step.output);
  for (uint32_t i = 0; i < step.output_bytes; ++i) output[i] = static_cast<uint8_t>(~expected[i]);

  StepCost cost = {};
  const StepStatus status =
      header.kind >= kStepDcsrConv2d ? run_custom_step(&step, &cost) : run_dense_step(&step, &cost);
  if (status == kStepUnknown) {
    printf("step: %" PRIu32 " - %d\n", index, cost.is_measured);
    return true;
  }
  if (status == kStepFailed) {
    printf("operator %s cannot be run\n", header.name);
    return false;
  }
  if (!IsRight(header, step, expected)) return false;
  // Not every Newlib printf supports 64 bits. The counts are below 2^32.
  printf("step: %" PRIu32 " %" PRIu32 " %" PRIu32 " %" PRIu32 " %" PRIu32 "\n", index,
         static_cast<uint32_t>(cost.start_up), static_cast<uint32_t>(cost.inference),
         static_cast<uint32_t>(cost.scratch_bytes), static_cast<uint32_t>(cost.persistent_bytes));
  return true;
}

}  // namespace

int main() {
  uint32_t steps = 0;
  if (!job_open(kMagic, &steps)) return 1;
  for (uint32_t i = 0; i < steps; ++i) {
    if (!RunStep(i)) return 1;
  }
  return 0;
}
