// The choice of a kernel for a layer and a target.
//
// A kernel for a particular core goes into a file of its own, named
// op_encoding_isa, that compiles to nothing elsewhere. It is chosen here, in
// the product and in its *_scratch_bytes function alike, inside
// `#if defined(<feature macro of the instruction set>)`, by a test of the
// layer's encoding and shape; what no test claims goes to the reference.

#include "tflm_kernels/kernels.h"

#include "tflm_kernels/reference.h"

size_t dcsr_conv1x1_scratch_bytes(const DcsrLayer* layer, const DcsrConvShape* shape) {
  (void)layer;
  (void)shape;
  return 0;
}

void dcsr_conv1x1(const DcsrLayer* layer, const DcsrConvShape* shape, const int8_t* input,
                  int8_t* output, void* scratch) {
  (void)scratch;
  dcsr_conv1x1_ref(layer, shape, input, output);
}

size_t dcsr_fully_connected_scratch_bytes(const DcsrLayer* layer, int32_t batches) {
  (void)layer;
  (void)batches;
  return 0;
}

void dcsr_fully_connected(const DcsrLayer* layer, int32_t batches, const int8_t* input,
                          int8_t* output, void* scratch) {
  (void)scratch;
  dcsr_fully_connected_ref(layer, batches, input, output);
}
