// Plans and runs the kernel of a packed layer.
//
//   const DcsrKernels* kernels = dcsr_conv2d_kernels();
//   DcsrPlan plan;
//   dcsr_plan(kernels, &layer, &shape, dcsr_scratch_budget(kernels, &layer), &plan);
//   void* scratch = ...;  // plan.scratch_bytes bytes, aligned to 16
//   dcsr_run(&plan, &layer, &shape, input, output, scratch);
//
// `layer` has passed dcsr_layer_parse() and dcsr_layer_validate(). The outputs of every kernel are
// those of the portable reference, bit for bit.
//
// This header and packed_layer.h are public. All other headers of tflm_kernels/ are private.

#ifndef DCSR_TFLM_KERNELS_KERNELS_H_
#define DCSR_TFLM_KERNELS_KERNELS_H_

#include <stddef.h>
#include <stdint.h>

#include "tflm_kernels/packed_layer.h"

#ifdef __cplusplus
extern "C" {
#endif

// Shape of the activations of a convolution, in pixels, whether they are NHWC or in planes. A layer
// with a layout has one image, with the height and width of the layout. All sizes are positive. The
// output has the size that TFLM gives it: ceil(input / stride) with SAME padding or a 1x1 filter,
// else ceil((input - extent + 1) / stride), where extent = (filter - 1) * dilation + 1.
typedef struct {
  int32_t batches;
  int32_t input_height;
  int32_t input_width;
  int32_t output_height;
  int32_t output_width;
} DcsrConvShape;

// Checks of layers whose activations are in planes: docs/format.md#layout.
struct DcsrLayouts {
  // Whether the layout of a layer that has one is valid. All other fields of the layer are. Takes
  // constant time.
  bool (*is_valid)(const DcsrLayer* layer);
  // Whether a tensor of a valid layer with a layout has the dimensions that follow from it. Sets
  // `shape`.
  bool (*fits)(const DcsrLayer* layer, bool is_output, const int32_t* dims, int32_t rank,
               DcsrConvShape* shape);
};

// A FULLY_CONNECTED layer is a convolution of `batches` images of one pixel.
static inline DcsrConvShape dcsr_fully_connected_shape(int32_t batches) {
  const DcsrConvShape shape = {batches, 1, 1, 1, 1};
  return shape;
}

typedef struct DcsrPlanRequest DcsrPlanRequest;  // planning/planners.h
typedef struct DcsrPlan DcsrPlan;

// Decides whether a kernel takes the layer, the shape and the budget of `request`. If so, sets the
// fields of `plan` that the kernel uses, and returns true. If not, returns false; the fields are
// then unspecified. The caller has set plan->kernel, and plan->scratch_bytes to 0.
typedef bool DcsrPlanner(DcsrPlanRequest* request, DcsrPlan* plan);

// Runs a kernel. Contract as for dcsr_run().
typedef void DcsrRun(const DcsrPlan* plan, const DcsrLayer* layer, const DcsrConvShape* shape,
                     const void* input, void* output, void* scratch);

// The codings of layers, as bits: an encoding with plain values, and shifted to the left by
// kDcsrHuffmanCodings with Huffman-coded values.
enum {
  kDcsrCodingDense = 1 << kDcsrEncodingDense,
  kDcsrCodingDcsr4 = 1 << kDcsrEncodingDcsr,  // deltas of 4 bits
  kDcsrCodingRle = 1 << kDcsrEncodingRle,
  kDcsrCodingOffset8 = 1 << kDcsrEncodingOffset8,
  kDcsrCodingRice = 1 << kDcsrEncodingRice,
  kDcsrCodingBitmap = 1 << kDcsrEncodingBitmap,
  kDcsrCodingDcsr8 = 1 << kDcsrEncodingCount,  // deltas of 8 bits
  kDcsrHuffmanCodings = kDcsrEncodingCount + 1,
  kDcsrAnyCoding = (1 << 2 * kDcsrHuffmanCodings) - 1,
};

// A kernel of a table.
typedef struct {
  DcsrPlanner* plan;
  DcsrRun* run;      // dcsr_not_linked(): the kernel is only planned with
  int32_t id;        // DcsrKernelId of planning/kernel_lists.h
  uint32_t codings;  // of the layers for which it is tried
} DcsrKernel;

// The kernels of one operator for a class of cores. Each list ends with an entry whose `plan` is
// NULL. Its kernels are tried in order. In the tables of this library the last kernel of a list
// takes every layer. A firmware may define a table of its own with a part of these kernels
// (kernel_parts.h). The linker then drops the kernels and decoders that no table names.
typedef struct {
  // int8 activations, 1x1 filter or FULLY_CONNECTED; NULL only for DEPTHWISE_CONV_2D
  const DcsrKernel* pointwise;
  // int8 activations, larger filter; any filter of DEPTHWISE_CONV_2D; NULL only for FULLY_CONNECTED
  const DcsrKernel* larger;
  const DcsrKernel* int16;  // int16 activations; NULL for DEPTHWISE_CONV_2D
  // int8 activations of which some are in planes; NULL for FULLY_CONNECTED, and in a table for a
  // model that has none
  const DcsrKernel* planes;
  // Returns the number of elements of the longest row. NULL: planning counts them in portable C.
  uint32_t (*longest_row)(const DcsrLayer* layer);
  uint32_t scratch_budget;       // bytes, for layers whose scratch_budget is 0
  const DcsrDecoders* decoders;  // of the layers that it is for
} DcsrKernels;

// Stands in for the kernels that a table names only because others plan with them. A layer that
// would need one of them has no kernel.
DcsrRun dcsr_not_linked;

// The kernel of a layer, and how it divides its scratch.
struct DcsrPlan {
  const DcsrKernel* kernel;  // NULL if no kernel of the table takes the layer
  size_t scratch_bytes;      // 0 if the kernel needs no scratch
  // Private to the kernel. Fields that it does not use are unspecified.
  size_t tile_pixels;          // output pixels of a tile; conv1x1_mve: of a block
  size_t tile_channels;        // depthwise_conv2d_dense_mve: channels of a tile
  size_t longest_row;          // elements of the longest row
  size_t inner_bytes;          // scratch of the kernel that conv2d_im2col calls
  const DcsrKernels* kernels;  // table of the kernel that conv2d_im2col calls
};

// The tables of the core that this library is compiled for. On a host these are the portable
// kernels.
const DcsrKernels* dcsr_conv2d_kernels(void);
const DcsrKernels* dcsr_fully_connected_kernels(void);
const DcsrKernels* dcsr_depthwise_conv2d_kernels(void);

// Returns the bytes of scratch that a kernel may request: the budget of the packed layer, or that
// of the table if the layer has none.
static inline size_t dcsr_scratch_budget(const DcsrKernels* kernels, const DcsrLayer* layer) {
  return layer->scratch_budget != 0 ? layer->scratch_budget : kernels->scratch_budget;
}

// Plans a layer: finds the first kernel of its list in `kernels` that takes it with at most
// `scratch_budget` bytes of scratch. On failure plan->kernel is NULL.
// Takes constant time (a larger filter: O(log(output pixels))), except that some kernels read all
// row lengths.
void dcsr_plan(const DcsrKernels* kernels, const DcsrLayer* layer, const DcsrConvShape* shape,
               size_t scratch_budget, DcsrPlan* plan);

// Runs the kernel of a plan.
//
// plan:    of the same layer and shape; plan->kernel is not NULL.
// input:   [batches, input_height, input_width, channels], int16 if layer->int16_activations, else
//          int8. In planes as layer->layout says.
// output:  [batches, output_height, output_width, rows], of the same type. In planes as
//          layer->layout says.
// scratch: plan->scratch_bytes bytes, aligned to 16, need not be initialised; NULL if that is 0.
static inline void dcsr_run(const DcsrPlan* plan, const DcsrLayer* layer,
                            const DcsrConvShape* shape, const void* input, void* output,
                            void* scratch) {
  plan->kernel->run(plan, layer, shape, input, output, scratch);
}

#ifdef __cplusplus
}
#endif

#endif  // DCSR_TFLM_KERNELS_KERNELS_H_
