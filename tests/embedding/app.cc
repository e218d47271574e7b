// An application of docs/embedding.md: the model as an array, its operators in an interpreter's
// resolver.

#include <cstdio>
#include <initializer_list>

#include "small.h"
#include "small_ops.h"
#include "tensorflow/lite/micro/micro_mutable_op_resolver.h"

int main() {
  tflite::MicroMutableOpResolver<kSmallOps> resolver;
  if (AddSmallOps(resolver) != kTfLiteOk) return 1;
  if (resolver.GetRegistrationLength() != kSmallOps) return 1;
  for (const char* name : {"DCSR_CONV_2D", "DCSR_FULLY_CONNECTED", "DCSR_DEPTHWISE_CONV_2D"}) {
    const TFLMRegistration* registration = resolver.FindOp(name);
    if (registration == nullptr || registration->prepare == nullptr) return 1;
    std::printf("%s is registered\n", name);
  }
  // A second time the resolver has them already.
  if (AddSmallOps(resolver) == kTfLiteOk) return 1;
  std::printf("the model has %u bytes\n", static_cast<unsigned>(g_small_data_size));
  return 0;
}
