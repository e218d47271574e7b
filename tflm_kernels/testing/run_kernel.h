// Runs a kernel and compares: what the tests of kernels for int8 layers share. Allocates.

#ifndef DCSR_TFLM_KERNELS_TESTING_RUN_KERNEL_H_
#define DCSR_TFLM_KERNELS_TESTING_RUN_KERNEL_H_

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "tflm_kernels/packed_layer.h"
#include "tflm_kernels/testing/check.h"
#include "tflm_kernels/testing/layers.h"

enum { kGuardBytes = 16, kGuard = 0x5A };

typedef void (*RunKernel)(const DcsrLayer* layer, const CaseData* data, int8_t* output);

// `bytes` of memory with the same content on every run; NULL if it is none.
static inline void* allocate_scratch(size_t bytes) {
  if (bytes == 0) return NULL;
  void* scratch = malloc(bytes);
  if (scratch == NULL) abort();
  memset(scratch, kGuard, bytes);
  return scratch;
}

// Checks the output, and that nothing is written behind it.
static inline void check_kernel(const char* context, RunKernel run, const DcsrLayer* layer,
                                const CaseData* data, const int8_t* expected) {
  int8_t* output = (int8_t*)malloc(data->output_size + kGuardBytes);
  if (output == NULL) abort();
  memset(output, kGuard, data->output_size + kGuardBytes);
  run(layer, data, output);
  check_equal(context, expected, output, data->output_size);
  for (size_t i = 0; i < kGuardBytes; ++i) {
    CHECK(output[data->output_size + i] == kGuard, "%s: byte %d behind the output", context,
          (int)i);
  }
  free(output);
}

#endif  // DCSR_TFLM_KERNELS_TESTING_RUN_KERNEL_H_
