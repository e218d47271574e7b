// 1x1 convolution on planes with MVE (Cortex-M55, M85), any encoding, stride 1.
//
// Input:   planes, or NHWC of one image, also transposed, int8 (DcsrLayout).
// Output:  the same; input or output are planes.
// Scratch: as conv1x1_mve (plan_conv1x1_mve.h).
// Cycles:  docs/kernels.md#planes-with-mve.
//
// Runs the row lists of conv1x1_mve on blocks of pixels, in the order in which the output lies in
// memory. A block of planes is copied, or gathered for a transposed output; a block of NHWC is
// transposed as in conv1x1_mve.

#include <string.h>

#include "tflm_kernels/common/compiler.h"
#include "tflm_kernels/common/layout.h"
#include "tflm_kernels/common/pixels.h"
#include "tflm_kernels/mve/conv1x1_mve.h"
#include "tflm_kernels/mve/mve.h"
#include "tflm_kernels/planning/plan_conv1x1_mve.h"

#if DCSR_HAS_MVE
#include <arm_mve.h>
#endif

enum { kLanes = kDcsrMveLanes, kBlockPixels = kDcsrMveBlockPixels };

#if DCSR_HAS_MVE
// Copies 32, 16 or 8 contiguous bytes of each of `cols` planes, which are `step` apart, to rows of
// x, which are `pitch` apart.
static inline void copy_32(const int8_t* plane, uint32_t step, uint32_t cols, int8_t* x) {
  int8x16_t low;
  int8x16_t high;
  __asm__ volatile(
      "dls lr, %[cols]\n"
      ".p2align 2\n"
      "1:\n"
      "vldrb.8 %q[low], [%[plane]]\n"
      "vldrb.8 %q[high], [%[plane], #16]\n"
      "vstrb.8 %q[low], [%[x]], #16\n"
      "add %[plane], %[plane], %[step]\n"
      "vstrb.8 %q[high], [%[x]], #16\n"
      "le lr, 1b\n"
      : [low] "=&w"(low), [high] "=&w"(high), [plane] "+l"(plane), [x] "+l"(x)
      : [cols] "r"(cols), [step] "r"(step)
      : "lr", "memory");
}

#define DCSR_COPY(load, store)                                 \
  __asm__ volatile(                                            \
      "dls lr, %[cols]\n"                                      \
      ".p2align 2\n"                                           \
      "1:\n" load                                              \
      " %q[bytes], [%[plane]]\n"                               \
      "add %[plane], %[plane], %[step]\n" store                \
      " %q[bytes], [%[x]]\n"                                   \
      "add %[x], %[x], %[pitch]\n"                             \
      "le lr, 1b\n"                                            \
      : [bytes] "=&w"(bytes), [plane] "+l"(plane), [x] "+l"(x) \
      : [cols] "r"(cols), [step] "r"(step), [pitch] "r"(pitch) \
      : "lr", "memory")

static inline void copy_16(const int8_t* plane, uint32_t step, uint32_t cols, size_t pitch,
                           int8_t* x) {
  int8x16_t bytes;
  DCSR_COPY("vldrb.8", "vstrb.8");
}

static inline void copy_8(const int8_t* plane, uint32_t step, uint32_t cols, size_t pitch,
                          int8_t* x) {
  int16x8_t bytes;
  DCSR_COPY("vldrb.u16", "vstrb.16");
}

// The same with 8 bytes at `offsets`.
static inline void gather_8(const int8_t* plane, uint16x8_t offsets, uint32_t step, uint32_t cols,
                            size_t pitch, int8_t* x) {
  int16x8_t bytes;
  __asm__ volatile(
      "dls lr, %[cols]\n"
      ".p2align 2\n"
      "1:\n"
      "vldrb.u16 %q[bytes], [%[plane], %q[offsets]]\n"
      "add %[plane], %[plane], %[step]\n"
      "vstrb.16 %q[bytes], [%[x]]\n"
      "add %[x], %[x], %[pitch]\n"
      "le lr, 1b\n"
      : [bytes] "=&w"(bytes), [plane] "+r"(plane), [x] "+l"(x)
      : [offsets] "w"(offsets), [cols] "r"(cols), [step] "r"(step), [pitch] "r"(pitch)
      : "lr", "memory");
}

// The same with 32 bytes. The rows of x are contiguous.
static inline void gather_32(const int8_t* plane, const uint16_t offsets[32], uint32_t step,
                             uint32_t cols, int8_t* x) {
  int16x8_t even;
  int16x8_t odd;
  __asm__ volatile(
      "dls lr, %[cols]\n"
      ".p2align 2\n"
      "1:\n"
      "vldrb.u16 %q[even], [%[plane], %q[offsets0]]\n"
      "vldrb.u16 %q[odd], [%[plane], %q[offsets1]]\n"
      "vstrb.16 %q[even], [%[x]]\n"
      "vldrb.u16 %q[even], [%[plane], %q[offsets2]]\n"
      "vstrb.16 %q[odd], [%[x], #8]\n"
      "vldrb.u16 %q[odd], [%[plane], %q[offsets3]]\n"
      "vstrb.16 %q[even], [%[x], #16]\n"
      "add %[plane], %[plane], %[step]\n"
      "vstrb.16 %q[odd], [%[x], #24]\n"
      "add %[x], %[x], #32\n"
      "le lr, 1b\n"
      : [even] "=&w"(even), [odd] "=&w"(odd), [plane] "+r"(plane), [x] "+l"(x)
      : [offsets0] "w"(vld1q_u16(offsets)), [offsets1] "w"(vld1q_u16(offsets + 8)),
        [offsets2] "w"(vld1q_u16(offsets + 16)), [offsets3] "w"(vld1q_u16(offsets + 24)),
        [cols] "r"(cols), [step] "r"(step)
      : "lr", "memory");
}
#endif

