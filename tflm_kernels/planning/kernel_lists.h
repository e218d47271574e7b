// All kernels, and the kernels of each class of cores in the order in which they are tried. No
// other file lists them: dispatch/ turns these lists into tables with run functions, costs/ into
// tables of planners only.

#ifndef DCSR_TFLM_KERNELS_PLANNING_KERNEL_LISTS_H_
#define DCSR_TFLM_KERNELS_PLANNING_KERNEL_LISTS_H_

#define DCSR_ALL_KERNELS(K)      \
  K(conv1x1_c)                   \
  K(conv1x1_gather_mve)          \
  K(conv1x1_mve)                 \
  K(conv1x1_planes_mve)          \
  K(conv1x1_ref)                 \
  K(conv1x1_smlal)               \
  K(conv2d_dense_dsp)            \
  K(conv2d_dense_mve)            \
  K(conv2d_dense_planes_mve)     \
  K(conv2d_im2col)               \
  K(conv2d_int16_c)              \
  K(conv2d_int16_ref)            \
  K(conv2d_ref)                  \
  K(depthwise_conv2d_dense_dsp)  \
  K(depthwise_conv2d_dense_mve)  \
  K(depthwise_conv2d_planes_dsp) \
  K(depthwise_conv2d_planes_mve) \
  K(depthwise_conv2d_ref)        \
  K(depthwise_conv2d_words_mve)  \
  K(fully_connected_c)           \
  K(fully_connected_dcsr_mve)    \
  K(fully_connected_gather_mve)  \
  K(fully_connected_int16_c)     \
  K(fully_connected_offset8_mve) \
  K(fully_connected_ref)

#define DCSR_KERNEL_ID(name) kDcsrKernel_##name,
typedef enum { DCSR_ALL_KERNELS(DCSR_KERNEL_ID) kDcsrKernelCount } DcsrKernelId;
#undef DCSR_KERNEL_ID

// Any target: the portable kernels.
#define DCSR_CONV2D_POINTWISE_REFERENCE(K) K(conv1x1_ref)
#define DCSR_CONV2D_LARGER_REFERENCE(K) K(conv2d_ref)
#define DCSR_CONV2D_INT16_REFERENCE(K) K(conv2d_int16_ref)
#define DCSR_FULLY_CONNECTED_POINTWISE_REFERENCE(K) K(fully_connected_ref)
#define DCSR_FULLY_CONNECTED_INT16_REFERENCE(K) K(conv2d_int16_ref)
#define DCSR_DEPTHWISE_CONV2D_REFERENCE(K) K(depthwise_conv2d_ref)
#define DCSR_CONV2D_PLANES_REFERENCE(K) K(conv2d_ref)
#define DCSR_DEPTHWISE_CONV2D_PLANES_REFERENCE(K) K(depthwise_conv2d_ref)

// Cortex-M0, M0+ and M23: only a 32-bit multiplication.
#define DCSR_CONV2D_POINTWISE_ARMV6M(K) K(conv1x1_c) K(conv1x1_ref)
#define DCSR_CONV2D_LARGER_ARMV6M(K) K(conv2d_im2col) K(conv2d_ref)
#define DCSR_CONV2D_INT16_ARMV6M(K) K(conv2d_int16_c) K(conv2d_int16_ref)
#define DCSR_FULLY_CONNECTED_POINTWISE_ARMV6M(K) K(fully_connected_c) K(fully_connected_ref)
#define DCSR_FULLY_CONNECTED_INT16_ARMV6M(K) K(fully_connected_int16_c)
#define DCSR_DEPTHWISE_CONV2D_ARMV6M(K) K(depthwise_conv2d_ref)
#define DCSR_CONV2D_PLANES_ARMV6M(K) K(conv2d_ref)
#define DCSR_DEPTHWISE_CONV2D_PLANES_ARMV6M(K) K(depthwise_conv2d_ref)

