// The inner loops of depthwise_conv2d_planes_dsp: strips of two columns of the output of a channel.

#ifndef DCSR_TFLM_KERNELS_SCALAR_DEPTHWISE_COLUMNS_DSP_H_
#define DCSR_TFLM_KERNELS_SCALAR_DEPTHWISE_COLUMNS_DSP_H_

#include <stdint.h>

// The values that the loops need for a channel, in the order in which they load them. Words of
// weights are of two taps, doubled. `start`, `end` and `last` are positions of the input.
typedef struct {
  uint32_t last_outer;   // taps 0 and 2 of the last row of the filter
  uint32_t last_center;  // tap 1 of it
  int32_t multiplier;
  int32_t offset;
  int32_t right;
  intptr_t delta;  // from the pixels of a row to the outputs of the row before; stride 2: address
                   // of the outputs, moved by the loops
  uint32_t middle_outer;  // taps 0 and 2 of the middle row
  uint32_t first_outer;   // of the first row
  uint32_t centers;       // tap 1 of the first and of the middle row
  uint32_t sum;           // twice the bias
  uintptr_t pitch;        // bytes between rows
  const int8_t* end;      // of the strip, behind its last row; moved by the loops
  const int8_t* start;    // of the strip; moved by the loops
  const int8_t* last;     // behind the start of the last strip
  uint32_t top;           // `sum` with the padding above the map
  uint32_t bottom;        // the padding below it, for the last row
  // Only for stride 2:
  uintptr_t output_pitch;  // bytes between rows
  int8_t* output;          // of the strip; moved by the loops
  uint32_t has_top;        // whether there is padding above the map
} DcsrDepthwiseColumns;

// Computes strips from columns->start to columns->last, each two columns of the output behind the
// one before. A strip reads four pixels of each row, with stride 2 six, of which it uses five. It
// writes two outputs. The functions for clamped outputs are for rows without scale.halves
// (row_scale.h).
typedef void DcsrDepthwiseColumnsRun(DcsrDepthwiseColumns* columns);

DcsrDepthwiseColumnsRun dcsr_depthwise_columns_clamped;
DcsrDepthwiseColumnsRun dcsr_depthwise_columns_halves;
DcsrDepthwiseColumnsRun dcsr_depthwise_columns_stride_2_clamped;
DcsrDepthwiseColumnsRun dcsr_depthwise_columns_stride_2_halves;

#endif  // DCSR_TFLM_KERNELS_SCALAR_DEPTHWISE_COLUMNS_DSP_H_
