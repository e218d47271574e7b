// Requantizes four rows at a time on cores with MVE, with the results of dcsr_requantize().
// docs/format.md#arithmetic.

#ifndef DCSR_TFLM_KERNELS_MVE_REQUANTIZE_MVE_H_
#define DCSR_TFLM_KERNELS_MVE_REQUANTIZE_MVE_H_

#include <stdint.h>

#include "tflm_kernels/packed_layer.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { kDcsrMostRequantizedRows = 16 };

// Writes the outputs of `count` rows from `row` on, 0 < count <= kDcsrMostRequantizedRows, for
// `pixels` > 0 pixels. `sums` is [rows][pixels] without bias, and has room for `count` rounded up
// to 4. `output` points to the output of the first row and pixel; pixels are layer->rows apart.
void dcsr_requantize_rows_mve(const DcsrLayer* layer, uint32_t row, uint32_t count,
                              const int32_t* sums, uint32_t pixels, int8_t* output);

#ifdef __cplusplus
}
#endif

#endif  // DCSR_TFLM_KERNELS_MVE_REQUANTIZE_MVE_H_
