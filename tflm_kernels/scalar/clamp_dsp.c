// Applies the activation's range to outputs, four at a time (clamp_dsp.h).

#include "tflm_kernels/scalar/clamp_dsp.h"

#include <string.h>

#include "tflm_kernels/common/dsp.h"

void dcsr_clamp_dsp(const DcsrLayer* layer, size_t count, int8_t* output) {
  if (layer->activation_min == INT8_MIN && layer->activation_max == INT8_MAX) return;
  const uint32_t min = (uint8_t)layer->activation_min * UINT32_C(0x01010101);
  const uint32_t max = (uint8_t)layer->activation_max * UINT32_C(0x01010101);
  for (; count >= 4; count -= 4) {
    const uint32_t word = dcsr_dsp_min(dcsr_dsp_max(dcsr_dsp_load(output), min), max);
    memcpy(output, &word, sizeof(word));
    output += 4;
  }
  for (; count > 0; --count) {
    const uint32_t word = dcsr_dsp_load_some(output, 1);
    *output++ = (int8_t)dcsr_dsp_min(dcsr_dsp_max(word, min), max);
  }
}
