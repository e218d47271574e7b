// A faster version of dcsr_next_group() (row_reader.h) for kernels that decode. Not inline.

#ifndef DCSR_TFLM_KERNELS_FORMAT_GROUP_DECODER_H_
#define DCSR_TFLM_KERNELS_FORMAT_GROUP_DECODER_H_

#include <stdbool.h>

#include "tflm_kernels/format/row_reader.h"
#include "tflm_kernels/packed_layer.h"

#ifdef __cplusplus
extern "C" {
#endif

// Same contract as dcsr_next_group(), but may also write columns of lanes beyond group->lanes.
bool dcsr_decode_group(DcsrRowReader* reader, DcsrGroup* group);

#ifdef __cplusplus
}
#endif

#endif  // DCSR_TFLM_KERNELS_FORMAT_GROUP_DECODER_H_
