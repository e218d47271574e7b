// Every part of our code that a firmware can link, each under a name that benchmarks/code_parts.py
// finds: kernels with the codings that they take, readers of encodings, and the ops. Nothing of it
// runs.

#include <stdint.h>

#include "ops/tflm/tflm_ops.h"
#include "tflm_kernels/kernel_parts.h"

// A table for each kernel and coding. The run functions of Huffman-coded values are the same for
// all encodings.
#define DCSR_PART_OF(kernel, coding) \
  extern "C" const DcsrKernel part_##kernel##__##coding[] = {DCSR_PART(kernel, coding)};
#define DCSR_PARTS_OF(kernel)   \
  DCSR_PART_OF(kernel, dense)   \
  DCSR_PART_OF(kernel, dcsr4)   \
  DCSR_PART_OF(kernel, dcsr8)   \
  DCSR_PART_OF(kernel, rle)     \
  DCSR_PART_OF(kernel, offset8) \
  DCSR_PART_OF(kernel, rice)    \
  DCSR_PART_OF(kernel, bitmap)  \
  extern "C" const DcsrKernel part_##kernel##__huffman[] = {DCSR_HUFFMAN_PART(kernel, rice)};
#define DCSR_ADDRESSES_OF(kernel)                                                               \
  part_##kernel##__dense, part_##kernel##__dcsr4, part_##kernel##__dcsr8, part_##kernel##__rle, \
      part_##kernel##__offset8, part_##kernel##__rice, part_##kernel##__bitmap,                 \
      part_##kernel##__huffman,

// The kernels of the class, each once. code_parts.py checks that none is missing.
#if DCSR_CORE_CLASS == DCSR_CLASS_MVE
#define DCSR_KERNELS_OF_CLASS(K) \
  K(conv1x1_gather_mve)          \
  K(conv1x1_mve)                 \
  K(conv1x1_planes_mve)          \
  K(conv1x1_smlal)               \
  K(conv1x1_ref)                 \
  K(conv2d_dense_mve)            \
  K(conv2d_dense_planes_mve)     \
  K(conv2d_im2col)               \
  K(conv2d_ref)                  \
  K(conv2d_int16_c)              \
  K(conv2d_int16_ref)            \
  K(fully_connected_offset8_mve) \
  K(fully_connected_dcsr_mve)    \
  K(fully_connected_gather_mve)  \
  K(fully_connected_int16_c)     \
  K(depthwise_conv2d_dense_mve)  \
  K(depthwise_conv2d_planes_mve) \
  K(depthwise_conv2d_ref)
#elif DCSR_CORE_CLASS == DCSR_CLASS_ARMV7EM
#define DCSR_KERNELS_OF_CLASS(K) \
  K(conv2d_dense_dsp)            \
  K(conv1x1_smlal)               \
  K(conv1x1_ref)                 \
  K(conv2d_im2col)               \
  K(conv2d_ref)                  \
  K(conv2d_int16_c)              \
  K(conv2d_int16_ref)            \
  K(fully_connected_c)           \
  K(fully_connected_ref)         \
  K(fully_connected_int16_c)     \
  K(depthwise_conv2d_dense_dsp)  \
  K(depthwise_conv2d_ref)
#elif DCSR_CORE_CLASS == DCSR_CLASS_ARMV7M
#define DCSR_KERNELS_OF_CLASS(K) \
  K(conv1x1_smlal)               \
  K(conv1x1_ref)                 \
  K(conv2d_im2col)               \
  K(conv2d_ref)                  \
  K(conv2d_int16_c)              \
  K(conv2d_int16_ref)            \
  K(fully_connected_c)           \
  K(fully_connected_ref)         \
  K(fully_connected_int16_c)     \
  K(depthwise_conv2d_ref)
#else
#define DCSR_KERNELS_OF_CLASS(K) \
  K(conv1x1_c)                   \
  K(conv1x1_ref)                 \
  K(conv2d_im2col)               \
  K(conv2d_ref)                  \
  K(conv2d_int16_c)              \
  K(conv2d_int16_ref)            \
  K(fully_connected_c)           \
  K(fully_connected_ref)         \
  K(fully_connected_int16_c)     \
  K(depthwise_conv2d_ref)
#endif

DCSR_KERNELS_OF_CLASS(DCSR_PARTS_OF)

namespace {

constexpr DcsrDecoders kNoDecoders = {{nullptr, nullptr, nullptr, nullptr, nullptr, nullptr},
                                      nullptr};
constexpr DcsrKernels kNoKernels = {nullptr, nullptr, nullptr, nullptr, 0, &kNoDecoders};

}  // namespace

extern "C" constexpr dcsr::Op part_op = {dcsr::kConv2dName, kDcsrOpConv2d, &kNoKernels};

// The functions of an op, with their own rows and with shared ones.
extern "C" DCSR_NOINLINE dcsr::tflm::Registration part_ops() {
  return dcsr::tflm::RegistrationOf<part_op>();
}
extern "C" DCSR_NOINLINE dcsr::tflm::Registration part_shared_rows() {
  return dcsr::tflm::RegistrationWithSharedRowsOf<part_op>();
}
extern "C" const DcsrKernels part_longest_row = {nullptr,          nullptr, nullptr,
                                                 DCSR_LONGEST_ROW, 0,       &kNoDecoders};

// The adapter's messages.
void MicroPrintf(const char* format, ...) { static_cast<void>(format); }

int main() {
  static const DcsrKernel* const kKernels[] = {DCSR_KERNELS_OF_CLASS(DCSR_ADDRESSES_OF)};
  const void* volatile keep = kKernels;
  keep = &kDcsrAllDecoders;
  keep = &part_longest_row;
  static_cast<void>(keep);
  const dcsr::tflm::Registration ops[] = {part_ops(), part_shared_rows()};
  for (const dcsr::tflm::Registration& op : ops) keep = reinterpret_cast<const void*>(op.prepare);
  return 0;
}
