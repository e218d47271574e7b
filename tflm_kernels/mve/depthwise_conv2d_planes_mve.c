// Depthwise convolution on planes with MVE (Cortex-M55, M85): any filter, stride, dilation and
// padding.
//
// Input:   planes, int8 (DcsrLayout).
// Output:  planes, int8.
// Scratch: shifted copies of a plane, addresses of taps (plan_depthwise_conv2d_planes_mve.h).
// Cycles:  docs/kernels.md#planes-with-mve.
//
// Computes one channel after the other, 24 pixels at a time: three vectors of the lower parts of
// sums and three of the upper ones, as in conv1x1_mve: sum = 256 * hi + lo. A tap of the filter is
// a multiplication of each vector by the weight.
//
// The plane is copied once for each column of the filter, shifted by it, with the input zero point
// outside of the map. In a copy all output pixels read a tap at the same distance from their own
// number. So the pixels of the output are one run, whatever the padding and the stride, which also
// divides the rows of a copy into phases. If the output is as large as the input, a copy is the
// plane, moved by some bytes, and pads are restored afterwards; else the pixels are gathered.
//
// After two taps the kernel computes `hi += lo >> 8; lo &= 255`. Their |weight| add up to 254 at
// most, so lo cannot overflow: 128 * 254 + 255 = 2^15 - 1. Rows with a weight of -128 are computed
// in C.
//
// depthwise_conv2d_words_mve takes most small filters before.

#include <string.h>

#include "tflm_kernels/common/compiler.h"
#include "tflm_kernels/common/conv_geometry.h"
#include "tflm_kernels/common/layout.h"
#include "tflm_kernels/common/requantize.h"
#include "tflm_kernels/mve/depthwise_channel_mve.h"
#include "tflm_kernels/mve/mve.h"
#include "tflm_kernels/planning/plan_depthwise_conv2d_planes_mve.h"
#include "tflm_kernels/planning/plan_requantize_plane_mve.h"

#if DCSR_HAS_MVE

#include <arm_mve.h>

enum { kLanes = kDcsrMveLanes };

// ----- Copies -----

// A layer and its scratch.
typedef struct {
  const DcsrLayer* layer;
  DcsrPlaneCopies copies;
  int32_t pixels;  // of the output
  int32_t input_pixels;
  int8_t* first;       // first pixel of the first copy
  int8_t* shifted[3];  // where the three columns of a filter move the plane to; NULL: others
  int32_t* offset;     // of each tap from `first`
  int32_t* weight;     // of each tap
  uint16_t* pad;       // places of the pads that are overwritten, in the copies
  uint32_t pads;
  uint16_t* source;  // places of all pixels of the copies in the plane; NULL: shifted
  DcsrPlaneChannel channel;
} Work;

// Copies `count` > 0 bytes.
static inline void copy_bytes(const int8_t* from, int8_t* to, int32_t count) {
  int8x16_t bytes;
  __asm__ volatile(
      "dlstp.8 lr, %[count]\n"
      ".p2align 2\n"
      "1:\n"
      "vldrb.8 %q[bytes], [%[from]], #16\n"
      "vstrb.8 %q[bytes], [%[to]], #16\n"
      "letp lr, 1b\n"
      : [bytes] "=&w"(bytes), [from] "+l"(from), [to] "+l"(to)
      : [count] "r"(count)
      : "lr", "memory");
}

// The same to three places.
static inline void copy_bytes3(const int8_t* from, int8_t* const places[3], int32_t count) {
  int8x16_t bytes;
  int8_t* to0 = places[0];
  int8_t* to1 = places[1];
  int8_t* to2 = places[2];
  __asm__ volatile(
      "dlstp.8 lr, %[count]\n"
      ".p2align 2\n"
      "1:\n"
      "vldrb.8 %q[bytes], [%[from]], #16\n"
      "vstrb.8 %q[bytes], [%[to0]], #16\n"
      "vstrb.8 %q[bytes], [%[to1]], #16\n"
      "vstrb.8 %q[bytes], [%[to2]], #16\n"
      "letp lr, 1b\n"
      : [bytes] "=&w"(bytes), [from] "+l"(from), [to0] "+l"(to0), [to1] "+l"(to1), [to2] "+l"(to2)
      : [count] "r"(count)
      : "lr", "memory");
}

// Copies `count` > 0 pixels from the places `source`.
static inline void gather_bytes(const int8_t* from, const uint16_t* source, int8_t* to,
                                uint32_t count) {
  uint16x8_t places;
  int16x8_t bytes;
  __asm__ volatile(
      "dlstp.16 lr, %[count]\n"
      ".p2align 2\n"
      "1:\n"
      "vldrh.u16 %q[places], [%[source]], #16\n"
      "vldrb.u16 %q[bytes], [%[from], %q[places]]\n"
      "vstrb.16 %q[bytes], [%[to]], #8\n"
      "letp lr, 1b\n"
      : [places] "=&w"(places), [bytes] "=&w"(bytes), [source] "+l"(source), [to] "+l"(to)
      : [count] "r"(count), [from] "r"(from)
      : "lr", "memory");
}

