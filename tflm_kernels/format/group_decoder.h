// dcsr_next_group() of row_reader.h, faster and not inline: for kernels that decode.

#ifndef DCSR_TFLM_KERNELS_FORMAT_GROUP_DECODER_H_
#define DCSR_TFLM_KERNELS_FORMAT_GROUP_DECODER_H_

#include <stdbool.h>

#include "tflm_kernels/format/row_reader.h"
#include "tflm_kernels/packed_layer.h"

#ifdef __cplusplus
extern "C" {
#endif

// As dcsr_next_group(). Columns of lanes that there are not may be written.
bool dcsr_decode_group(DcsrRowReader* reader, DcsrGroup* group);

#ifdef __cplusplus
}
#endif

#endif  // DCSR_TFLM_KERNELS_FORMAT_GROUP_DECODER_H_
