// Division of the scratch of conv2d_dense_planes_mve, and the layers that it takes.
//
// Scratch: that of conv2d_dense_mve;
//          weights of four rows in the order of a transposed image, int8 [4][48];
//          the place of each of these in a row, uint8 [48].

#ifndef DCSR_TFLM_KERNELS_PLANNING_PLAN_CONV2D_DENSE_PLANES_MVE_H_
#define DCSR_TFLM_KERNELS_PLANNING_PLAN_CONV2D_DENSE_PLANES_MVE_H_

#include "tflm_kernels/planning/plan_conv2d_dense_mve.h"

enum { kDcsrDensePlanesOrderBytes = (kDcsrDenseMveRows + 1) * kDcsrDenseMveMostCols };

#endif  // DCSR_TFLM_KERNELS_PLANNING_PLAN_CONV2D_DENSE_PLANES_MVE_H_