// Copies `width` contiguous bytes of each plane.
static void fill_from_planes(const DcsrMveActivations* activations, size_t first, uint32_t width,
                             size_t pitch, int8_t* x) {
  const DcsrConvShape* shape = activations->shape;
  const uint32_t step =
      dcsr_channel_bytes((uint32_t)shape->input_height, (uint32_t)shape->input_width);
  const uint32_t cols = activations->layer->cols;
  const int8_t* plane = activations->input + first;
#if DCSR_HAS_MVE
  if (width == kBlockPixels) {
    copy_32(plane, step, cols, x);
  } else if (width == kBlockPixels / 2) {
    copy_16(plane, step, cols, pitch, x);
  } else {
    copy_8(plane, step, cols, pitch, x);
  }
#else
  for (uint32_t c = 0; c < cols; ++c) memcpy(x + c * pitch, plane + (size_t)c * step, width);
#endif
}

// Gathers pixels from columns of each plane.
static void fill_from_columns(const DcsrMveActivations* activations, size_t first, uint32_t width,
                              size_t pitch, int8_t* x) {
  const DcsrConvShape* shape = activations->shape;
  const uint32_t map_height = (uint32_t)shape->input_height;
  const uint32_t map_width = (uint32_t)shape->input_width;
  const uint32_t step = dcsr_channel_bytes(map_height, map_width);
  const uint32_t cols = activations->layer->cols;
  uint16_t offset[kBlockPixels];
  for (uint32_t p = 0; p < width; ++p) {
    const uint32_t pixel = (uint32_t)first + p;
    offset[p] = (uint16_t)(pixel % map_height * map_width + pixel / map_height);
  }
#if DCSR_HAS_MVE
  if (width == kBlockPixels) {
    gather_32(activations->input, offset, step, cols, x);
    return;
  }
  for (uint32_t p = 0; p < width; p += kLanes) {
    gather_8(activations->input, vld1q_u16(offset + p), step, cols, pitch, x + p);
  }
#else
  for (uint32_t c = 0; c < cols; ++c) {
    const int8_t* plane = activations->input + (size_t)c * step;
    for (uint32_t p = 0; p < width; ++p) x[c * pitch + p] = plane[offset[p]];
  }
#endif
}

static void fill_from_transposed(const DcsrMveActivations* activations, size_t first,
                                 uint32_t width, size_t pitch, int8_t* x) {
  const size_t map_height = (size_t)activations->shape->input_height;
  const size_t map_width = (size_t)activations->shape->input_width;
  const size_t cols = activations->layer->cols;
  for (uint32_t p = 0; p < width; p += kDcsrMvePartPixels) {
    const int8_t* pixels[kDcsrMvePartPixels];
    for (uint32_t i = 0; i < kDcsrMvePartPixels; ++i) {
      const size_t pixel = first + p + i;
      pixels[i] = activations->input + (pixel % map_width * map_height + pixel / map_width) * cols;
    }
    dcsr_transpose_pixels_mve(pixels, cols, pitch, x + p);
  }
}

static DcsrMveFill* fill_of(const DcsrLayer* layer) {
  const bool is_transposed = layer->layout->is_transposed != 0;
  if (!dcsr_has_input_planes(layer)) {
    return is_transposed ? fill_from_transposed : dcsr_fill_from_nhwc_mve;
  }
  return is_transposed && !dcsr_has_output_planes(layer) ? fill_from_columns : fill_from_planes;
}

DCSR_NOINLINE static void convolve(const DcsrPlan* plan, const DcsrLayer* layer,
                                   const DcsrConvShape* shape, const void* input, void* output,
                                   void* scratch, DcsrWordStage* stage) {
  const bool to_planes = dcsr_has_output_planes(layer);
  const DcsrMveActivations activations = {
      layer,
      shape,
      (const int8_t*)input,
      (int8_t*)output,
      to_planes ? 1 : layer->rows,
      to_planes ? dcsr_output_steps(layer, shape).channel : 1,
      fill_of(layer),
      to_planes ? &kDcsrMvePlaneEnds : &kDcsrMveNhwcEnds,
  };
  dcsr_run_conv1x1_mve(plan, &activations, scratch, stage);
}

// The kernel for the layers of one stage.
#define DCSR_PART(name, stage)                                                        \
  void name(const DcsrPlan* plan, const DcsrLayer* layer, const DcsrConvShape* shape, \
            const void* input, void* output, void* scratch) {                         \
    convolve(plan, layer, shape, input, output, scratch, stage);                      \
  }

DCSR_PART(dcsr_conv1x1_planes_mve, dcsr_word_stage(layer))
DCSR_PART(dcsr_conv1x1_planes_mve_groups, dcsr_mve_stage_none)
DCSR_PART(dcsr_conv1x1_planes_mve_nibbles, dcsr_mve_stage_nibbles)
DCSR_PART(dcsr_conv1x1_planes_mve_bytes, dcsr_mve_stage_bytes)
DCSR_PART(dcsr_conv1x1_planes_mve_offset8, dcsr_mve_stage_offset8)
DCSR_PART(dcsr_conv1x1_planes_mve_ones, dcsr_mve_stage_ones)
