// An operator of a model, as benchmarks/model_steps.py writes it into the job.

#ifndef DCSR_BENCHMARKS_FIRMWARE_STEP_H_
#define DCSR_BENCHMARKS_FIRMWARE_STEP_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { kMostParameters = 64, kMostSections = 8 };

// The numbers of model_steps.py. Sections follow the kind.
typedef enum {
  kStepConv2d = 1,           // input, weights, bias, multipliers, shifts
  kStepDepthwiseConv2d = 2,  // as the next, likewise
  kStepFullyConnected = 3,
  kStepAveragePool = 4,  // input, as all the next ones but ADD and MUL
  kStepMaxPool = 5,
  kStepAdd = 6,  // both inputs
  kStepMul = 7,
  kStepMean = 8,
  kStepReduceMax = 9,
  kStepPad = 10,
  kStepSoftmax = 11,
  kStepQuantize = 12,
  kStepRequantize = 13,
  kStepDequantize = 14,
  kStepCopy = 15,
  kStepReduceMaxFloat = 16,
  kStepDcsrConv2d = 32,  // the inputs of the custom op
  kStepDcsrFullyConnected = 33,
  kStepDcsrDepthwiseConv2d = 34,
} StepKind;

typedef struct {
  uint32_t kind;
  uint32_t parameters;  // number of int32_t
  uint32_t sections;
  uint32_t output_bytes;
  const int32_t* parameter;
  const void* section[kMostSections];  // NULL if empty
  uint32_t section_bytes[kMostSections];
  void* output;
} Step;

typedef enum {
  kStepDone,
  kStepUnknown,  // the build has no kernel for the operator
  kStepFailed,   // a line has been printed
} StepStatus;

typedef struct {
  uint64_t start_up;  // instructions
  uint64_t inference;
  size_t scratch_bytes;
  size_t persistent_bytes;
  bool is_measured;  // whether a kernel ran, even one that refused the operator
} StepCost;

// Runs a builtin operator with the dense kernels. Its start-up is not measured.
StepStatus run_dense_step(const Step* step, StepCost* cost);

// Runs a custom op: Prepare, then Invoke.
StepStatus run_custom_step(const Step* step, StepCost* cost);

#ifdef __cplusplus
}
#endif

#endif  // DCSR_BENCHMARKS_FIRMWARE_STEP_H_
