// Counts the instructions of layers, dense and sparse, on an emulated core.
//
// Reads the layers from the job (benchmarks/firmware/job.h). cortex_m_layers.py writes the file and
// documents its format. A job may exceed the board's memory, a layer may not. For each
// layer, both products run once and must give the expected output. The firmware then prints
//
//   bench: <layer> <instructions> <scratch bytes>, both dense, then both sparse
//
// A layer may come without the dense product; its numbers are then 0. Each product is a region of
// cycle_counter_mark_begin() and cycle_counter_mark_end().
//
// Exit status: 0 all layers were right, 1 a layer was wrong or the job could not be read.

#include <inttypes.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "benchmarks/firmware/job.h"
#include "tflm_kernels/baseline/dense_baseline.h"
#include "tflm_kernels/common/conv_geometry.h"
#include "tflm_kernels/common/layout.h"
#include "tflm_kernels/kernels.h"
#include "tflm_kernels/packed_layer.h"
#include "toolchains/firmware/cycle_counter.h"

enum { kJobMagic = 0x4A534344 };  // "DCSJ"

// The bytes of the four sections follow, in this order.
typedef struct {
  DcsrConvShape shape;   // FULLY_CONNECTED uses only the batches
  uint32_t dense_bytes;  // 0: only the sparse product is run
  uint32_t sparse_bytes;
  uint32_t input_bytes;
  uint32_t output_bytes;  // expected
} JobLayer;

typedef struct {
  uint64_t instructions;
  size_t scratch_bytes;
} Measurement;

typedef size_t (*ScratchOfConv)(const DcsrLayer*, const DcsrConvShape*);
typedef void (*Conv)(const DcsrLayer*, const DcsrConvShape*, const int8_t*, int8_t*, void*);
typedef size_t (*ScratchOfFullyConnected)(const DcsrLayer*, int32_t);
typedef void (*FullyConnected)(const DcsrLayer*, int32_t, const int8_t*, int8_t*, void*);
typedef void (*ConvInt16)(const DcsrLayer*, const DcsrConvShape*, const int16_t*, int16_t*, void*);
typedef void (*FullyConnectedInt16)(const DcsrLayer*, int32_t, const int16_t*, int16_t*);

// The dense kernels.
typedef struct {
  const char* name;
  ScratchOfConv scratch_of_conv1x1;
  Conv conv1x1;
  ScratchOfConv scratch_of_conv2d;
  Conv conv2d;
  ScratchOfConv scratch_of_depthwise;
  Conv depthwise;
  ScratchOfFullyConnected scratch_of_fully_connected;
  FullyConnected fully_connected;
  ScratchOfConv scratch_of_conv_int16;
  ConvInt16 conv_int16;
  FullyConnectedInt16 fully_connected_int16;
} Kernels;

static const char kSparseName[] = "sparse";

static const Kernels kDense = {
    "dense",
    dcsr_dense_conv1x1_scratch_bytes,
    dcsr_dense_conv1x1,
    dcsr_dense_conv2d_scratch_bytes,
    dcsr_dense_conv2d,
    dcsr_dense_depthwise_conv2d_scratch_bytes,
    dcsr_dense_depthwise_conv2d,
    dcsr_dense_fully_connected_scratch_bytes,
    dcsr_dense_fully_connected,
    dcsr_dense_conv2d_int16_scratch_bytes,
    dcsr_dense_conv2d_int16,
    dcsr_dense_fully_connected_int16,
};

static bool parse(const char* name, const void* data, size_t bytes, DcsrLayer* layer) {
  DcsrStatus status = dcsr_layer_parse(data, bytes, layer);
  if (status == kDcsrOk) status = dcsr_layer_validate(layer);
  if (status != kDcsrOk) printf("the %s layer: %s\n", name, dcsr_status_string(status));
  return status == kDcsrOk;
}

