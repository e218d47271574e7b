// Fully connected layer with MVE (Cortex-M55, M85), offset8.
//
// Input:   one vector [cols], int8.
// Output:  [rows], int8.
// Scratch: none.
// Cycles:  6 instructions per group (docs/kernels.md#fully_connected-with-mve).
//
// A group is a vector. Its offsets gather 16 activations, which are multiplied with 16 weights and
// added to one register. The lanes past the end of a row are predicated, so that only columns that
// the validation has checked are gathered.

#include "tflm_kernels/common/compiler.h"
#include "tflm_kernels/mve/mve.h"

#if DCSR_HAS_MVE

#include "tflm_kernels/format/row_reader.h"
#include "tflm_kernels/mve/requantize_mve.h"

enum { kBlockRows = 16 };

// Returns the sum of a row of `length` elements, without bias.
static inline int32_t multiply_row(const uint8_t* index, const uint8_t* offset,
                                   const int8_t* weight, const int8_t* x, uint32_t length) {
  _Static_assert(kDcsrGroupLanes == 16 && kDcsrStepBytes == 2, "numbers of the assembly");
  int32_t sum = 0;
  uint32_t steps;
  // Two groups per iteration, then up to two more. A gather occupies the load pipe (L) for 8 to 16
  // cycles. It waits until 4 cycles after the load of its offsets, so both loads of offsets and one
  // of weights come first. Loads take L for 2 cycles: others stand between them. The instruction
  // after a gather is free if it is not on L: the next column, and the first product.
  __asm__ volatile(
      "wls lr, %[pairs], 2f\n"
      ".p2align 2\n"
      "1:\n"
      "vldrb.u8 q0, [%[offset]], #16\n"  // L
      "ldr %[steps], [%[index]], #4\n"
      "vldrb.u8 q1, [%[offset]], #16\n"  // L
      "uxtah %[x], %[x], %[steps]\n"
      "vldrb.u8 q4, [%[weight]], #16\n"  // L
      "vldrb.u8 q2, [%[x], q0]\n"        // L
      "uxtah %[x], %[x], %[steps], ror #16\n"
      "vldrb.u8 q3, [%[x], q1]\n"  // L
      "vmladava.s8 %[sum], q2, q4\n"
      "vldrb.u8 q1, [%[weight]], #16\n"  // L
      "vmladava.s8 %[sum], q3, q1\n"
      "le lr, 1b\n"
      "2:\n"
      "wlstp.8 lr, %[rest], 4f\n"
      ".p2align 2\n"
      "3:\n"
      "vldrb.u8 q0, [%[offset]], #16\n"  // L
      "ldrh %[steps], [%[index]], #2\n"
      "vldrb.u8 q1, [%[weight]], #16\n"  // L
      "add %[x], %[x], %[steps]\n"
      "vldrb.u8 q2, [%[x], q0]\n"  // L
      "vmladava.s8 %[sum], q2, q1\n"
      "letp lr, 3b\n"
      "4:\n"
      : [sum] "+Te"(sum), [steps] "=&r"(steps), [index] "+r"(index), [offset] "+r"(offset),
        [weight] "+r"(weight), [x] "+r"(x)
      : [pairs] "r"(length / (2 * kDcsrGroupLanes)), [rest] "r"(length % (2 * kDcsrGroupLanes))
      : "lr", "q0", "q1", "q2", "q3", "q4", "memory");
  return sum;
}

void dcsr_fully_connected_offset8_mve(const DcsrPlan* plan, const DcsrLayer* layer,
                                      const DcsrConvShape* shape, const void* input_data,
                                      void* output_data, void* scratch) {
  (void)plan;
  (void)shape;
  (void)scratch;
  const int8_t* input = (const int8_t*)input_data;
  int8_t* output = (int8_t*)output_data;
  const uint8_t* index = layer->index;
  const uint8_t* offset = layer->delta;
  const int8_t* weight = layer->values;
  int32_t sums[kBlockRows];
  uint32_t lengths[kBlockRows];
  for (uint32_t row = 0; row < layer->rows; row += kBlockRows) {
    const uint32_t left = layer->rows - row;
    const uint32_t count = left < kBlockRows ? left : (uint32_t)kBlockRows;
    dcsr_row_lengths(layer, row, count, lengths);
    for (uint32_t r = 0; r < count; ++r) {
      const uint32_t length = lengths[r];
      sums[r] = multiply_row(index, offset, weight, input, length);
      index += (length + kDcsrGroupLanes - 1) / kDcsrGroupLanes * kDcsrStepBytes;
      offset += length;
      weight += length;
    }
    dcsr_requantize_rows_mve(layer, row, count, sums, 1, output + row);
  }
}

#endif  // DCSR_HAS_MVE
