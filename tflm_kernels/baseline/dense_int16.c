// Dense layers with int16 activations, as in CMSIS-NN. In C, with DSP or with MVE.
//
// Input:   [batches, input_height, input_width, channels], or [batches, cols], int16.
// Output:  [batches, output_height, output_width, rows], or [batches, rows], int16.
// Scratch: a convolution: four patches, int16 [pixel][cols]; a fully connected layer: none.
// Cycles:  docs/kernels.md#dense-to-compare-with.
//
// A convolution copies the patches of four output pixels to scratch and multiplies a row of weights
// with all four. A fully connected layer multiplies its input with four rows at a time. Products
// are at most 2^22, so the sums of up to kPartColumns columns have 32 bits. They are then added to
// 64-bit sums.

#include "tflm_kernels/baseline/dense_int16.h"

#include <string.h>

#include "tflm_kernels/common/compiler.h"
#include "tflm_kernels/common/dsp.h"
#include "tflm_kernels/common/patches.h"
#include "tflm_kernels/common/pixels.h"
#include "tflm_kernels/common/requantize.h"

#if DCSR_HAS_MVE
#include <arm_mve.h>
#endif

enum {
  kLanes = 4,          // pixels or rows
  kPartColumns = 496,  // less than 2^31 / 2^22
};

// multiply_vectors() and multiply_rows() write the sums of `columns` <= kPartColumns columns.

#if DCSR_HAS_MVE

// In assembly, as GCC 12 does not generate loops with tail predication.
#define DCSR_INT16_LOOP(load_shared, shared_bytes, load_other, other_bytes)             \
  __asm__ volatile(                                                                     \
      "dlstp.16 lr, %[columns]\n"                                                       \
      ".p2align 2\n"                                                                    \
      "1:\n" load_shared " q0, [%[shared]], #" shared_bytes "\n" load_other             \
      " q1, [%[other0]], #" other_bytes                                                 \
      "\n"                                                                              \
      "vmladava.s16 %[sum0], q0, q1\n" load_other " q1, [%[other1]], #" other_bytes     \
      "\n"                                                                              \
      "vmladava.s16 %[sum1], q0, q1\n" load_other " q1, [%[other2]], #" other_bytes     \
      "\n"                                                                              \
      "vmladava.s16 %[sum2], q0, q1\n" load_other " q1, [%[other3]], #" other_bytes     \
      "\n"                                                                              \
      "vmladava.s16 %[sum3], q0, q1\n"                                                  \
      "letp lr, 1b\n"                                                                   \
      : [sum0] "+Te"(sum0), [sum1] "+Te"(sum1), [sum2] "+Te"(sum2), [sum3] "+Te"(sum3), \
        [shared] "+r"(shared), [other0] "+r"(other0), [other1] "+r"(other1),            \
        [other2] "+r"(other2), [other3] "+r"(other3)                                    \
      : [columns] "r"(columns)                                                          \
      : "lr", "q0", "q1", "memory")

DCSR_NOINLINE static void multiply_vectors(const int8_t* shared, const int16_t* const x[kLanes],
                                           uint32_t columns, int32_t sums[kLanes]) {
  const int16_t *other0 = x[0], *other1 = x[1], *other2 = x[2], *other3 = x[3];
  int32_t sum0 = 0, sum1 = 0, sum2 = 0, sum3 = 0;
  DCSR_INT16_LOOP("vldrb.s16", "8", "vldrh.u16", "16");
  sums[0] = sum0;
  sums[1] = sum1;
  sums[2] = sum2;
  sums[3] = sum3;
}

DCSR_NOINLINE static void multiply_rows(const int8_t* const weights[kLanes], const int16_t* shared,
                                        uint32_t columns, int32_t sums[kLanes]) {
  const int8_t *other0 = weights[0], *other1 = weights[1], *other2 = weights[2],
               *other3 = weights[3];
  int32_t sum0 = 0, sum1 = 0, sum2 = 0, sum3 = 0;
  DCSR_INT16_LOOP("vldrh.u16", "16", "vldrb.s16", "8");
  sums[0] = sum0;
  sums[1] = sum1;
  sums[2] = sum2;
  sums[3] = sum3;
}

#else

#if defined(__ARM_FEATURE_DSP)

// Widens four weights to two words of int16, in order.
static inline void widen(const int8_t* weights, uint32_t words[2]) {
  const uint32_t bytes = dcsr_dsp_load(weights);
  const uint32_t even = dcsr_dsp_even(bytes);
  const uint32_t odd = dcsr_dsp_odd(bytes);
  words[0] = (even & 0xFFFF) | odd << 16;
  words[1] = even >> 16 | (odd & 0xFFFF0000);
}

