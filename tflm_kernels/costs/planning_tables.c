// The kernel tables of all classes of cores, without run functions: a host plans with them for
// every core.

#include "tflm_kernels/costs/costs.h"
#include "tflm_kernels/planning/kernel_lists.h"
#include "tflm_kernels/planning/planners.h"

#define DCSR_PLANNER_ENTRY(name) {dcsr_plan_##name, NULL, kDcsrKernel_##name, kDcsrAnyCoding},

DCSR_DEFINE_CONV2D_KERNELS(kConv2dReference, REFERENCE, DCSR_PLANNER_ENTRY, NULL);
DCSR_DEFINE_CONV2D_KERNELS(kConv2dArmv6m, ARMV6M, DCSR_PLANNER_ENTRY, NULL);
DCSR_DEFINE_CONV2D_KERNELS(kConv2dArmv7m, ARMV7M, DCSR_PLANNER_ENTRY, NULL);
DCSR_DEFINE_CONV2D_KERNELS(kConv2dArmv7em, ARMV7EM, DCSR_PLANNER_ENTRY, NULL);
DCSR_DEFINE_CONV2D_KERNELS(kConv2dMve, MVE, DCSR_PLANNER_ENTRY, NULL);
DCSR_DEFINE_FULLY_CONNECTED_KERNELS(kFullyConnectedReference, REFERENCE, DCSR_PLANNER_ENTRY, NULL);
DCSR_DEFINE_FULLY_CONNECTED_KERNELS(kFullyConnectedArmv6m, ARMV6M, DCSR_PLANNER_ENTRY, NULL);
DCSR_DEFINE_FULLY_CONNECTED_KERNELS(kFullyConnectedArmv7m, ARMV7M, DCSR_PLANNER_ENTRY, NULL);
DCSR_DEFINE_FULLY_CONNECTED_KERNELS(kFullyConnectedArmv7em, ARMV7EM, DCSR_PLANNER_ENTRY, NULL);
DCSR_DEFINE_FULLY_CONNECTED_KERNELS(kFullyConnectedMve, MVE, DCSR_PLANNER_ENTRY, NULL);
DCSR_DEFINE_DEPTHWISE_CONV2D_KERNELS(kDepthwiseReference, REFERENCE, DCSR_PLANNER_ENTRY, NULL);
DCSR_DEFINE_DEPTHWISE_CONV2D_KERNELS(kDepthwiseArmv6m, ARMV6M, DCSR_PLANNER_ENTRY, NULL);
DCSR_DEFINE_DEPTHWISE_CONV2D_KERNELS(kDepthwiseArmv7m, ARMV7M, DCSR_PLANNER_ENTRY, NULL);
DCSR_DEFINE_DEPTHWISE_CONV2D_KERNELS(kDepthwiseArmv7em, ARMV7EM, DCSR_PLANNER_ENTRY, NULL);
DCSR_DEFINE_DEPTHWISE_CONV2D_KERNELS(kDepthwiseMve, MVE, DCSR_PLANNER_ENTRY, NULL);

// The operators in the order of DcsrOp, whose first number is 1.
static const DcsrKernels* const kTables[][kDcsrClassCount] = {
    {&kConv2dReference, &kConv2dArmv6m, &kConv2dArmv7m, &kConv2dArmv7em, &kConv2dMve},
    {&kFullyConnectedReference, &kFullyConnectedArmv6m, &kFullyConnectedArmv7m,
     &kFullyConnectedArmv7em, &kFullyConnectedMve},
    {&kDepthwiseReference, &kDepthwiseArmv6m, &kDepthwiseArmv7m, &kDepthwiseArmv7em,
     &kDepthwiseMve},
};

const DcsrKernels* dcsr_planning_table(DcsrOp op, DcsrCoreClass core_class) {
  return kTables[op - kDcsrOpConv2d][core_class];
}
