// Convolution with any filter in portable C, any encoding, int8 and int16 activations, also
// depthwise, NHWC and planes (docs/format.md#arithmetic).
//
// Input:   [batches, input_height, input_width, channels], int8 or int16, or planes, int8.
// Output:  [batches, output_height, output_width, rows], of the same type, or planes.
// Scratch: none.
// Cycles:  counted in costs/costs.c.
//
// Decodes the matrix once for each tile of output pixels. A tap outside of the image reads the
// input zero point, which counts as 0 because the bias is folded.

#include "tflm_kernels/common/layout.h"
#include "tflm_kernels/common/patches.h"
#include "tflm_kernels/common/pixels.h"
#include "tflm_kernels/common/requantize.h"
#include "tflm_kernels/format/row_reader.h"
#include "tflm_kernels/reference/reference.h"
#include "tflm_kernels/reference/tile_ref.h"

// A layer and the shape of its activations.
typedef struct {
  const DcsrLayer* layer;
  const DcsrConvShape* shape;
  DcsrSteps input;
  DcsrSteps output;
} Work;

// Returns the activation of a patch at tap (dy, dx). Both are in pixels.
static int32_t activation(const Work* work, const DcsrPatch* patch, uint32_t dy, uint32_t dx,
                          uint32_t channel) {
  const DcsrLayer* layer = work->layer;
  const DcsrConvShape* shape = work->shape;
  const DcsrSteps* steps = &work->input;
  const uint32_t y = patch->y + dy;
  const uint32_t x = patch->x + dx;
  if (y >= (uint32_t)shape->input_height || x >= (uint32_t)shape->input_width) {
    return layer->input_zero_point;
  }
  const size_t i = y * steps->row + x * steps->column + channel * steps->channel;
  return layer->int16_activations ? ((const int16_t*)patch->image)[i]
                                  : ((const int8_t*)patch->image)[i];
}

// Sums are unsigned because they may wrap. Int8 layers use their low 32 bits.
static void multiply_element(const Work* work, uint32_t row, uint32_t column, int32_t weight,
                             const DcsrPatch tile[], size_t count, uint64_t acc[]) {
  const DcsrLayer* layer = work->layer;
  const bool is_depthwise = layer->op == kDcsrOpDepthwiseConv2d;
  const uint32_t channel = is_depthwise ? row / layer->depth_multiplier : column % layer->channels;
  const uint32_t tap = is_depthwise ? column : column / layer->channels;
  const uint32_t dy = tap / layer->filter_w * layer->dilation_h;
  const uint32_t dx = tap % layer->filter_w * layer->dilation_w;
  for (size_t v = 0; v < count; ++v) {
    acc[v] += (uint64_t)(int64_t)(weight * activation(work, &tile[v], dy, dx, channel));
  }
}

// Computes the sums of row `row`, the reader's next one, without bias.
static void multiply_row(const Work* work, uint32_t row, DcsrRowReader* reader,
                         const DcsrPatch tile[], size_t count, uint64_t acc[]) {
  for (size_t v = 0; v < count; ++v) acc[v] = 0;
  dcsr_next_row(reader);
  DcsrGroup group;
  while (dcsr_next_group(reader, &group)) {
    for (uint32_t l = 0; l < group.lanes; ++l) {
      multiply_element(work, row, (uint32_t)group.column[l], group.weight[l], tile, count, acc);
    }
  }
}

static size_t next_tile(DcsrPatches* patches, size_t left, DcsrPatch tile[]) {
  const size_t count = left < kDcsrTileVectors ? left : (size_t)kDcsrTileVectors;
  for (size_t v = 0; v < count; ++v) tile[v] = dcsr_next_patch(patches);
  return count;
}

// Adds the bias to a sum, requantizes it and stores the output at `index`.
static void store(const DcsrLayer* layer, uint32_t row, const DcsrRowTail* tail, uint64_t acc,
                  void* output, size_t index) {
  if (layer->int16_activations) {
    const uint64_t sum = dcsr_int16_bias(layer, row) + acc;
    ((int16_t*)output)[index] = dcsr_requantize_int16(layer, row, sum);
  } else {
    const uint32_t sum = (uint32_t)tail->bias + (uint32_t)acc;
    ((int8_t*)output)[index] = dcsr_requantize_by(layer, tail->multiplier, tail->shift, sum);
  }
}

static void convolve(const DcsrLayer* layer, const DcsrConvShape* shape, const void* input,
                     void* output) {
  const Work work = {layer, shape, dcsr_input_steps(layer, shape), dcsr_output_steps(layer, shape)};
  const DcsrSteps* steps = &work.output;
  const size_t width = (size_t)shape->output_width;
  const size_t pixels = dcsr_pixel_count(shape);
  DcsrPatches patches = dcsr_patches(layer, shape, input);
  DcsrPatch tile[kDcsrTileVectors];
  uint64_t acc[kDcsrTileVectors];
  size_t count;
  for (size_t done = 0; done < pixels; done += count) {
    count = next_tile(&patches, pixels - done, tile);
    DcsrRowReader reader = dcsr_row_reader(layer);
    for (uint32_t row = 0; row < layer->rows; ++row) {
      multiply_row(&work, row, &reader, tile, count, acc);
      const DcsrRowTail tail = dcsr_row_tail(layer, row);  // unused with int16 activations
      for (size_t v = 0; v < count; ++v) {
        const size_t pixel = done + v;
        store(layer, row, &tail, acc[v], output,
              pixel / width * steps->row + pixel % width * steps->column + row * steps->channel);
      }
    }
  }
}

void dcsr_conv2d_ref(const DcsrPlan* plan, const DcsrLayer* layer, const DcsrConvShape* shape,
                     const void* input_data, void* output_data, void* scratch) {
  (void)plan;
  (void)scratch;
  convolve(layer, shape, input_data, output_data);
}

void dcsr_conv2d_int16_ref(const DcsrPlan* plan, const DcsrLayer* layer, const DcsrConvShape* shape,
                           const void* input_data, void* output_data, void* scratch) {
  (void)plan;
  (void)scratch;
  convolve(layer, shape, input_data, output_data);
}