static inline uint32_t load_two(const int16_t* x) {
  uint32_t word;
  memcpy(&word, x, sizeof(word));
  return word;
}

static inline int32_t multiply_four(const uint32_t words[2], const int16_t* x, int32_t sum) {
  const uint32_t first = dcsr_dsp_smlad(words[0], load_two(x), (uint32_t)sum);
  return (int32_t)dcsr_dsp_smlad(words[1], load_two(x + 2), first);
}

DCSR_NOINLINE static void multiply_vectors(const int8_t* weights, const int16_t* const x[kLanes],
                                           uint32_t columns, int32_t sums[kLanes]) {
  const int16_t *x0 = x[0], *x1 = x[1], *x2 = x[2], *x3 = x[3];
  int32_t sum0 = 0, sum1 = 0, sum2 = 0, sum3 = 0;
  for (; columns >= 4; columns -= 4) {
    uint32_t words[2];
    widen(weights, words);
    sum0 = multiply_four(words, x0, sum0);
    sum1 = multiply_four(words, x1, sum1);
    sum2 = multiply_four(words, x2, sum2);
    sum3 = multiply_four(words, x3, sum3);
    weights += 4;
    x0 += 4;
    x1 += 4;
    x2 += 4;
    x3 += 4;
  }
  for (; columns > 0; --columns) {
    const int32_t weight = *weights++;
    sum0 += weight * *x0++;
    sum1 += weight * *x1++;
    sum2 += weight * *x2++;
    sum3 += weight * *x3++;
  }
  sums[0] = sum0;
  sums[1] = sum1;
  sums[2] = sum2;
  sums[3] = sum3;
}

// Multiplies two rows, which share the loads of activations.
DCSR_NOINLINE static void multiply_two_rows(const int8_t* weights0, const int8_t* weights1,
                                            const int16_t* x, uint32_t columns, int32_t sums[2]) {
  int32_t sum0 = 0;
  int32_t sum1 = 0;
  for (; columns >= 4; columns -= 4) {
    uint32_t words0[2], words1[2];
    widen(weights0, words0);
    widen(weights1, words1);
    sum0 = multiply_four(words0, x, sum0);
    sum1 = multiply_four(words1, x, sum1);
    weights0 += 4;
    weights1 += 4;
    x += 4;
  }
  for (; columns > 0; --columns) {
    sum0 += *weights0++ * *x;
    sum1 += *weights1++ * *x++;
  }
  sums[0] = sum0;
  sums[1] = sum1;
}

#else

DCSR_NOINLINE static void multiply_two_vectors(const int8_t* weights, const int16_t* x0,
                                               const int16_t* x1, uint32_t columns,
                                               int32_t sums[2]) {
  int32_t sum0 = 0;
  int32_t sum1 = 0;
  DCSR_UNROLL("GCC unroll 4")
  for (uint32_t c = 0; c < columns; ++c) {
    sum0 += weights[c] * x0[c];
    sum1 += weights[c] * x1[c];
  }
  sums[0] = sum0;
  sums[1] = sum1;
}

static void multiply_vectors(const int8_t* weights, const int16_t* const x[kLanes],
                             uint32_t columns, int32_t sums[kLanes]) {
  multiply_two_vectors(weights, x[0], x[1], columns, sums);
  multiply_two_vectors(weights, x[2], x[3], columns, sums + 2);
}

DCSR_NOINLINE static void multiply_two_rows(const int8_t* weights0, const int8_t* weights1,
                                            const int16_t* x, uint32_t columns, int32_t sums[2]) {
  int32_t sum0 = 0;
  int32_t sum1 = 0;
  DCSR_UNROLL("GCC unroll 4")
  for (uint32_t c = 0; c < columns; ++c) {
    sum0 += weights0[c] * x[c];
    sum1 += weights1[c] * x[c];
  }
  sums[0] = sum0;
  sums[1] = sum1;
}

#endif

static void multiply_rows(const int8_t* const weights[kLanes], const int16_t* x, uint32_t columns,
                          int32_t sums[kLanes]) {
  multiply_two_rows(weights[0], weights[1], x, columns, sums);
  multiply_two_rows(weights[2], weights[3], x, columns, sums + 2);
}

#endif

static inline uint32_t part_of(uint32_t cols, uint32_t done) {
  return cols - done < kPartColumns ? cols - done : (uint32_t)kPartColumns;
}

