// Chooses the dense kernel of the target: CMSIS-NN if the build has it and it has a kernel for the
// layer, else the kernel for MVE, for DSP or in C.

#include "tflm_kernels/baseline/dense_baseline.h"

#include "tflm_kernels/baseline/dense_cmsis_nn.h"
#include "tflm_kernels/baseline/dense_conv1x1_c.h"
#include "tflm_kernels/baseline/dense_conv1x1_dsp.h"
#include "tflm_kernels/baseline/dense_conv1x1_mve.h"
#include "tflm_kernels/baseline/dense_depthwise_conv2d_c.h"
#include "tflm_kernels/baseline/dense_fully_connected_c.h"
#include "tflm_kernels/baseline/dense_fully_connected_dsp.h"
#include "tflm_kernels/baseline/dense_fully_connected_mve.h"
#include "tflm_kernels/baseline/dense_int16.h"
#include "tflm_kernels/common/compiler.h"
#include "tflm_kernels/planning/planners.h"
#include "tflm_kernels/scalar/scalar.h"

size_t dcsr_dense_conv1x1_scratch_bytes(const DcsrLayer* layer, const DcsrConvShape* shape) {
#if DCSR_HAS_CMSIS_NN
  if (dcsr_dense_cmsis_nn_takes(layer)) {
    return dcsr_dense_conv1x1_cmsis_nn_scratch_bytes(layer, shape);
  }
#else
  (void)shape;
#endif
#if DCSR_HAS_MVE
  (void)layer;
  return 0;
#elif defined(__ARM_FEATURE_DSP)
  return dcsr_dense_conv1x1_dsp_scratch_bytes(layer);
#else
  (void)layer;
  return 0;
#endif
}

void dcsr_dense_conv1x1(const DcsrLayer* layer, const DcsrConvShape* shape, const int8_t* input,
                        int8_t* output, void* scratch) {
#if DCSR_HAS_CMSIS_NN
  if (dcsr_dense_cmsis_nn_takes(layer)) {
    dcsr_dense_conv1x1_cmsis_nn(layer, shape, input, output, scratch);
    return;
  }
#endif
#if DCSR_HAS_MVE
  (void)scratch;
  dcsr_dense_conv1x1_mve(layer, shape, input, output);
#elif defined(__ARM_FEATURE_DSP)
  dcsr_dense_conv1x1_dsp(layer, shape, input, output, scratch);
#else
  (void)scratch;
  dcsr_dense_conv1x1_c(layer, shape, input, output);
#endif
}

size_t dcsr_dense_fully_connected_scratch_bytes(const DcsrLayer* layer, int32_t batches) {
  (void)layer;
  (void)batches;
  return 0;
}

void dcsr_dense_fully_connected(const DcsrLayer* layer, int32_t batches, const int8_t* input,
                                int8_t* output, void* scratch) {
  (void)scratch;
#if DCSR_HAS_CMSIS_NN
  if (dcsr_dense_cmsis_nn_takes(layer)) {
    dcsr_dense_fully_connected_cmsis_nn(layer, batches, input, output);
    return;
  }
#endif
#if DCSR_HAS_MVE
  dcsr_dense_fully_connected_mve(layer, batches, input, output);
#elif defined(__ARM_FEATURE_DSP)
  dcsr_dense_fully_connected_dsp(layer, batches, input, output);
#else
  dcsr_dense_fully_connected_c(layer, batches, input, output);
#endif
}

// A table with the dense 1x1 kernel, for conv2d_im2col.
static bool plan_conv1x1(DcsrPlanRequest* request, DcsrPlan* plan) {
  const DcsrConvShape shape = {1, 1, (int32_t)request->pixels, 1, (int32_t)request->pixels};
  plan->scratch_bytes = dcsr_dense_conv1x1_scratch_bytes(request->layer, &shape);
  return true;
}

static void run_conv1x1(const DcsrPlan* plan, const DcsrLayer* layer, const DcsrConvShape* shape,
                        const void* input, void* output, void* scratch) {
  (void)plan;
  dcsr_dense_conv1x1(layer, shape, (const int8_t*)input, (int8_t*)output, scratch);
}

static const DcsrKernel kConv1x1[] = {{plan_conv1x1, run_conv1x1, 0, kDcsrAnyCoding},
                                      {NULL, NULL, 0, 0}};
