// Keyword spotting with a compressed DS-CNN in TensorFlow Lite Micro's interpreter. Prints the
// keyword of each recorded clip, and the cost. Fails if an output differs from that of the
// uncompressed model. README.md explains how to build it.

#include <stdio.h>
#include <string.h>

#include "examples/keyword_spotting/keyword_clips.h"
#include "keyword_model.h"
#include "keyword_model_ops.h"
#include "tensorflow/lite/micro/micro_interpreter.h"
#include "tensorflow/lite/micro/micro_mutable_op_resolver.h"
#include "tensorflow/lite/schema/schema_generated.h"

// Only the microcontroller counts instructions; see toolchains/firmware/cycle_counter.h.
#if defined(__arm__) && !defined(__linux__)
#include "toolchains/firmware/cycle_counter.h"
#else
static void cycle_counter_start() {}
static uint64_t cycle_counter_read() { return 0; }
static uint64_t cycle_counter_instructions(uint64_t ticks) { return ticks; }
#endif

#if defined(__arm__) && !defined(__linux__)
// Defined by the linker script: bytes of code and constants, including the model.
extern "C" const char __flash_size__[];
static unsigned long flash_bytes() {
  return static_cast<unsigned long>(reinterpret_cast<uintptr_t>(__flash_size__));
}
#else
static unsigned long flash_bytes() { return 0; }
#endif

namespace {

// The result of arena_used_bytes(), with a margin for other cores.
constexpr size_t kArenaBytes = 64 * 1024;
alignas(16) uint8_t arena[kArenaBytes];

size_t index_of_largest(const int8_t* scores) {
  size_t best = 0;
  for (size_t i = 1; i < kLabelCount; ++i) {
    if (scores[i] > scores[best]) best = i;
  }
  return best;
}

}  // namespace

int main() {
  tflite::MicroMutableOpResolver<kKeywordModelOps> resolver;
  if (AddKeywordModelOps(resolver) != kTfLiteOk) return 1;

  tflite::MicroInterpreter interpreter(tflite::GetModel(g_keyword_model_data), resolver, arena,
                                       sizeof(arena));
  if (interpreter.AllocateTensors() != kTfLiteOk) {
    printf("the model does not load; the lines above say why\n");
    return 1;
  }
  TfLiteTensor* input = interpreter.input(0);
  const TfLiteTensor* output = interpreter.output(0);
  if (input->bytes != kClipBytes || output->bytes != kLabelCount) {
    printf("the model takes %lu bytes and gives %lu, not %lu and %lu\n",
           static_cast<unsigned long>(input->bytes), static_cast<unsigned long>(output->bytes),
           static_cast<unsigned long>(kClipBytes), static_cast<unsigned long>(kLabelCount));
    return 1;
  }
  printf("flash: %lu bytes, of which the model %lu\n", flash_bytes(),
         static_cast<unsigned long>(g_keyword_model_data_size));
  printf("arena: %lu bytes\n", static_cast<unsigned long>(interpreter.arena_used_bytes()));

  int differences = 0;
  cycle_counter_start();
  for (size_t i = 0; i < kClipCount; ++i) {
    const KeywordClip& clip = kClips[i];
    memcpy(input->data.int8, clip.mfcc, kClipBytes);
    const uint64_t before = cycle_counter_read();
    if (interpreter.Invoke() != kTfLiteOk) return 1;
    const uint64_t instructions = cycle_counter_instructions(cycle_counter_read() - before);

    const int8_t* scores = output->data.int8;
    const bool is_exact = memcmp(scores, clip.expected, kLabelCount) == 0;
    if (!is_exact) ++differences;
    printf("spoken '%s': recognised '%s', %lu instructions%s\n", clip.spoken,
           kLabels[index_of_largest(scores)], static_cast<unsigned long>(instructions),
           is_exact ? "" : ", NOT the scores of the model before compression");
  }
  return differences == 0 ? 0 : 1;
}