// Multiplies a row with the four patches at `x` and stores the outputs of the first `count` of
// them.
static void multiply_patches(const DcsrLayer* layer, uint32_t row, const int16_t* x, size_t count,
                             int16_t* output) {
  const uint32_t cols = layer->cols;
  const int8_t* weights = layer->values + (size_t)row * cols;
  const uint64_t bias = dcsr_int16_bias(layer, row);
  uint64_t acc[kLanes] = {bias, bias, bias, bias};
  uint32_t part;
  for (uint32_t done = 0; done < cols; done += part) {
    part = part_of(cols, done);
    const int16_t* const vectors[kLanes] = {x + done, x + cols + done, x + 2 * (size_t)cols + done,
                                            x + 3 * (size_t)cols + done};
    int32_t sums[kLanes];
    multiply_vectors(weights + done, vectors, part, sums);
    for (uint32_t v = 0; v < kLanes; ++v) acc[v] += (uint64_t)(int64_t)sums[v];
  }
  for (size_t v = 0; v < count; ++v) {
    output[v * layer->rows + row] = dcsr_requantize_int16(layer, row, acc[v]);
  }
}

static void copy_patch(const DcsrLayer* layer, const DcsrConvShape* shape, const DcsrPatch* patch,
                       int16_t* out) {
  const size_t channels = layer->channels;
  const int16_t* image = (const int16_t*)patch->image;
  for (uint32_t fy = 0; fy < layer->filter_h; ++fy) {
    const uint32_t y = patch->y + fy * layer->dilation_h;
    for (uint32_t fx = 0; fx < layer->filter_w; ++fx) {
      const uint32_t x = patch->x + fx * layer->dilation_w;
      if (y < (uint32_t)shape->input_height && x < (uint32_t)shape->input_width) {
        memcpy(out, image + ((size_t)y * (size_t)shape->input_width + x) * channels,
               channels * sizeof(*out));
      } else {
        memset(out, 0, channels * sizeof(*out));
      }
      out += channels;
    }
  }
}

size_t dcsr_dense_int16_scratch_bytes(const DcsrLayer* layer) {
  return (size_t)kLanes * layer->cols * sizeof(int16_t);
}

void dcsr_dense_conv2d_int16_patches(const DcsrLayer* layer, const DcsrConvShape* shape,
                                     const int16_t* input, int16_t* output, void* scratch) {
  int16_t* x = (int16_t*)scratch;
  DcsrPatches patches = dcsr_patches(layer, shape, input);
  // A last block with fewer pixels also multiplies patches that it did not copy. Those outputs are
  // not stored.
  memset(x, 0, dcsr_dense_int16_scratch_bytes(layer));
  for (size_t left = dcsr_pixel_count(shape); left > 0;) {
    const size_t count = left < kLanes ? left : (size_t)kLanes;
    for (size_t v = 0; v < count; ++v) {
      const DcsrPatch patch = dcsr_next_patch(&patches);
      copy_patch(layer, shape, &patch, x + v * layer->cols);
    }
    for (uint32_t row = 0; row < layer->rows; ++row) {
      multiply_patches(layer, row, x, count, output);
    }
    output += count * layer->rows;
    left -= count;
  }
}

void dcsr_dense_fully_connected_int16_rows(const DcsrLayer* layer, int32_t batches,
                                           const int16_t* input, int16_t* output) {
  const uint32_t cols = layer->cols;
  for (; batches > 0; --batches) {
    for (uint32_t row = 0; row < layer->rows; row += kLanes) {
      const uint32_t left = layer->rows - row;
      const uint32_t count = left < kLanes ? left : (uint32_t)kLanes;
      uint64_t acc[kLanes];
      for (uint32_t r = 0; r < count; ++r) acc[r] = dcsr_int16_bias(layer, row + r);
      uint32_t part;
      for (uint32_t done = 0; done < cols; done += part) {
        part = part_of(cols, done);
        const int8_t* weights[kLanes];
        for (uint32_t r = 0; r < kLanes; ++r) {
          // Beyond the last row, use the last row again.
          const uint32_t other = r < count ? r : count - 1;
          weights[r] = layer->values + (size_t)(row + other) * cols + done;
        }
        int32_t sums[kLanes];
        multiply_rows(weights, input + done, part, sums);
        for (uint32_t r = 0; r < count; ++r) acc[r] += (uint64_t)(int64_t)sums[r];
      }
      for (uint32_t r = 0; r < count; ++r) {
        output[row + r] = dcsr_requantize_int16(layer, row + r, acc[r]);
      }
    }
    input += cols;
    output += layer->rows;
  }
}
