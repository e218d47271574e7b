// The products of a packed layer with activations.
//
//   const DcsrKernels* kernels = dcsr_conv2d_kernels();
//   DcsrPlan plan;
//   dcsr_plan(kernels, &layer, &shape, dcsr_scratch_budget(kernels, &layer), &plan);
//   ... plan.scratch_bytes of scratch, aligned to 16 ...
//   dcsr_run(&plan, &layer, &shape, input, output, scratch);
//
// `layer` has passed dcsr_layer_parse() and dcsr_layer_validate(). Every kernel equals the portable
// reference bit for bit. Public, as packed_layer.h is; all other headers of tflm_kernels/ are
// private.

#ifndef DCSR_TFLM_KERNELS_KERNELS_H_
#define DCSR_TFLM_KERNELS_KERNELS_H_

#include <stddef.h>
#include <stdint.h>

#include "tflm_kernels/packed_layer.h"

#ifdef __cplusplus
extern "C" {
#endif

// Activation tensors of a convolution, NHWC.
typedef struct {
  int32_t batches;
  int32_t input_height;
  int32_t input_width;
  int32_t output_height;  // 1x1 filter: ceil(input_height / stride_h); else conv_geometry.h
  int32_t output_width;
} DcsrConvShape;

// A FULLY_CONNECTED layer is a convolution of `batches` images of one pixel.
static inline DcsrConvShape dcsr_fully_connected_shape(int32_t batches) {
  const DcsrConvShape shape = {batches, 1, 1, 1, 1};
  return shape;
}

typedef struct DcsrPlanRequest DcsrPlanRequest;  // planning/planners.h
typedef struct DcsrPlan DcsrPlan;

// Fills in all of `plan` except its kernel and table. False if the kernel does not take the layer,
// the shape or the budget.
typedef bool DcsrPlanner(DcsrPlanRequest* request, DcsrPlan* plan);

// As dcsr_run().
typedef void DcsrRun(const DcsrPlan* plan, const DcsrLayer* layer, const DcsrConvShape* shape,
                     const void* input, void* output, void* scratch);

// A kernel of a table.
typedef struct {
  DcsrPlanner* plan;
  DcsrRun* run;
  int32_t id;  // DcsrKernelId of planning/kernel_lists.h
} DcsrKernel;

// The kernels of one operator for a class of cores. A list ends with an entry without `plan`; its
// kernels are tried in order. The last kernel of a list takes every layer. A firmware may have a
// table of its own with a part of the lists: the linker drops the kernels that no table names.
typedef struct {
  const DcsrKernel* pointwise;  // int8 activations, 1x1 filter or FULLY_CONNECTED
  const DcsrKernel* larger;     // int8 activations, larger filter; NULL only for FULLY_CONNECTED
  const DcsrKernel* int16;      // int16 activations
  // Elements of the longest row, where the core has instructions for that; else NULL.
  uint32_t (*longest_row)(const DcsrLayer* layer);
  uint32_t scratch_budget;  // bytes, for layers that do not say
} DcsrKernels;

// The kernel of a layer, and the division of its scratch.
struct DcsrPlan {
  const DcsrKernel* kernel;  // NULL if the table has none for the layer
  size_t scratch_bytes;      // 0: none
  // For the kernel, which leaves unspecified what it does not use.
  size_t tile_pixels;          // of a tile, or of a block of conv1x1_mve
  size_t longest_row;          // elements
  size_t inner_bytes;          // scratch of the kernel that conv2d_im2col calls
  const DcsrKernels* kernels;  // that it calls kernels of
};

// The tables of the core that this library is compiled for. Hosts run the reference.
const DcsrKernels* dcsr_conv2d_kernels(void);
const DcsrKernels* dcsr_fully_connected_kernels(void);

// Bytes of scratch that a kernel may request: those of the packed layer, or the table's default.
static inline size_t dcsr_scratch_budget(const DcsrKernels* kernels, const DcsrLayer* layer) {
  return layer->scratch_budget != 0 ? layer->scratch_budget : kernels->scratch_budget;
}

// Plans for the first kernel of `kernels` that takes the layer with at most `scratch_budget` bytes
// of scratch. Takes constant time, except that some kernels read all row lengths.
void dcsr_plan(const DcsrKernels* kernels, const DcsrLayer* layer, const DcsrConvShape* shape,
               size_t scratch_budget, DcsrPlan* plan);

// input [batches, input_height, input_width, channels], output [batches, output_height,
// output_width, rows]: int16 if layer->int16_activations, else int8. `plan` is that of the same
// layer and shape. `scratch` is uninitialised memory of plan->scratch_bytes bytes, aligned to 16;
// NULL if that is 0.
static inline void dcsr_run(const DcsrPlan* plan, const DcsrLayer* layer,
                            const DcsrConvShape* shape, const void* input, void* output,
                            void* scratch) {
  plan->kernel->run(plan, layer, shape, input, output, scratch);
}

#ifdef __cplusplus
}
#endif

#endif  // DCSR_TFLM_KERNELS_KERNELS_H_
