// The choice of a dense kernel for a target, as kernels.c makes it for sparse layers: inside
// `#if defined(<feature macro of the instruction set>)`; other targets have the reference.

#include "tflm_kernels/dense_baseline.h"

#include "tflm_kernels/reference.h"

size_t dcsr_dense_conv1x1_scratch_bytes(const DcsrLayer* layer, const DcsrConvShape* shape) {
  (void)layer;
  (void)shape;
  return 0;
}

void dcsr_dense_conv1x1(const DcsrLayer* layer, const DcsrConvShape* shape, const int8_t* input,
                        int8_t* output, void* scratch) {
  (void)scratch;
  dcsr_conv1x1_ref(layer, shape, input, output);
}

size_t dcsr_dense_fully_connected_scratch_bytes(const DcsrLayer* layer, int32_t batches) {
  (void)layer;
  (void)batches;
  return 0;
}

void dcsr_dense_fully_connected(const DcsrLayer* layer, int32_t batches, const int8_t* input,
                                int8_t* output, void* scratch) {
  (void)scratch;
  dcsr_fully_connected_ref(layer, batches, input, output);
}
