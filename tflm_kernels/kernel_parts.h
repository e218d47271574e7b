// Parts of kernels, to make tables of those that one model needs (`compress --cc` does).
//
//   static const DcsrKernel kPointwise[] = {
//       DCSR_PART(conv1x1_smlal, rice),
//       DCSR_HUFFMAN_PART(conv1x1_smlal, rice),  // the same encoding with Huffman-coded values
//       DCSR_END_OF_PARTS,
//   };
//   static const DcsrDecoders kDecoders = {{NULL, NULL, NULL, NULL, &kDcsrRiceDecoder, NULL},
//                                          &kDcsrHuffmanDecoder, NULL};
//   static const DcsrKernels kKernels = {kPointwise, NULL, NULL, NULL,
//                                        DCSR_LONGEST_ROW, DCSR_SCRATCH_BUDGET_OF_THIS_CORE,
//                                        &kDecoders};
//
// Kernels stand in the order of planning/kernel_lists.h. A table whose `larger` list has
// conv2d_im2col has every kernel of its class in `pointwise`, at least as DCSR_PLANNED(), because
// conv2d_im2col plans with them.

#ifndef DCSR_TFLM_KERNELS_KERNEL_PARTS_H_
#define DCSR_TFLM_KERNELS_KERNEL_PARTS_H_

#include "tflm_kernels/common/compiler.h"
#include "tflm_kernels/kernels.h"
#include "tflm_kernels/mve/mve.h"
#include "tflm_kernels/planning/kernel_lists.h"
#include "tflm_kernels/planning/planners.h"
#include "tflm_kernels/reference/reference.h"
#include "tflm_kernels/scalar/scalar.h"

