// A whole firmware with one model: the interpreter, the operators of the model, and the model. It
// is only linked, to measure it (benchmarks/firmware_link.py).

#include <stdio.h>

#include "model.h"
#include "model_ops.h"
#include "tensorflow/lite/micro/micro_interpreter.h"
#include "tensorflow/lite/micro/micro_mutable_op_resolver.h"
#include "tensorflow/lite/schema/schema_generated.h"

namespace {

// Any size will do: the arena takes no flash.
alignas(16) uint8_t arena[1024];

}  // namespace

int main() {
  tflite::MicroMutableOpResolver<kModelOps> resolver;
  if (AddModelOps(resolver) != kTfLiteOk) return 1;
  tflite::MicroInterpreter interpreter(tflite::GetModel(g_model_data), resolver, arena,
                                       sizeof(arena));
  if (interpreter.AllocateTensors() != kTfLiteOk) return 1;
  printf("%lu\n", static_cast<unsigned long>(interpreter.arena_used_bytes()));
  return interpreter.Invoke() == kTfLiteOk ? 0 : 1;
}