// Cortex-M3, and any other core with SMLAL and LDRD but without the DSP extension.
#define DCSR_CONV2D_POINTWISE_ARMV7M(K) K(conv1x1_smlal) K(conv1x1_ref)
#define DCSR_CONV2D_LARGER_ARMV7M(K) DCSR_CONV2D_LARGER_ARMV6M(K)
#define DCSR_CONV2D_INT16_ARMV7M(K) DCSR_CONV2D_INT16_ARMV6M(K)
#define DCSR_FULLY_CONNECTED_POINTWISE_ARMV7M(K) DCSR_FULLY_CONNECTED_POINTWISE_ARMV6M(K)
#define DCSR_FULLY_CONNECTED_INT16_ARMV7M(K) DCSR_FULLY_CONNECTED_INT16_ARMV6M(K)
#define DCSR_DEPTHWISE_CONV2D_ARMV7M(K) K(depthwise_conv2d_ref)
#define DCSR_CONV2D_PLANES_ARMV7M(K) K(conv1x1_smlal) K(conv2d_ref)
#define DCSR_DEPTHWISE_CONV2D_PLANES_ARMV7M(K) K(depthwise_conv2d_ref)

// Cortex-M4, M7 and M33: also the DSP extension.
#define DCSR_CONV2D_POINTWISE_ARMV7EM(K) K(conv2d_dense_dsp) DCSR_CONV2D_POINTWISE_ARMV7M(K)
#define DCSR_CONV2D_LARGER_ARMV7EM(K) K(conv2d_dense_dsp) DCSR_CONV2D_LARGER_ARMV7M(K)
#define DCSR_CONV2D_INT16_ARMV7EM(K) DCSR_CONV2D_INT16_ARMV6M(K)
#define DCSR_FULLY_CONNECTED_POINTWISE_ARMV7EM(K) DCSR_FULLY_CONNECTED_POINTWISE_ARMV6M(K)
#define DCSR_FULLY_CONNECTED_INT16_ARMV7EM(K) DCSR_FULLY_CONNECTED_INT16_ARMV6M(K)
#define DCSR_DEPTHWISE_CONV2D_ARMV7EM(K) K(depthwise_conv2d_dense_dsp) K(depthwise_conv2d_ref)
#define DCSR_CONV2D_PLANES_ARMV7EM(K) K(conv2d_dense_dsp) DCSR_CONV2D_PLANES_ARMV7M(K)
#define DCSR_DEPTHWISE_CONV2D_PLANES_ARMV7EM(K) \
  K(depthwise_conv2d_planes_dsp) DCSR_DEPTHWISE_CONV2D_ARMV7EM(K)

// Cortex-M55 and M85: vectors.
#define DCSR_CONV2D_POINTWISE_MVE(K) \
  K(conv1x1_gather_mve) K(conv1x1_mve) K(conv1x1_smlal) K(conv1x1_ref)
#define DCSR_CONV2D_LARGER_MVE(K) K(conv2d_dense_mve) DCSR_CONV2D_LARGER_ARMV6M(K)
#define DCSR_CONV2D_INT16_MVE(K) DCSR_CONV2D_INT16_ARMV6M(K)
#define DCSR_FULLY_CONNECTED_POINTWISE_MVE(K) \
  K(fully_connected_offset8_mve) K(fully_connected_dcsr_mve) K(fully_connected_gather_mve)
#define DCSR_FULLY_CONNECTED_INT16_MVE(K) DCSR_FULLY_CONNECTED_INT16_ARMV6M(K)
#define DCSR_DEPTHWISE_CONV2D_MVE(K) \
  K(depthwise_conv2d_dense_mve) K(conv2d_dense_mve) K(depthwise_conv2d_ref)
#define DCSR_CONV2D_PLANES_MVE(K) K(conv1x1_planes_mve) K(conv2d_dense_planes_mve) K(conv2d_ref)
#define DCSR_DEPTHWISE_CONV2D_PLANES_MVE(K) \
  K(depthwise_conv2d_words_mve)             \
  K(depthwise_conv2d_planes_mve) K(conv2d_dense_planes_mve) K(depthwise_conv2d_ref)

