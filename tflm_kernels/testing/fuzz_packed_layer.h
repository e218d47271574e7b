// One step of fuzzing, shared by libFuzzer and the deterministic test.

#ifndef DCSR_TFLM_KERNELS_TESTING_FUZZ_PACKED_LAYER_H_
#define DCSR_TFLM_KERNELS_TESTING_FUZZ_PACKED_LAYER_H_

#include <stddef.h>
#include <stdint.h>

#include "tflm_kernels/packed_layer.h"

// Parses and validates a blob of any bytes. If it is accepted, runs its kernel. Returns the status.
// Aborts if the kernel leaves outputs unwritten or unclamped. The sanitizers detect accesses out of
// bounds.
DcsrStatus dcsr_fuzz_packed_layer(const uint8_t* data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

#endif  // DCSR_TFLM_KERNELS_TESTING_FUZZ_PACKED_LAYER_H_
