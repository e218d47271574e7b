// The list of all encodings.

#include "tflm_kernels/packed_layer.h"

#define DCSR_DECODER(Name, name, number) [kDcsrEncoding##Name] = &kDcsr##Name##Decoder,

const DcsrDecoders kDcsrAllDecoders = {
    {DCSR_ALL_ENCODINGS(DCSR_DECODER)}, &kDcsrHuffmanDecoder, &kDcsrLayouts};
