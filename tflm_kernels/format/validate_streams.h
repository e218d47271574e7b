// Validates the streams of a packed layer: positions and values.

#ifndef DCSR_TFLM_KERNELS_FORMAT_VALIDATE_STREAMS_H_
#define DCSR_TFLM_KERNELS_FORMAT_VALIDATE_STREAMS_H_

#include "tflm_kernels/packed_layer.h"

#ifdef __cplusplus
extern "C" {
#endif

// Checks that every column lies in its row, that columns increase where the encoding asks for it,
// and that no stream runs out or has a whole byte left over. Row lengths are valid, and so is the
// code of the values. Returns kDcsrOk, kDcsrErrorIndex or kDcsrErrorValues.
DcsrStatus dcsr_validate_streams(const DcsrLayer* layer);

#ifdef __cplusplus
}
#endif

#endif  // DCSR_TFLM_KERNELS_FORMAT_VALIDATE_STREAMS_H_