// Sets `count` bytes at the places `pad`.
static inline void set_pads(int8_t* copies, const uint16_t* pad, uint32_t count, int32_t value) {
  const int16x8_t values = vdupq_n_s16((int16_t)value);
  uint16x8_t places;
  __asm__ volatile(
      "wlstp.16 lr, %[count], 2f\n"
      ".p2align 2\n"
      "1:\n"
      "vldrh.u16 %q[places], [%[pad]], #16\n"
      "vstrb.16 %q[values], [%[copies], %q[places]]\n"
      "letp lr, 1b\n"
      "2:\n"
      : [places] "=&w"(places), [pad] "+l"(pad)
      : [count] "r"(count), [copies] "r"(copies), [values] "w"(values)
      : "lr", "memory");
}

// Returns the place of the first pixel of the map in copy `k`, if it were not shifted.
static inline int8_t* shifted_copy(const Work* work, uint32_t k) {
  return work->first + k * work->copies.bytes + work->copies.top * work->copies.width;
}

// Fills the copies of a plane. A shifted copy overwrites pads with what leaves its row.
static void fill_copies(const Work* work, const int8_t* plane) {
  const DcsrLayer* layer = work->layer;
  int8_t* const copies = work->first - work->copies.guard;
  if (work->source != NULL) {
    gather_bytes(plane, work->source, copies, work->copies.count * work->copies.bytes);
  } else if (work->shifted[0] != NULL) {
    copy_bytes3(plane, work->shifted, work->input_pixels);
  } else {
    for (uint32_t k = 0; k < layer->filter_w; ++k) {
      const int32_t shift = dcsr_plane_shift(layer, &work->copies, k);
      if (!dcsr_plane_is_in_reach(&work->copies, shift)) continue;
      copy_bytes(plane, shifted_copy(work, k) - shift, work->input_pixels);
    }
  }
  set_pads(copies, work->pad, work->pads, layer->input_zero_point);
}

// Lists the pads that shifted copies overwrite: the columns on one side, in one more row than the
// map has.
static void list_shifted_pads(const DcsrLayer* layer, const DcsrConvShape* shape, Work* work) {
  const DcsrPlaneCopies* copies = &work->copies;
  uint16_t* pad = work->pad;
  for (uint32_t k = 0; k < layer->filter_w; ++k) {
    const int32_t shift = dcsr_plane_shift(layer, copies, k);
    if (!dcsr_plane_is_in_reach(copies, shift)) continue;
    const int32_t columns = shift < 0 ? -shift : shift;
    int32_t place = (int32_t)(k * copies->bytes + copies->guard) + copies->top * copies->width;
    if (shift > 0) place -= shift;
    for (int32_t y = 0; y <= shape->input_height; ++y, place += copies->width) {
      for (int32_t x = 0; x < columns; ++x) *pad++ = (uint16_t)(place + x);
    }
  }
}

// Lists where each pixel of the copies is in the plane, and the pads.
static void list_sources(const DcsrLayer* layer, const DcsrConvShape* shape, Work* work) {
  const DcsrPlaneCopies* copies = &work->copies;
  uint16_t* pad = work->pad;
  uint16_t* source = work->source;
  for (uint32_t k = 0; k < layer->filter_w; ++k) {
    const int32_t shift = dcsr_plane_shift(layer, copies, k);
    for (uint32_t row = 0; row < copies->phases * copies->rows; ++row) {
      const int32_t y =
          (int32_t)(row % copies->rows * layer->stride_h + row / copies->rows) - copies->top;
      const bool is_inside = y >= 0 && y < shape->input_height;
      int32_t column = shift;
      for (int32_t x = 0; x < shape->output_width; ++x, column += (int32_t)layer->stride_w) {
        const bool is_pad = !is_inside || column < 0 || column >= copies->width;
        if (is_pad) *pad++ = (uint16_t)(source - work->source);
        *source++ = (uint16_t)(is_pad ? 0 : y * copies->width + column);
      }
    }
  }
}

static void list_taps(const DcsrLayer* layer, const DcsrConvShape* shape, Work* work) {
  int32_t* offset = work->offset;
  for (uint32_t y = 0; y < layer->filter_h; ++y) {
    const uint32_t row = y * layer->dilation_h;
    const uint32_t place = row % layer->stride_h * work->copies.rows + row / layer->stride_h;
    for (uint32_t x = 0; x < layer->filter_w; ++x) {
      *offset++ = (int32_t)(x * work->copies.bytes + place * (uint32_t)shape->output_width);
    }
  }
  *offset = 0;
}

// ----- Channels -----

// Computes a row with any weights and any requantization.
DCSR_NOINLINE static void run_slow_row(const Work* work, uint32_t row, int8_t* output) {
  const DcsrLayer* layer = work->layer;
  const int8_t* const weights = layer->values + (size_t)row * layer->cols;
  const DcsrRowTail tail = dcsr_row_tail(layer, row);
  for (int32_t p = 0; p < work->pixels; ++p) {
    uint32_t acc = (uint32_t)tail.bias;
    for (uint32_t t = 0; t < layer->cols; ++t) {
      acc += (uint32_t)(weights[t] * work->first[work->offset[t] + p]);
    }
    output[p] = dcsr_requantize_by(layer, tail.multiplier, tail.shift, acc);
  }
}