// An entry of a list: a kernel for one encoding with plain values. `coding` is dense, dcsr4, dcsr8,
// rle, offset8, rice or bitmap.
#define DCSR_PART(kernel, coding) \
  {dcsr_plan_##kernel, DCSR_RUN_##kernel(coding), kDcsrKernel_##kernel, DCSR_CODING_##coding}

// The same with Huffman-coded values.
#define DCSR_HUFFMAN_PART(kernel, coding)                                \
  {dcsr_plan_##kernel, DCSR_RUN_##kernel(huffman), kDcsrKernel_##kernel, \
   DCSR_CODING_##coding << kDcsrHuffmanCodings}

// A kernel that is not linked.
#define DCSR_PLANNED(kernel) \
  {dcsr_plan_##kernel, dcsr_not_linked, kDcsrKernel_##kernel, kDcsrAnyCoding}

#define DCSR_END_OF_PARTS {NULL, NULL, 0, 0}

#define DCSR_CODING_dense kDcsrCodingDense
#define DCSR_CODING_dcsr4 kDcsrCodingDcsr4
#define DCSR_CODING_dcsr8 kDcsrCodingDcsr8
#define DCSR_CODING_rle kDcsrCodingRle
#define DCSR_CODING_offset8 kDcsrCodingOffset8
#define DCSR_CODING_rice kDcsrCodingRice
#define DCSR_CODING_bitmap kDcsrCodingBitmap

// The function of a kernel for a coding. Most kernels have one for all.
#define DCSR_RUN_conv1x1_c(coding) dcsr_conv1x1_c
#define DCSR_RUN_conv1x1_gather_mve(coding) dcsr_conv1x1_gather_mve
#define DCSR_RUN_conv1x1_mve(coding) DCSR_CONV1X1_MVE_##coding
#define DCSR_RUN_conv1x1_planes_mve(coding) DCSR_CONV1X1_PLANES_MVE_##coding
#define DCSR_RUN_conv1x1_ref(coding) dcsr_conv1x1_ref
#define DCSR_RUN_conv1x1_smlal(coding) DCSR_CONV1X1_SMLAL_##coding
#define DCSR_RUN_conv2d_dense_dsp(coding) dcsr_conv2d_dense_dsp
#define DCSR_RUN_conv2d_dense_mve(coding) dcsr_conv2d_dense_mve
#define DCSR_RUN_conv2d_dense_planes_mve(coding) dcsr_conv2d_dense_planes_mve
#define DCSR_RUN_conv2d_im2col(coding) dcsr_conv2d_im2col
#define DCSR_RUN_conv2d_int16_c(coding) dcsr_conv2d_int16_c
#define DCSR_RUN_conv2d_int16_ref(coding) dcsr_conv2d_int16_ref
#define DCSR_RUN_conv2d_ref(coding) dcsr_conv2d_ref
#define DCSR_RUN_depthwise_conv2d_dense_dsp(coding) dcsr_depthwise_conv2d_dense_dsp
#define DCSR_RUN_depthwise_conv2d_dense_mve(coding) dcsr_depthwise_conv2d_dense_mve
#define DCSR_RUN_depthwise_conv2d_planes_dsp(coding) dcsr_depthwise_conv2d_planes_dsp
#define DCSR_RUN_depthwise_conv2d_planes_mve(coding) dcsr_depthwise_conv2d_planes_mve
#define DCSR_RUN_depthwise_conv2d_ref(coding) dcsr_depthwise_conv2d_ref
#define DCSR_RUN_depthwise_conv2d_words_mve(coding) dcsr_depthwise_conv2d_words_mve
#define DCSR_RUN_fully_connected_c(coding) dcsr_fully_connected_c
#define DCSR_RUN_fully_connected_dcsr_mve(coding) dcsr_fully_connected_dcsr_mve
#define DCSR_RUN_fully_connected_gather_mve(coding) dcsr_conv1x1_gather_mve
#define DCSR_RUN_fully_connected_int16_c(coding) dcsr_fully_connected_int16_c
#define DCSR_RUN_fully_connected_offset8_mve(coding) dcsr_fully_connected_offset8_mve
#define DCSR_RUN_fully_connected_ref(coding) dcsr_fully_connected_ref

#define DCSR_CONV1X1_MVE_dense dcsr_conv1x1_mve_groups
#define DCSR_CONV1X1_MVE_dcsr4 dcsr_conv1x1_mve_nibbles
#define DCSR_CONV1X1_MVE_dcsr8 dcsr_conv1x1_mve_bytes
#define DCSR_CONV1X1_MVE_rle dcsr_conv1x1_mve_groups
#define DCSR_CONV1X1_MVE_offset8 dcsr_conv1x1_mve_offset8
#define DCSR_CONV1X1_MVE_rice dcsr_conv1x1_mve_ones
#define DCSR_CONV1X1_MVE_bitmap dcsr_conv1x1_mve_ones
#define DCSR_CONV1X1_MVE_huffman dcsr_conv1x1_mve_groups

#define DCSR_CONV1X1_PLANES_MVE_dense dcsr_conv1x1_planes_mve_groups
#define DCSR_CONV1X1_PLANES_MVE_dcsr4 dcsr_conv1x1_planes_mve_nibbles
#define DCSR_CONV1X1_PLANES_MVE_dcsr8 dcsr_conv1x1_planes_mve_bytes
#define DCSR_CONV1X1_PLANES_MVE_rle dcsr_conv1x1_planes_mve_groups
#define DCSR_CONV1X1_PLANES_MVE_offset8 dcsr_conv1x1_planes_mve_offset8
#define DCSR_CONV1X1_PLANES_MVE_rice dcsr_conv1x1_planes_mve_ones
#define DCSR_CONV1X1_PLANES_MVE_bitmap dcsr_conv1x1_planes_mve_ones
#define DCSR_CONV1X1_PLANES_MVE_huffman dcsr_conv1x1_planes_mve_groups

#define DCSR_CONV1X1_SMLAL_dense dcsr_conv1x1_smlal_groups
#define DCSR_CONV1X1_SMLAL_dcsr4 dcsr_conv1x1_smlal_nibbles
#define DCSR_CONV1X1_SMLAL_dcsr8 dcsr_conv1x1_smlal_groups
#define DCSR_CONV1X1_SMLAL_rle dcsr_conv1x1_smlal_groups
#define DCSR_CONV1X1_SMLAL_offset8 dcsr_conv1x1_smlal_groups
#define DCSR_CONV1X1_SMLAL_rice dcsr_conv1x1_smlal_groups
#define DCSR_CONV1X1_SMLAL_bitmap dcsr_conv1x1_smlal_groups
#define DCSR_CONV1X1_SMLAL_huffman dcsr_conv1x1_smlal_groups

// The fields longest_row and scratch_budget of a table for the core of this build.
#if DCSR_CORE_CLASS == DCSR_CLASS_MVE
#define DCSR_LONGEST_ROW dcsr_longest_row_mve
#define DCSR_SCRATCH_BUDGET_OF_THIS_CORE DCSR_SCRATCH_BUDGET_MVE
#else
// The budgets of the other classes are equal.
#define DCSR_LONGEST_ROW NULL
#define DCSR_SCRATCH_BUDGET_OF_THIS_CORE DCSR_SCRATCH_BUDGET_ARMV7EM
#endif

#endif  // DCSR_TFLM_KERNELS_KERNEL_PARTS_H_
