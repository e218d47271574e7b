// Runs kernels and checks their outputs, for the tests of kernels. Allocates memory.

#ifndef DCSR_TFLM_KERNELS_TESTING_RUN_KERNEL_H_
#define DCSR_TFLM_KERNELS_TESTING_RUN_KERNEL_H_

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "tflm_kernels/kernels.h"
#include "tflm_kernels/packed_layer.h"
#include "tflm_kernels/testing/check.h"
#include "tflm_kernels/testing/fenced_memory.h"
#include "tflm_kernels/testing/layers.h"

enum { kGuardBytes = 16, kGuard = 0x5A };

typedef void (*RunKernel)(const DcsrLayer* layer, const CaseData* data, int8_t* output);

// Returns `bytes` bytes with the same content on every run; NULL if `bytes` is 0.
static inline void* allocate_scratch(size_t bytes) {
  if (bytes == 0) return NULL;
  void* scratch = malloc(bytes);
  if (scratch == NULL) abort();
  memset(scratch, kGuard, bytes);
  return scratch;
}

// The kernel tables of all operators.
typedef struct {
  const DcsrKernels* conv2d;
  const DcsrKernels* fully_connected;
  const DcsrKernels* depthwise_conv2d;
} DcsrTables;

static inline DcsrTables tables_of_this_core(void) {
  const DcsrTables tables = {dcsr_conv2d_kernels(), dcsr_fully_connected_kernels(),
                             dcsr_depthwise_conv2d_kernels()};
  return tables;
}

static inline const DcsrKernels* table_of(DcsrTables tables, DcsrOp op) {
  switch (op) {
    case kDcsrOpConv2d:
      return tables.conv2d;
    case kDcsrOpFullyConnected:
      return tables.fully_connected;
    case kDcsrOpDepthwiseConv2d:
      break;
  }
  return tables.depthwise_conv2d;
}

// Plans the layer and runs its kernel. The scratch is a malloc of its exact size, so that ASan
// detects accesses past its end, or fenced (fenced_memory.h). Returns the bytes of scratch. Input
// and output are int8 or int16.
static inline size_t run_tables(DcsrTables tables, const DcsrLayer* layer,
                                const DcsrConvShape* shape, const void* input, void* output) {
  const DcsrKernels* kernels = table_of(tables, layer->op);
  const size_t budget = dcsr_scratch_budget(kernels, layer);
  DcsrPlan plan;
  dcsr_plan(kernels, layer, shape, budget, &plan);
  CHECK(plan.kernel != NULL, "no kernel takes a layer of %u x %u", (unsigned)layer->rows,
        (unsigned)layer->cols);
  CHECK(plan.scratch_bytes <= budget, "%lu bytes of scratch of %lu",
        (unsigned long)plan.scratch_bytes, (unsigned long)budget);
  if (plan.kernel == NULL) return 0;
  void* scratch = plan.scratch_bytes == 0 ? NULL : fenced_scratch(plan.scratch_bytes);
  if (scratch != NULL) memset(scratch, kGuard, plan.scratch_bytes);
  dcsr_run(&plan, layer, shape, input, output, scratch);
  free_fenced(scratch);
  return plan.scratch_bytes;
}

// Runs a kernel on an int8 layer and compares its output. Checks that nothing is written behind it.
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
