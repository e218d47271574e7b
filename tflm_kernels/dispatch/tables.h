// The kernel tables of every class of cores that this build can run. Each table has its own file,
// so a firmware links only the table of its core.

#ifndef DCSR_TFLM_KERNELS_DISPATCH_TABLES_H_
#define DCSR_TFLM_KERNELS_DISPATCH_TABLES_H_

#include "tflm_kernels/common/compiler.h"
#include "tflm_kernels/kernels.h"
#include "tflm_kernels/planning/kernel_lists.h"
#include "tflm_kernels/planning/planners.h"

#ifdef __cplusplus
extern "C" {
#endif

extern const DcsrKernels kDcsrConv2dReference;
extern const DcsrKernels kDcsrConv2dArmv6m;
extern const DcsrKernels kDcsrConv2dArmv7m;
extern const DcsrKernels kDcsrConv2dArmv7em;
extern const DcsrKernels kDcsrFullyConnectedReference;
extern const DcsrKernels kDcsrFullyConnectedArmv6m;
extern const DcsrKernels kDcsrFullyConnectedArmv7m;
extern const DcsrKernels kDcsrFullyConnectedArmv7em;
extern const DcsrKernels kDcsrDepthwiseConv2dReference;
extern const DcsrKernels kDcsrDepthwiseConv2dArmv6m;
extern const DcsrKernels kDcsrDepthwiseConv2dArmv7m;
extern const DcsrKernels kDcsrDepthwiseConv2dArmv7em;
#if DCSR_HAS_MVE
extern const DcsrKernels kDcsrConv2dMve;
extern const DcsrKernels kDcsrFullyConnectedMve;
extern const DcsrKernels kDcsrDepthwiseConv2dMve;
#endif

#ifdef __cplusplus
}
#endif

// Expands to the table entry of a kernel (kernel_lists.h).
#define DCSR_KERNEL_ENTRY(name) {dcsr_plan_##name, dcsr_##name, kDcsrKernel_##name, kDcsrAnyCoding},

// The table of an operator, Conv2d, FullyConnected or DepthwiseConv2d, for the core that this build
// is for.
#if DCSR_CORE_CLASS == DCSR_CLASS_MVE
#define DCSR_TABLE_OF_THIS_CORE(op) kDcsr##op##Mve
#elif DCSR_CORE_CLASS == DCSR_CLASS_ARMV7EM
#define DCSR_TABLE_OF_THIS_CORE(op) kDcsr##op##Armv7em
#elif DCSR_CORE_CLASS == DCSR_CLASS_ARMV7M
#define DCSR_TABLE_OF_THIS_CORE(op) kDcsr##op##Armv7m
#elif DCSR_CORE_CLASS == DCSR_CLASS_ARMV6M
#define DCSR_TABLE_OF_THIS_CORE(op) kDcsr##op##Armv6m
#else
#define DCSR_TABLE_OF_THIS_CORE(op) kDcsr##op##Reference
#endif

#endif  // DCSR_TFLM_KERNELS_DISPATCH_TABLES_H_