// Bytes of scratch that a kernel may request if the packed layer has no budget. A build may define
// DCSR_SCRATCH_BUDGET, for all its files, to change the default of every class.
#ifdef DCSR_SCRATCH_BUDGET
#define DCSR_SCRATCH_BUDGET_REFERENCE DCSR_SCRATCH_BUDGET
#define DCSR_SCRATCH_BUDGET_ARMV6M DCSR_SCRATCH_BUDGET
#define DCSR_SCRATCH_BUDGET_ARMV7M DCSR_SCRATCH_BUDGET
#define DCSR_SCRATCH_BUDGET_ARMV7EM DCSR_SCRATCH_BUDGET
#define DCSR_SCRATCH_BUDGET_MVE DCSR_SCRATCH_BUDGET
#else
#define DCSR_SCRATCH_BUDGET_REFERENCE (32 * 1024)
#define DCSR_SCRATCH_BUDGET_ARMV6M (32 * 1024)
#define DCSR_SCRATCH_BUDGET_ARMV7M (32 * 1024)
#define DCSR_SCRATCH_BUDGET_ARMV7EM (32 * 1024)
#define DCSR_SCRATCH_BUDGET_MVE (48 * 1024)
#endif

// Defines the table `symbol` of a class for CONV_2D. K(name) expands to the entry of a kernel.
// `longest` is the field longest_row.
#define DCSR_DEFINE_CONV2D_KERNELS(symbol, CLASS, K, longest)                                   \
  static const DcsrKernel symbol##Pointwise[] = {                                               \
      DCSR_CONV2D_POINTWISE_##CLASS(K){NULL, NULL, 0, 0}};                                      \
  static const DcsrKernel symbol##Larger[] = {DCSR_CONV2D_LARGER_##CLASS(K){NULL, NULL, 0, 0}}; \
  static const DcsrKernel symbol##Int16[] = {DCSR_CONV2D_INT16_##CLASS(K){NULL, NULL, 0, 0}};   \
  static const DcsrKernel symbol##Planes[] = {DCSR_CONV2D_PLANES_##CLASS(K){NULL, NULL, 0, 0}}; \
  const DcsrKernels symbol = {symbol##Pointwise, symbol##Larger, symbol##Int16,                 \
                              symbol##Planes,    longest,        DCSR_SCRATCH_BUDGET_##CLASS,   \
                              &kDcsrAllDecoders}

// The same for FULLY_CONNECTED.
#define DCSR_DEFINE_FULLY_CONNECTED_KERNELS(symbol, CLASS, K, longest)                    \
  static const DcsrKernel symbol##Pointwise[] = {                                         \
      DCSR_FULLY_CONNECTED_POINTWISE_##CLASS(K){NULL, NULL, 0, 0}};                       \
  static const DcsrKernel symbol##Int16[] = {                                             \
      DCSR_FULLY_CONNECTED_INT16_##CLASS(K){NULL, NULL, 0, 0}};                           \
  const DcsrKernels symbol = {                                                            \
      symbol##Pointwise, NULL, symbol##Int16, NULL, longest, DCSR_SCRATCH_BUDGET_##CLASS, \
      &kDcsrAllDecoders}

// The same for DEPTHWISE_CONV_2D, whose kernels are tried for every filter.
#define DCSR_DEFINE_DEPTHWISE_CONV2D_KERNELS(symbol, CLASS, K, longest)                         \
  static const DcsrKernel symbol##All[] = {DCSR_DEPTHWISE_CONV2D_##CLASS(K){NULL, NULL, 0, 0}}; \
  static const DcsrKernel symbol##Planes[] = {                                                  \
      DCSR_DEPTHWISE_CONV2D_PLANES_##CLASS(K){NULL, NULL, 0, 0}};                               \
  const DcsrKernels symbol = {NULL,                                                             \
                              symbol##All,                                                      \
                              NULL,                                                             \
                              symbol##Planes,                                                   \
                              longest,                                                          \
                              DCSR_SCRATCH_BUDGET_##CLASS,                                      \
                              &kDcsrAllDecoders}

#endif  // DCSR_TFLM_KERNELS_PLANNING_KERNEL_LISTS_H_
