// An application of docs/embedding.md: the ops in an interpreter's resolver, the model as an array.

#include <cstdio>
#include <initializer_list>

#include "ops/tflm/tflm_ops.h"
#include "small.h"
#include "tensorflow/lite/micro/micro_mutable_op_resolver.h"

int main() {
  tflite::MicroMutableOpResolver<3> resolver;
  if (dcsr::AddDcsrOps(resolver) != kTfLiteOk) return 1;
  for (const char* name : {"DCSR_CONV_2D", "DCSR_FULLY_CONNECTED", "DCSR_DEPTHWISE_CONV_2D"}) {
    const TFLMRegistration* registration = resolver.FindOp(name);
    if (registration == nullptr || registration->prepare == nullptr) return 1;
    std::printf("%s is registered\n", name);
  }
  std::printf("the model has %u bytes\n", static_cast<unsigned>(g_small_data_size));
  return 0;
}
