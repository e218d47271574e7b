// The checksum of a packed layer: docs/format.md, "Checksum".

#include "tflm_kernels/packed_layer.h"

enum { kTurn = 5 };
static const uint32_t kFactor = UINT32_C(0x9E3779B9);

DcsrStatus dcsr_layer_check_sum(const DcsrLayer* layer) {
  if (layer->checksum == NULL) return kDcsrErrorChecksum;
  const void* sections =
      layer->compact_rows != NULL ? (const void*)layer->compact_rows : (const void*)layer->bias;
  const uint32_t* word = (const uint32_t*)sections - kDcsrHeaderBytes / sizeof(uint32_t);
  uint32_t sum = 0;
  for (; word < layer->checksum; ++word) {
    sum = ((sum << kTurn | sum >> (32 - kTurn)) ^ *word) * kFactor;
  }
  return sum == *layer->checksum ? kDcsrOk : kDcsrErrorChecksum;
}
