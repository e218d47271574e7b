// One step of fuzzing, for libFuzzer and for the deterministic test.

#ifndef DCSR_TFLM_KERNELS_TESTING_FUZZ_PACKED_LAYER_H_
#define DCSR_TFLM_KERNELS_TESTING_FUZZ_PACKED_LAYER_H_

#include <stddef.h>
#include <stdint.h>

#include "tflm_kernels/packed_layer.h"

// Parses and validates a hostile blob and, if it is accepted, runs its kernel.
// Returns the status; aborts if the kernel breaks its contract. Reads out of
// bounds are for the sanitizers to find.
DcsrStatus dcsr_fuzz_packed_layer(const uint8_t* data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

#endif  // DCSR_TFLM_KERNELS_TESTING_FUZZ_PACKED_LAYER_H_
