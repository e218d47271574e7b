// Every part of our code that a firmware can link, each under a name that benchmarks/code_parts.py
// finds: the kernels of the lists in planning/kernel_lists.h with the codings that they take,
// readers of encodings, and the ops. The linker keeps all of it, and nothing of it runs.

#include <stdint.h>

#include "ops/tflm/tflm_ops.h"
#include "tflm_kernels/kernel_parts.h"

// A table for each kernel of a list and each coding, named part_LIST_KERNEL__CODING. Some kernels
// are in several lists. The run functions of Huffman-coded values are the same for all encodings.
#define DCSR_PART_OF(list, kernel, coding) \
  extern "C" const DcsrKernel part_##list##_##kernel##__##coding[] = {DCSR_PART(kernel, coding)};
#define DCSR_PARTS_OF(list, kernel)                                   \
  DCSR_PART_OF(list, kernel, dense)                                   \
  DCSR_PART_OF(list, kernel, dcsr4)                                   \
  DCSR_PART_OF(list, kernel, dcsr8)                                   \
  DCSR_PART_OF(list, kernel, rle)                                     \
  DCSR_PART_OF(list, kernel, offset8)                                 \
  DCSR_PART_OF(list, kernel, rice)                                    \
  DCSR_PART_OF(list, kernel, bitmap)                                  \
  extern "C" const DcsrKernel part_##list##_##kernel##__huffman[] = { \
      DCSR_HUFFMAN_PART(kernel, rice)};

// The lists of this core's class.
#if DCSR_CORE_CLASS == DCSR_CLASS_MVE
#define DCSR_LIST_OF_THIS_CORE(list, K) DCSR_##list##_MVE(K)
#elif DCSR_CORE_CLASS == DCSR_CLASS_ARMV7EM
#define DCSR_LIST_OF_THIS_CORE(list, K) DCSR_##list##_ARMV7EM(K)
#elif DCSR_CORE_CLASS == DCSR_CLASS_ARMV7M
#define DCSR_LIST_OF_THIS_CORE(list, K) DCSR_##list##_ARMV7M(K)
#else
#define DCSR_LIST_OF_THIS_CORE(list, K) DCSR_##list##_ARMV6M(K)
#endif

#define DCSR_CONV2D_POINTWISE_PARTS(kernel) DCSR_PARTS_OF(CONV2D_POINTWISE, kernel)
DCSR_LIST_OF_THIS_CORE(CONV2D_POINTWISE, DCSR_CONV2D_POINTWISE_PARTS)

#define DCSR_CONV2D_LARGER_PARTS(kernel) DCSR_PARTS_OF(CONV2D_LARGER, kernel)
DCSR_LIST_OF_THIS_CORE(CONV2D_LARGER, DCSR_CONV2D_LARGER_PARTS)

#define DCSR_CONV2D_INT16_PARTS(kernel) DCSR_PARTS_OF(CONV2D_INT16, kernel)
DCSR_LIST_OF_THIS_CORE(CONV2D_INT16, DCSR_CONV2D_INT16_PARTS)

#define DCSR_FULLY_CONNECTED_POINTWISE_PARTS(kernel) \
  DCSR_PARTS_OF(FULLY_CONNECTED_POINTWISE, kernel)
DCSR_LIST_OF_THIS_CORE(FULLY_CONNECTED_POINTWISE, DCSR_FULLY_CONNECTED_POINTWISE_PARTS)

#define DCSR_FULLY_CONNECTED_INT16_PARTS(kernel) DCSR_PARTS_OF(FULLY_CONNECTED_INT16, kernel)
DCSR_LIST_OF_THIS_CORE(FULLY_CONNECTED_INT16, DCSR_FULLY_CONNECTED_INT16_PARTS)

#define DCSR_DEPTHWISE_CONV2D_PARTS(kernel) DCSR_PARTS_OF(DEPTHWISE_CONV2D, kernel)
DCSR_LIST_OF_THIS_CORE(DEPTHWISE_CONV2D, DCSR_DEPTHWISE_CONV2D_PARTS)

#define DCSR_CONV2D_PLANES_PARTS(kernel) DCSR_PARTS_OF(CONV2D_PLANES, kernel)
DCSR_LIST_OF_THIS_CORE(CONV2D_PLANES, DCSR_CONV2D_PLANES_PARTS)

#define DCSR_DEPTHWISE_CONV2D_PLANES_PARTS(kernel) DCSR_PARTS_OF(DEPTHWISE_CONV2D_PLANES, kernel)
DCSR_LIST_OF_THIS_CORE(DEPTHWISE_CONV2D_PLANES, DCSR_DEPTHWISE_CONV2D_PLANES_PARTS)

namespace {

constexpr DcsrDecoders kNoDecoders = {
    {nullptr, nullptr, nullptr, nullptr, nullptr, nullptr}, nullptr, nullptr};
constexpr DcsrKernels kNoKernels = {nullptr, nullptr, nullptr, nullptr, nullptr, 0, &kNoDecoders};

}  // namespace

extern "C" constexpr dcsr::Op part_op = {dcsr::kConv2dName, kDcsrOpConv2d, &kNoKernels};

// The functions of an op, with their own rows and with shared ones.
extern "C" DCSR_NOINLINE dcsr::tflm::Registration part_ops() {
  return dcsr::tflm::RegistrationOf<part_op>();
}
extern "C" DCSR_NOINLINE dcsr::tflm::Registration part_shared_rows() {
  return dcsr::tflm::RegistrationWithSharedRowsOf<part_op>();
}
extern "C" const DcsrKernels part_longest_row = {nullptr,          nullptr, nullptr,     nullptr,
                                                 DCSR_LONGEST_ROW, 0,       &kNoDecoders};

// The adapter's messages.
void MicroPrintf(const char* format, ...) { static_cast<void>(format); }

int main() {
  const DcsrDecoders* volatile keep = &kDcsrAllDecoders;
  static_cast<void>(keep);
  return 0;
}
