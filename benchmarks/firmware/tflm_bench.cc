// Counts the instructions of whole models in TFLM's interpreter on an emulated core.
//
// Reads models from the job (job.h), each with its inputs and expected outputs:
// benchmarks/model_tflm.py writes the job. For each model the firmware prints
//
//   tflm: <model> <instructions of AllocateTensors> <of Invoke> <bytes of arena> <operators>
//   operator: <model> <operator> <instructions>
//
// Each operator of Invoke is a region of cycle_counter_mark_begin() and cycle_counter_mark_end().
//
// Exit status: 0 all outputs were right, 1 one was wrong, a model does not load, or the job could
// not be read.

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "benchmarks/firmware/job.h"
#include "ops/tflm/tflm_ops.h"
#include "tensorflow/lite/micro/micro_interpreter.h"
#include "tensorflow/lite/micro/micro_mutable_op_resolver.h"
#include "tensorflow/lite/micro/micro_profiler_interface.h"
#include "tensorflow/lite/schema/schema_generated.h"
#include "toolchains/firmware/cycle_counter.h"

namespace {

constexpr uint32_t kMagic = 0x54534344;  // "DCST"
constexpr uint32_t kMostOperators = 512;
constexpr int kOps = 32;

// Begins a model in the job. The model, and size and content of each input and output follow.
struct ModelHeader {
  uint32_t model_bytes;
  uint32_t inputs;
  uint32_t outputs;
  uint32_t arena_bytes;
  uint32_t is_verified;  // whether checksums are checked in place of streams
};

// The instructions of each operator.
class Profiler final : public tflite::MicroProfilerInterface {
 public:
  // Forgets the operators of the previous model.
  void Start() {
    count_ = 0;
    uncounted_ = job_overhead();
  }

  uint32_t BeginEvent(const char*) override {
    const uint32_t event = count_ < kMostOperators ? count_++ : kMostOperators;
    start_ = cycle_counter_read();
    cycle_counter_mark_begin();
    return event;
  }

  void EndEvent(uint32_t event) override {
    cycle_counter_mark_end();
    const uint64_t ticks = cycle_counter_read() - start_;
    if (event < kMostOperators) ticks_[event] = ticks > uncounted_ ? ticks - uncounted_ : 0;
  }

  uint32_t count() const { return count_; }
  uint64_t instructions(uint32_t event) const { return cycle_counter_instructions(ticks_[event]); }

 private:
  uint32_t count_ = 0;
  uint64_t start_ = 0;
  uint64_t uncounted_ = 0;
  uint64_t ticks_[kMostOperators] = {};
};

using Resolver = tflite::MicroMutableOpResolver<kOps>;

void AddBuiltinOps(Resolver* resolver) {
  resolver->AddAdd();
  resolver->AddAveragePool2D();
  resolver->AddConcatenation();
  resolver->AddConv2D();
  resolver->AddDepthwiseConv2D();
  resolver->AddDequantize();
  resolver->AddExpandDims();
  resolver->AddFullyConnected();
  resolver->AddHardSwish();
  resolver->AddLogistic();
  resolver->AddMaxPool2D();
  resolver->AddMean();
  resolver->AddMul();
  resolver->AddPad();
  resolver->AddPadV2();
  resolver->AddQuantize();
  resolver->AddReduceMax();
  resolver->AddRelu();
  resolver->AddRelu6();
  resolver->AddReshape();
  resolver->AddSoftmax();
  resolver->AddSqueeze();
  resolver->AddStridedSlice();
  resolver->AddSub();
  resolver->AddTranspose();
}

bool ReadInputs(tflite::MicroInterpreter* interpreter, const ModelHeader& header) {
  if (interpreter->inputs_size() != header.inputs) return false;
  for (uint32_t i = 0; i < header.inputs; ++i) {
    uint32_t bytes = 0;
    TfLiteTensor* tensor = interpreter->input(i);
    if (!job_read(&bytes, sizeof(bytes)) || bytes != tensor->bytes) return false;
    if (!job_read(tensor->data.raw, bytes)) return false;
  }
  return true;
}

bool CheckOutputs(tflite::MicroInterpreter* interpreter, const ModelHeader& header) {
  if (interpreter->outputs_size() != header.outputs) return false;
  for (uint32_t i = 0; i < header.outputs; ++i) {
    uint32_t bytes = 0;
    const TfLiteTensor* tensor = interpreter->output(i);
    if (!job_read(&bytes, sizeof(bytes)) || bytes != tensor->bytes) return false;
    const void* expected = job_read_section(bytes);
    if (expected == nullptr) return false;
    if (memcmp(expected, tensor->data.raw, bytes) != 0) {
      printf("output %" PRIu32 " is wrong\n", i);
      return false;
    }
  }
  return true;
}

Profiler profiler;

bool RunModel(uint32_t index, const Resolver& validating, const Resolver& verified) {
  job_release();
  ModelHeader header;
  if (!job_read(&header, sizeof(header))) return false;
  const void* model = job_read_section(header.model_bytes);
  uint8_t* arena = static_cast<uint8_t*>(job_allocate(header.arena_bytes));
  if (model == nullptr || arena == nullptr) {
    printf("the model is larger than the memory, or the job ends too early\n");
    return false;
  }
  const Resolver& resolver = header.is_verified != 0 ? verified : validating;
  tflite::MicroInterpreter interpreter(tflite::GetModel(model), resolver, arena, header.arena_bytes,
                                       nullptr, &profiler);
  const uint64_t uncounted = job_overhead();
  uint64_t start = cycle_counter_read();
  if (interpreter.AllocateTensors() != kTfLiteOk) {
    printf("the model does not load; the lines above say why\n");
    return false;
  }
  const uint64_t start_up = cycle_counter_read() - start - uncounted;
  if (!ReadInputs(&interpreter, header)) {
    printf("the job has other inputs than the model\n");
    return false;
  }
  profiler.Start();
  start = cycle_counter_read();
  if (interpreter.Invoke() != kTfLiteOk) return false;
  const uint64_t inference = cycle_counter_read() - start - uncounted;
  if (!CheckOutputs(&interpreter, header)) return false;
  // Not every Newlib printf supports 64 bits. The counts are below 2^32.
  printf("tflm: %" PRIu32 " %" PRIu32 " %" PRIu32 " %" PRIu32 " %" PRIu32 "\n", index,
         static_cast<uint32_t>(cycle_counter_instructions(start_up)),
         static_cast<uint32_t>(cycle_counter_instructions(inference)),
         static_cast<uint32_t>(interpreter.arena_used_bytes()), profiler.count());
  for (uint32_t i = 0; i < profiler.count(); ++i) {
    printf("operator: %" PRIu32 " %" PRIu32 " %" PRIu32 "\n", index, i,
           static_cast<uint32_t>(profiler.instructions(i)));
  }
  return true;
}

}  // namespace

int main() {
  uint32_t models = 0;
  if (!job_open(kMagic, &models)) return 1;
  Resolver validating;
  AddBuiltinOps(&validating);
  dcsr::AddDcsrOpsWithSharedRows(validating);
  Resolver verified;
  AddBuiltinOps(&verified);
  dcsr::AddDcsrOpsOfVerifiedImage(verified);
  for (uint32_t i = 0; i < models; ++i) {
    if (!RunModel(i, validating, verified)) {
      printf("model %" PRIu32 " failed\n", i);
      return 1;
    }
  }
  return 0;
}