// Writes the weights of a row to work->weight. Returns the code that multiplies them, or NULL if
// one is -128.
static DcsrRunPlaneChannel* load_pairs(const Work* work, const int8_t* weights) {
  int32_t* out = work->weight;
  int32x4_t lowest = vdupq_n_s32(0);
  for (int32_t left = (int32_t)work->layer->cols; left > 0; left -= 4) {
    const int32x4_t four = vldrbq_z_s32(weights, vctp32q((uint32_t)left));
    vst1q_s32(out, four);
    lowest = vminq_s32(lowest, four);
    weights += 4;
    out += 4;
  }
  work->weight[work->layer->cols] = 0;
  if (vminvq_s32(0, lowest) == INT8_MIN) return NULL;
  return work->pixels < kDcsrPlaneStep ? dcsr_depthwise_planes_mve_pairs8
                                       : dcsr_depthwise_planes_mve_pairs24;
}

// Computes the outputs of a channel from the copies of its plane.
static void run_channel(Work* work, uint32_t row, int8_t* output) {
  const DcsrLayer* layer = work->layer;
  const int8_t* weights = layer->values + (size_t)row * layer->cols;
  const DcsrRowTail tail = dcsr_fast_row_tail(layer, row);
  DcsrRunPlaneChannel* const run = load_pairs(work, weights);
  if (run == NULL || !dcsr_depthwise_mve_requantizes(layer, &tail)) {
    run_slow_row(work, row, output);
    return;
  }
  work->channel.output = output;
  work->channel.multiplier = tail.multiplier;
  work->channel.factor = dcsr_shift_factor(tail.shift);
  work->channel.bias_low = tail.bias & 0xFF;
  work->channel.bias_high = tail.bias >> 8;
  run(&work->channel);
}

// Sets what all channels share.
static void set_channel(const DcsrLayer* layer, Work* work) {
  DcsrPlaneChannel* channel = &work->channel;
  const int32_t step = work->pixels < kDcsrPlaneStep ? kLanes : kDcsrPlaneStep;
  const int32_t rest = work->pixels % step;
  channel->copies = work->first;
  channel->steps = (uint32_t)(work->pixels / step);
  channel->back = rest == 0 ? 0 : rest - step;
  channel->zero_point = layer->output_zero_point;
  channel->offset = work->offset;
  channel->weight = work->weight;
  channel->pairs = layer->cols / 2;
  channel->max = layer->activation_max;
  channel->min = layer->activation_min;
}

DCSR_NOINLINE static void begin(const DcsrLayer* layer, const DcsrConvShape* shape, void* scratch,
                                Work* work) {
  const size_t words = dcsr_planes_words(layer->cols);
  work->layer = layer;
  work->copies = dcsr_plane_copies(layer, shape);
  const DcsrPlaneCopies* copies = &work->copies;
  work->pixels = shape->output_height * shape->output_width;
  work->input_pixels = shape->input_height * shape->input_width;
  work->offset = (int32_t*)scratch;
  work->weight = work->offset + words;
  work->pad = (uint16_t*)(work->weight + words);
  work->pads = dcsr_plane_pads(layer, shape, copies);
  uint16_t* const end = work->pad + dcsr_plane_vectors(work->pads);
  work->source = copies->is_shifted ? NULL : end;
  int8_t* const memory = (int8_t*)(end + dcsr_plane_sources(copies));
  work->first = memory + copies->guard;
  memset(memory, layer->input_zero_point, (size_t)copies->bytes * copies->count);
  list_taps(layer, shape, work);
  if (copies->is_shifted) {
    list_shifted_pads(layer, shape, work);
  } else {
    list_sources(layer, shape, work);
  }
  work->shifted[0] = NULL;
  const int32_t last = dcsr_plane_shift(layer, copies, layer->filter_w - 1);
  if (layer->filter_w == 3 && dcsr_plane_is_in_reach(copies, last) &&
      dcsr_plane_is_in_reach(copies, copies->left)) {
    for (uint32_t k = 0; k < 3; ++k) {
      work->shifted[k] = shifted_copy(work, k) - dcsr_plane_shift(layer, copies, k);
    }
  }
  set_channel(layer, work);
}

void dcsr_depthwise_conv2d_planes_mve(const DcsrPlan* plan, const DcsrLayer* layer,
                                      const DcsrConvShape* shape, const void* input_data,
                                      void* output_data, void* scratch) {
  (void)plan;
  const int8_t* input = (const int8_t*)input_data;
  int8_t* output = (int8_t*)output_data;
  const size_t input_bytes = dcsr_input_steps(layer, shape).channel;
  const size_t output_bytes = dcsr_output_steps(layer, shape).channel;
  Work work;
  begin(layer, shape, scratch, &work);
  for (uint32_t row = 0; row < layer->rows; ++row) {
    fill_copies(&work, input);
    run_channel(&work, row, output);
    input += input_bytes;
    output += output_bytes;
  }
}

#endif  // DCSR_HAS_MVE