static bool fits(const DcsrLayer* layer, const JobLayer* job) {
  const DcsrConvShape* s = &job->shape;
  const size_t activation_bytes = layer->int16_activations ? sizeof(int16_t) : sizeof(int8_t);
  size_t inputs = (size_t)s->batches * activation_bytes;
  size_t outputs = inputs;
  if (layer->op != kDcsrOpFullyConnected) {
    DcsrConvShape expected;
    if (!dcsr_conv_shape(layer, s->batches, s->input_height, s->input_width, &expected) ||
        expected.output_height != s->output_height || expected.output_width != s->output_width) {
      return false;
    }
    inputs *= dcsr_has_input_planes(layer) ? dcsr_input_steps(layer, s).channel
                                           : (size_t)s->input_height * (size_t)s->input_width;
    outputs *= dcsr_has_output_planes(layer) ? dcsr_output_steps(layer, s).channel
                                             : (size_t)s->output_height * (size_t)s->output_width;
  }
  return inputs * layer->channels == job->input_bytes && outputs * layer->rows == job->output_bytes;
}

static size_t scratch_bytes_of(const Kernels* kernels, const DcsrLayer* layer,
                               const DcsrConvShape* shape, bool is_conv, bool is_1x1) {
  if (layer->int16_activations) return is_conv ? kernels->scratch_of_conv_int16(layer, shape) : 0;
  if (layer->op == kDcsrOpDepthwiseConv2d) return kernels->scratch_of_depthwise(layer, shape);
  if (!is_conv) return kernels->scratch_of_fully_connected(layer, shape->batches);
  return is_1x1 ? kernels->scratch_of_conv1x1(layer, shape)
                : kernels->scratch_of_conv2d(layer, shape);
}

static void run_dense(const DcsrLayer* layer, const DcsrConvShape* shape, const void* input,
                      void* output, void* scratch) {
  const Kernels* kernels = &kDense;
  const bool is_conv = layer->op == kDcsrOpConv2d;
  const bool is_1x1 = layer->filter_h == 1 && layer->filter_w == 1;
  if (layer->int16_activations) {
    if (is_conv) {
      kernels->conv_int16(layer, shape, (const int16_t*)input, (int16_t*)output, scratch);
    } else {
      kernels->fully_connected_int16(layer, shape->batches, (const int16_t*)input,
                                     (int16_t*)output);
    }
  } else if (layer->op == kDcsrOpDepthwiseConv2d) {
    kernels->depthwise(layer, shape, (const int8_t*)input, (int8_t*)output, scratch);
  } else if (is_conv) {
    (is_1x1 ? kernels->conv1x1 : kernels->conv2d)(layer, shape, (const int8_t*)input,
                                                  (int8_t*)output, scratch);
  } else {
    kernels->fully_connected(layer, shape->batches, (const int8_t*)input, (int8_t*)output, scratch);
  }
}

static const DcsrKernels* kernels_of(DcsrOp op) {
  switch (op) {
    case kDcsrOpConv2d:
      return dcsr_conv2d_kernels();
    case kDcsrOpFullyConnected:
      return dcsr_fully_connected_kernels();
    case kDcsrOpDepthwiseConv2d:
      break;
  }
  return dcsr_depthwise_conv2d_kernels();
}

// Whether byte `i` of the output is behind the pixels of its plane.
static bool is_unspecified(const DcsrLayer* layer, const DcsrConvShape* shape, size_t i) {
  const size_t pixels = (size_t)shape->output_height * (size_t)shape->output_width;
  return dcsr_has_output_planes(layer) && i % dcsr_output_steps(layer, shape).channel >= pixels;
}

static void plan_sparse(const DcsrLayer* layer, const DcsrConvShape* shape, DcsrPlan* plan) {
  const DcsrKernels* kernels = kernels_of(layer->op);
  dcsr_plan(kernels, layer, shape, dcsr_scratch_budget(kernels, layer), plan);
}

// As Invoke of the ops, with planning.
static void run_sparse(const DcsrLayer* layer, const DcsrConvShape* shape, const void* input,
                       void* output, void* scratch) {
  DcsrPlan plan;
  plan_sparse(layer, shape, &plan);
  dcsr_run(&plan, layer, shape, input, output, scratch);
}