static const DcsrKernel kIm2col[] = {
    {dcsr_plan_conv2d_im2col, dcsr_conv2d_im2col, 0, kDcsrAnyCoding}, {NULL, NULL, 0, 0}};
static const DcsrKernels kDense = {kConv1x1, kIm2col, NULL, NULL, NULL, 0, &kDcsrAllDecoders};

// Scratch for tiles of eight pixels, the smallest of conv2d_im2col. Larger tiles would gain
// nothing, because a dense layer is not decoded.
size_t dcsr_dense_conv2d_scratch_bytes(const DcsrLayer* layer, const DcsrConvShape* shape) {
  const DcsrConvShape tile = {1, 1, 8, 1, 8};
  if (layer->filter_h == 1 && layer->filter_w == 1) {
    return dcsr_dense_conv1x1_scratch_bytes(layer, shape);
  }
#if DCSR_HAS_CMSIS_NN
  if (dcsr_dense_cmsis_nn_takes(layer))
    return dcsr_dense_filter_cmsis_nn_scratch_bytes(layer, shape);
#endif
  return ((size_t)layer->cols * 8 + 15) / 16 * 16 + dcsr_dense_conv1x1_scratch_bytes(layer, &tile);
}

void dcsr_dense_conv2d(const DcsrLayer* layer, const DcsrConvShape* shape, const int8_t* input,
                       int8_t* output, void* scratch) {
  if (layer->filter_h == 1 && layer->filter_w == 1) {
    dcsr_dense_conv1x1(layer, shape, input, output, scratch);
    return;
  }
#if DCSR_HAS_CMSIS_NN
  if (dcsr_dense_cmsis_nn_takes(layer)) {
    dcsr_dense_filter_cmsis_nn(layer, shape, input, output, scratch);
    return;
  }
#endif
  DcsrPlan plan;
  dcsr_plan(&kDense, layer, shape, dcsr_dense_conv2d_scratch_bytes(layer, shape), &plan);
  dcsr_run(&plan, layer, shape, input, output, scratch);
}

size_t dcsr_dense_depthwise_conv2d_scratch_bytes(const DcsrLayer* layer,
                                                 const DcsrConvShape* shape) {
#if DCSR_HAS_CMSIS_NN
  if (dcsr_dense_cmsis_nn_takes(layer))
    return dcsr_dense_filter_cmsis_nn_scratch_bytes(layer, shape);
#endif
  (void)layer;
  (void)shape;
  return 0;
}

void dcsr_dense_depthwise_conv2d(const DcsrLayer* layer, const DcsrConvShape* shape,
                                 const int8_t* input, int8_t* output, void* scratch) {
#if DCSR_HAS_CMSIS_NN
  if (dcsr_dense_cmsis_nn_takes(layer)) {
    dcsr_dense_filter_cmsis_nn(layer, shape, input, output, scratch);
    return;
  }
#endif
  (void)scratch;
  dcsr_dense_depthwise_conv2d_c(layer, shape, input, output);
}

void dcsr_dense_prepare(const DcsrLayer* layer, void* scratch) {
#if DCSR_HAS_CMSIS_NN
  const bool is_pointwise =
      layer->op == kDcsrOpConv2d && layer->filter_h == 1 && layer->filter_w == 1;
  if (layer->op != kDcsrOpFullyConnected && !is_pointwise && !layer->int16_activations &&
      dcsr_dense_cmsis_nn_takes(layer)) {
    dcsr_dense_filter_cmsis_nn_prepare(layer, scratch);
  }
#else
  (void)layer;
  (void)scratch;
#endif
}

size_t dcsr_dense_conv2d_int16_scratch_bytes(const DcsrLayer* layer, const DcsrConvShape* shape) {
  (void)shape;
  return dcsr_dense_int16_scratch_bytes(layer);
}

void dcsr_dense_conv2d_int16(const DcsrLayer* layer, const DcsrConvShape* shape,
                             const int16_t* input, int16_t* output, void* scratch) {
  dcsr_dense_conv2d_int16_patches(layer, shape, input, output, scratch);
}

void dcsr_dense_fully_connected_int16(const DcsrLayer* layer, int32_t batches, const int16_t* input,
                                      int16_t* output) {
  dcsr_dense_fully_connected_int16_rows(layer, batches, input, output);
}
