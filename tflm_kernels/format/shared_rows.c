// Bias, multiplier and shift of layers with shared rows: docs/format.md, "Shared rows".
//
// All arithmetic is on integers, so that a firmware needs no floating point.

#include "tflm_kernels/format/derived_multiplier.h"
#include "tflm_kernels/format/group_decoder.h"
#include "tflm_kernels/format/row_reader.h"
#include "tflm_kernels/format/shift_range.h"
#include "tflm_kernels/packed_layer.h"

enum {
  kMaxFloatExponent = 254,
  kFloatBias = 127,
};

static uint32_t requantize_count(const DcsrLayer* layer) {
  return layer->requantize_stride != 0 ? layer->rows : 1;
}

static size_t bias_bytes(const DcsrLayer* layer) {
  return layer->rows * (layer->int16_activations ? sizeof(DcsrInt64) : sizeof(int32_t));
}

size_t dcsr_derived_rows_bytes(const DcsrLayer* layer) {
  return bias_bytes(layer) + requantize_count(layer) * (sizeof(int32_t) + sizeof(int8_t));
}

void dcsr_use_derived_rows(DcsrLayer* layer, const void* memory) {
  const uint8_t* multiplier = (const uint8_t*)memory + bias_bytes(layer);
  layer->compact_rows = NULL;
  layer->bias = (const int32_t*)memory;
  layer->multiplier = (const int32_t*)(const void*)multiplier;
  layer->shift = (const int8_t*)(multiplier + requantize_count(layer) * sizeof(int32_t));
}

// TFLM's QuantizeMultiplier of weight scale times ratio. Returns false if the weight scale is
// neither 0 nor a positive normal number, or the product too large.
static bool derive_multiplier(const DcsrLayer* layer, const DcsrSharedRows* rows, uint32_t scale,
                              int32_t* multiplier, int8_t* shift) {
  *multiplier = 0;
  *shift = 0;
  if (scale == 0) return true;
  const uint32_t exponent = scale >> kDcsrFloatBits;
  if (exponent == 0 || exponent > kMaxFloatExponent) return false;
  int32_t power = (int32_t)exponent + rows->ratio_exponent - kFloatBias;
  const int32_t derived = dcsr_derived_multiplier(scale, rows->ratio_high, rows->ratio_low, &power);
  if (power < kDcsrMinShift) return true;
  if (power > (layer->int16_activations ? kDcsrMaxInt16Shift : kDcsrMaxShift)) return false;
  *multiplier = derived;
  *shift = (int8_t)power;
  return true;
}

// Requires valid streams. Sums wrap.
static void fold_bias(const DcsrLayer* layer, const int32_t* original, int32_t* bias) {
  const uint32_t zero_point = (uint32_t)layer->input_zero_point;
  DcsrRowReader reader = dcsr_row_reader(layer);
  for (uint32_t row = 0; row < layer->rows; ++row) {
    uint32_t sum = 0;
    dcsr_next_row(&reader);
    DcsrGroup group;
    while (dcsr_decode_group(&reader, &group)) {
      for (uint32_t l = 0; l < group.lanes; ++l) sum += (uint32_t)(int32_t)group.weight[l];
    }
    const uint32_t unfolded = original == NULL ? 0 : (uint32_t)original[row];
    bias[row] = (int32_t)(unfolded - zero_point * sum);
  }
}

static void copy_bias(const DcsrLayer* layer, const DcsrInt64* original, DcsrInt64* bias) {
  static const DcsrInt64 kZero = {0, 0};
  for (uint32_t row = 0; row < layer->rows; ++row) {
    bias[row] = original == NULL ? kZero : original[row];
  }
}

DcsrStatus dcsr_shared_layer_validate(DcsrLayer* layer, const DcsrSharedRows* rows, void* memory) {
  dcsr_use_derived_rows(layer, memory);
  const uint32_t count = requantize_count(layer);
  int32_t* multiplier = (int32_t*)(void*)((uint8_t*)memory + bias_bytes(layer));
  int8_t* shift = (int8_t*)(multiplier + count);
  for (uint32_t i = 0; i < count; ++i) {
    if (!derive_multiplier(layer, rows, rows->weight_scale[i], &multiplier[i], &shift[i])) {
      return kDcsrErrorRequantize;
    }
  }
  const DcsrStatus status = dcsr_layer_validate(layer);
  if (status != kDcsrOk) return status;
  if (layer->int16_activations) {
    copy_bias(layer, (const DcsrInt64*)rows->bias, (DcsrInt64*)memory);
  } else {
    fold_bias(layer, (const int32_t*)rows->bias, (int32_t*)memory);
  }
  return kDcsrOk;
}