// Input, output and expected output are int8 or int16.
static bool measure(bool is_sparse, const DcsrLayer* layer, const DcsrConvShape* shape,
                    const void* input, const uint8_t* expected, size_t output_bytes,
                    Measurement* result) {
  const char* name = is_sparse ? kSparseName : kDense.name;
  const bool is_conv = layer->op == kDcsrOpConv2d;
  const bool is_1x1 = layer->filter_h == 1 && layer->filter_w == 1;
  size_t scratch_bytes = 0;
  if (is_sparse) {
    DcsrPlan plan;
    plan_sparse(layer, shape, &plan);
    scratch_bytes = plan.scratch_bytes;
  } else {
    scratch_bytes = scratch_bytes_of(&kDense, layer, shape, is_conv, is_1x1);
  }
  void* scratch = scratch_bytes > 0 ? job_allocate(scratch_bytes) : NULL;
  void* output = job_allocate(output_bytes);
  if (output == NULL || (scratch == NULL && scratch_bytes > 0)) {
    printf("no memory for the %s product\n", name);
    return false;
  }
  uint8_t* bytes = (uint8_t*)output;
  // Fill the output with wrong values, so that missing writes are detected.
  for (size_t i = 0; i < output_bytes; ++i) bytes[i] = (uint8_t)~expected[i];

  if (!is_sparse) dcsr_dense_prepare(layer, scratch);
  const uint64_t uncounted = job_overhead();
  const uint64_t start = cycle_counter_read();
  cycle_counter_mark_begin();
  if (is_sparse) {
    run_sparse(layer, shape, input, output, scratch);
  } else {
    run_dense(layer, shape, input, output, scratch);
  }
  cycle_counter_mark_end();
  const uint64_t ticks = cycle_counter_read() - start - uncounted;
  result->instructions = cycle_counter_instructions(ticks);
  result->scratch_bytes = scratch_bytes;

  for (size_t i = 0; i < output_bytes; ++i) {
    if (bytes[i] != expected[i] && !is_unspecified(layer, shape, i)) {
      printf("%s output byte %" PRIu32 " is %d instead of %d\n", name, (uint32_t)i, bytes[i],
             expected[i]);
      return false;
    }
  }
  return true;
}

static bool run_layer(uint32_t index) {
  job_release();
  JobLayer job;
  if (!job_read(&job, sizeof(job))) {
    printf("the job ends too early\n");
    return false;
  }
  const bool has_dense = job.dense_bytes > 0;
  const void* dense_data = has_dense ? job_read_section(job.dense_bytes) : NULL;
  const void* sparse_data = job_read_section(job.sparse_bytes);
  const void* input = job_read_section(job.input_bytes);
  const uint8_t* expected = (const uint8_t*)job_read_section(job.output_bytes);
  if ((dense_data == NULL && has_dense) || sparse_data == NULL || input == NULL ||
      expected == NULL) {
    printf("the layer is larger than the memory, or the job ends too early\n");
    return false;
  }

  DcsrLayer dense;
  DcsrLayer sparse;
  if (has_dense && !parse(kDense.name, dense_data, job.dense_bytes, &dense)) return false;
  if (!parse(kSparseName, sparse_data, job.sparse_bytes, &sparse)) return false;
  if (sparse.op == kDcsrOpFullyConnected) {
    job.shape = dcsr_fully_connected_shape(job.shape.batches);
  }
  if (!fits(&sparse, &job) ||
      (has_dense && (dense.encoding != kDcsrEncodingDense || dense.op != sparse.op ||
                     dense.int16_activations != sparse.int16_activations || !fits(&dense, &job)))) {
    printf("the layers do not fit the shape\n");
    return false;
  }

  Measurement of_dense = {0, 0};
  Measurement of_sparse;
  if ((has_dense &&
       !measure(false, &dense, &job.shape, input, expected, job.output_bytes, &of_dense)) ||
      !measure(true, &sparse, &job.shape, input, expected, job.output_bytes, &of_sparse)) {
    return false;
  }
  // Not every Newlib printf supports 64 bits. The counts are far below 2^32.
  printf("bench: %" PRIu32 " %" PRIu32 " %" PRIu32 " %" PRIu32 " %" PRIu32 "\n", index,
         (uint32_t)of_dense.instructions, (uint32_t)of_dense.scratch_bytes,
         (uint32_t)of_sparse.instructions, (uint32_t)of_sparse.scratch_bytes);
  return true;
}

int main(void) {
  uint32_t layers = 0;
  if (!job_open(kJobMagic, &layers)) return 1;
  for (uint32_t i = 0; i < layers; ++i) {
    if (!run_layer(i)) {
      printf("bench: layer %" PRIu32 " failed\n", i);
      return 1;
    }
  }
  return 0;
}
