// A table of layers. Every kernel is tested with all of them, on the host and on targets.
// make_case() (layers.h) makes their weights and activations.

#ifndef DCSR_TFLM_KERNELS_TESTING_CASES_H_
#define DCSR_TFLM_KERNELS_TESTING_CASES_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tflm_kernels/packed_layer.h"

#ifdef __cplusplus
extern "C" {
#endif

// Positions of the nonzeros.
typedef enum {
  kPatternRandom,        // each weight with probability nonzero_permille / 1000
  kPatternZero,          // no nonzeros
  kPatternEmptyAndFull,  // row 0 empty, 1 full, 2 random, 3 empty ...
  kPatternCounted,       // row r has r % 50 nonzeros: covers every partial group
  kPatternClustered,     // 24 at the start of the row, the others at its end
  kPatternFirstAndLast,  // the first column, or the last, or both
} CasePattern;

typedef enum {
  kValuesRandom,   // weights -127 .. 127, activations -128 .. 127
  kValuesExtreme,  // weights -128, -127, 127, activations -128, 127
  kValuesTiny,     // weights, and activations minus zero point, -1 .. 1
} CaseValues;

typedef enum {
  kBiasRandom,
  kBiasWraps,  // close to the ends of int32, so that sums wrap
  kBiasEnds,   // sums shifted left are within 128 of the ends and multipliers 2^31 - 1, so that
               // adding the zero point wraps; needs shifts >= 0 and tiny values
} CaseBias;

typedef struct {
  const char* name;
  DcsrOp op;
  uint32_t rows;
  uint32_t cols;
  int32_t batches;
  int32_t input_height;  // CONV_2D only, like the next three
  int32_t input_width;
  uint32_t stride_h;
  uint32_t stride_w;
  CasePattern pattern;
  uint32_t nonzero_permille;
  CaseValues values;
  CaseBias bias;
  int32_t input_zero_point;
  int32_t output_zero_point;
  int32_t activation_min;
  int32_t activation_max;
  bool per_row;
  int32_t shift_min;  // if shift_min and shift_max are 0, shifts spread the outputs over int8
  int32_t shift_max;
} DcsrCase;

extern const DcsrCase kDcsrCases[];
extern const size_t kDcsrCaseCount;

#ifdef __cplusplus
}
#endif

#endif  // DCSR_TFLM_KERNELS_TESTING_CASES_H_
