// Layers of a trained model with what they got and gave in the stock interpreter. The data is made
// by capture_layers.py.

#ifndef DCSR_TESTS_REAL_LAYERS_H_
#define DCSR_TESTS_REAL_LAYERS_H_

#include <stddef.h>
#include <stdint.h>

#include "tflm_kernels/packed_layer.h"

constexpr int kRealLayerMaxRank = 4;

// The layer in one encoding.
struct PackedCopy {
  const char* encoding;
  const uint8_t* data;  // aligned to 16
  size_t bytes;
};

struct RealLayer {
  const char* name;
  DcsrOp op;
  int32_t input_rank;
  int32_t input_dims[kRealLayerMaxRank];
  int32_t output_rank;
  int32_t output_dims[kRealLayerMaxRank];
  int32_t input_zero_point;
  int32_t output_zero_point;
  size_t run_count;
  const int8_t* inputs;   // [run_count][input_dims]
  const int8_t* outputs;  // [run_count][output_dims]
  size_t packing_count;
  const PackedCopy* packings;
};

extern const RealLayer kRealLayers[];
extern const size_t kRealLayerCount;

#endif  // DCSR_TESTS_REAL_LAYERS_H_
