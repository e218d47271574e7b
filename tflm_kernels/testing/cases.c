// The table of cases.h.

#include "tflm_kernels/testing/cases.h"

// clang-format off
#define DCSR_CONV(rows, cols, batches, height, width, stride_h, stride_w) \
  kDcsrOpConv2d, rows, cols, batches, height, width, stride_h, stride_w
#define DCSR_FC(rows, cols, batches) \
  kDcsrOpFullyConnected, rows, cols, batches, 1, 1, 1, 1

const DcsrCase kDcsrCases[] = {
    // Shapes.
    {"one weight", DCSR_CONV(1, 1, 1, 1, 1, 1, 1), kPatternRandom, 1000, kValuesRandom, kBiasRandom, 0, 0, -128, 127, true, 0, 0},
    {"one weight, zero", DCSR_FC(1, 1, 1), kPatternZero, 0, kValuesRandom, kBiasRandom, 3, -3, -128, 127, false, 0, 0},
    {"one row", DCSR_CONV(1, 40, 1, 3, 3, 1, 1), kPatternRandom, 300, kValuesRandom, kBiasRandom, -128, -128, -128, 127, true, 0, 0},
    {"one column", DCSR_CONV(40, 1, 1, 3, 3, 1, 1), kPatternRandom, 700, kValuesRandom, kBiasRandom, -5, 4, -128, 127, true, 0, 0},
    {"one pixel", DCSR_CONV(24, 33, 1, 1, 1, 1, 1), kPatternRandom, 200, kValuesRandom, kBiasRandom, -128, 0, -128, 127, true, 0, 0},
    {"7 pixels", DCSR_CONV(17, 19, 1, 1, 7, 1, 1), kPatternRandom, 300, kValuesRandom, kBiasRandom, 17, -7, -128, 127, true, 0, 0},
    {"9 pixels, 1280 columns", DCSR_CONV(32, 1280, 1, 3, 3, 1, 1), kPatternRandom, 100, kValuesRandom, kBiasRandom, -128, -3, -128, 127, true, 0, 0},
    {"31 pixels", DCSR_CONV(5, 30, 1, 31, 1, 1, 1), kPatternRandom, 500, kValuesRandom, kBiasRandom, -1, 1, -128, 127, true, 0, 0},
    {"32 pixels", DCSR_CONV(5, 30, 1, 4, 8, 1, 1), kPatternRandom, 500, kValuesRandom, kBiasRandom, -1, 1, -128, 127, true, 0, 0},
    {"33 pixels", DCSR_CONV(5, 30, 1, 3, 11, 1, 1), kPatternRandom, 500, kValuesRandom, kBiasRandom, -1, 1, -128, 127, true, 0, 0},
    {"36 pixels, 576 columns", DCSR_CONV(96, 576, 1, 6, 6, 1, 1), kPatternRandom, 100, kValuesRandom, kBiasRandom, -128, 2, -128, 127, true, 0, 0},
    {"125 pixels", DCSR_CONV(64, 64, 1, 25, 5, 1, 1), kPatternRandom, 100, kValuesRandom, kBiasRandom, -128, -128, -128, 127, true, 0, 0},
    {"250 pixels", DCSR_CONV(60, 276, 1, 25, 10, 1, 1), kPatternRandom, 100, kValuesRandom, kBiasRandom, -128, -128, -128, 127, true, 0, 0},
    {"700 pixels", DCSR_CONV(9, 21, 1, 28, 25, 1, 1), kPatternRandom, 250, kValuesRandom, kBiasRandom, 127, 127, -128, 127, true, 0, 0},
    {"10 pixels", DCSR_CONV(33, 67, 1, 2, 5, 1, 1), kPatternRandom, 300, kValuesRandom, kBiasRandom, -1, 1, -128, 127, true, 0, 0},
    {"11 pixels, 700 columns", DCSR_CONV(20, 700, 1, 11, 1, 1, 1), kPatternRandom, 50, kValuesRandom, kBiasRandom, -1, 1, -128, 127, true, 0, 0},
    {"12 pixels in 2 batches", DCSR_CONV(18, 320, 2, 2, 3, 1, 1), kPatternRandom, 100, kValuesRandom, kBiasRandom, -1, 1, -128, 127, true, 0, 0},
    {"9 pixels, stride 2", DCSR_CONV(34, 90, 1, 5, 6, 2, 2), kPatternRandom, 300, kValuesRandom, kBiasRandom, -20, 8, -128, 127, true, 0, 0},
    {"12 pixels, strides 3 and 2, 2 batches", DCSR_CONV(21, 90, 2, 5, 5, 3, 2), kPatternRandom, 300, kValuesRandom, kBiasRandom, -20, 8, -128, 127, true, 0, 0},
    {"3 batches", DCSR_CONV(11, 29, 3, 5, 4, 1, 1), kPatternRandom, 300, kValuesRandom, kBiasRandom, -20, 8, -128, 127, true, 0, 0},
    {"stride 2", DCSR_CONV(13, 23, 1, 9, 8, 2, 2), kPatternRandom, 300, kValuesRandom, kBiasRandom, -20, 8, -128, 127, true, 0, 0},
    {"stride 3, 2 batches", DCSR_CONV(13, 23, 2, 10, 11, 3, 3), kPatternRandom, 300, kValuesRandom, kBiasRandom, -20, 8, -128, 127, true, 0, 0},
    {"strides 1 and 2", DCSR_CONV(6, 15, 2, 7, 13, 1, 2), kPatternRandom, 400, kValuesRandom, kBiasRandom, -20, 8, -128, 127, true, 0, 0},
    {"strides 3 and 1", DCSR_CONV(6, 15, 2, 7, 13, 3, 1), kPatternRandom, 400, kValuesRandom, kBiasRandom, -20, 8, -128, 127, true, 0, 0},
    {"stride above the image", DCSR_CONV(6, 15, 2, 4, 5, 9, 255), kPatternRandom, 400, kValuesRandom, kBiasRandom, -20, 8, -128, 127, true, 0, 0},
    {"fully connected", DCSR_FC(12, 700, 1), kPatternRandom, 90, kValuesRandom, kBiasRandom, -128, 5, -128, 127, false, 0, 0},
    {"fully connected per row", DCSR_FC(35, 129, 1), kPatternRandom, 200, kValuesRandom, kBiasRandom, -128, 5, -128, 127, true, 0, 0},
    {"fully connected, 2 batches", DCSR_FC(7, 65, 2), kPatternRandom, 200, kValuesRandom, kBiasRandom, 40, 5, -128, 127, true, 0, 0},
    {"fully connected, 33 batches", DCSR_FC(7, 65, 33), kPatternRandom, 200, kValuesRandom, kBiasRandom, 40, 5, -128, 127, true, 0, 0},
    {"fully connected, 16560 columns", DCSR_FC(12, 16560, 1), kPatternRandom, 88, kValuesRandom, kBiasRandom, -128, 14, -128, 127, false, 0, 0},
    {"fully connected, 70000 columns", DCSR_FC(3, 70000, 1), kPatternRandom, 30, kValuesRandom, kBiasRandom, -128, 14, -128, 127, false, 0, 0},
    {"fully connected, most columns", DCSR_FC(2, kDcsrMaxCols, 1), kPatternRandom, 20, kValuesRandom, kBiasRandom, -128, 14, -128, 127, false, 0, 0},

    // Patterns.
    {"no nonzeros", DCSR_CONV(8, 30, 1, 2, 3, 1, 1), kPatternZero, 0, kValuesRandom, kBiasRandom, 9, 1, -128, 127, true, 0, 0},
    {"all nonzeros", DCSR_CONV(8, 301, 1, 2, 3, 1, 1), kPatternRandom, 1000, kValuesRandom, kBiasRandom, 9, 1, -128, 127, true, 0, 0},
    {"empty and full rows", DCSR_CONV(10, 100, 1, 2, 3, 1, 1), kPatternEmptyAndFull, 100, kValuesRandom, kBiasRandom, 9, 1, -128, 127, true, 0, 0},
    {"full row of 70000", DCSR_FC(2, 70000, 1), kPatternEmptyAndFull, 100, kValuesRandom, kBiasRandom, 9, 1, -128, 127, false, 0, 0},
    {"rows of 0 to 49", DCSR_CONV(50, 90, 1, 5, 1, 1, 1), kPatternCounted, 0, kValuesRandom, kBiasRandom, -128, 1, -128, 127, true, 0, 0},
    {"rows of 0 to 49, 6 pixels, 1500 columns", DCSR_CONV(50, 1500, 1, 2, 3, 1, 1), kPatternCounted, 0, kValuesRandom, kBiasRandom, -128, 1, -128, 127, true, 0, 0},
    {"rows of 0 to 49, 12000 columns", DCSR_FC(50, 12000, 1), kPatternCounted, 0, kValuesRandom, kBiasRandom, -128, 1, -128, 127, false, 0, 0},
    {"rows of 0 to 49, 5000 columns", DCSR_FC(50, 5000, 1), kPatternCounted, 0, kValuesRandom, kBiasRandom, -128, 1, -128, 127, false, 0, 0},
    {"clustered", DCSR_CONV(30, 900, 1, 1, 3, 1, 1), kPatternClustered, 0, kValuesRandom, kBiasRandom, -128, 1, -128, 127, true, 0, 0},
    {"clustered, 70000 columns", DCSR_FC(9, 70000, 1), kPatternClustered, 0, kValuesRandom, kBiasRandom, -128, 1, -128, 127, false, 0, 0},
    {"clustered, most columns", DCSR_FC(2, kDcsrMaxCols, 1), kPatternClustered, 0, kValuesRandom, kBiasRandom, -128, 1, -128, 127, false, 0, 0},
    {"first and last", DCSR_CONV(9, 257, 1, 2, 2, 1, 1), kPatternFirstAndLast, 0, kValuesRandom, kBiasRandom, -128, 1, -128, 127, true, 0, 0},
    {"first and last, 70000 columns", DCSR_FC(6, 70000, 1), kPatternFirstAndLast, 0, kValuesRandom, kBiasRandom, -128, 1, -128, 127, false, 0, 0},

    // Arithmetic.
    {"extreme values", DCSR_CONV(20, 300, 1, 3, 5, 1, 1), kPatternRandom, 500, kValuesExtreme, kBiasRandom, -128, 0, -128, 127, true, 0, 0},
    {"extreme values, zero point 127", DCSR_CONV(20, 300, 1, 3, 5, 1, 1), kPatternRandom, 900, kValuesExtreme, kBiasRandom, 127, -128, -128, 127, true, 0, 0},
    {"extreme values, full", DCSR_FC(6, 4000, 1), kPatternRandom, 1000, kValuesExtreme, kBiasRandom, -128, 127, -128, 127, false, 0, 0},
    {"extreme values, full, 3 pixels", DCSR_CONV(6, 4000, 1, 1, 3, 1, 1), kPatternRandom, 1000, kValuesExtreme, kBiasRandom, -128, 127, -128, 127, false, 0, 0},
    {"sums wrap, 1 pixel", DCSR_FC(20, 50, 1), kPatternRandom, 500, kValuesExtreme, kBiasWraps, -128, 0, -128, 127, true, -25, -20},
    {"every shift, 2 pixels", DCSR_CONV(62, 50, 1, 1, 2, 1, 1), kPatternRandom, 300, kValuesRandom, kBiasRandom, 3, 5, -128, 127, true, -31, 30},
    {"sums wrap", DCSR_CONV(20, 50, 1, 3, 5, 1, 1), kPatternRandom, 500, kValuesExtreme, kBiasWraps, -128, 0, -128, 127, true, -25, -20},
    {"relu", DCSR_CONV(20, 50, 1, 3, 5, 1, 1), kPatternRandom, 300, kValuesRandom, kBiasRandom, -128, -128, -128, 127, true, 0, 0},
    {"relu with zero point", DCSR_CONV(20, 50, 1, 3, 5, 1, 1), kPatternRandom, 300, kValuesRandom, kBiasRandom, 3, -20, -20, 127, true, 0, 0},
    {"relu6", DCSR_CONV(20, 50, 1, 3, 5, 1, 1), kPatternRandom, 300, kValuesRandom, kBiasRandom, 3, -100, -100, -17, true, 0, 0},
    {"relu -1 to 1", DCSR_CONV(20, 50, 1, 3, 5, 1, 1), kPatternRandom, 300, kValuesRandom, kBiasRandom, 3, 5, -30, 41, true, 0, 0},
    {"clamped to one value", DCSR_CONV(20, 50, 1, 3, 5, 1, 1), kPatternRandom, 300, kValuesRandom, kBiasRandom, 3, 5, 41, 41, true, 0, 0},
    {"clamped to the lowest", DCSR_FC(20, 50, 2), kPatternRandom, 300, kValuesRandom, kBiasRandom, 3, 5, -128, -128, false, 0, 0},
    {"positive shifts", DCSR_CONV(20, 50, 1, 3, 5, 1, 1), kPatternRandom, 100, kValuesTiny, kBiasRandom, -4, 2, -128, 127, true, 0, 6},
    {"positive shift, one for all", DCSR_FC(20, 50, 2), kPatternRandom, 100, kValuesTiny, kBiasRandom, -4, 2, -128, 127, false, 3, 3},
    {"every shift", DCSR_CONV(62, 50, 1, 3, 5, 1, 1), kPatternRandom, 300, kValuesRandom, kBiasRandom, 3, 5, -128, 127, true, -31, 30},
    {"requantisation saturates", DCSR_CONV(40, 50, 1, 3, 5, 1, 1), kPatternRandom, 300, kValuesRandom, kBiasRandom, 3, 127, -128, 127, true, 8, 16},
    {"requantisation saturates below", DCSR_FC(40, 50, 1), kPatternRandom, 300, kValuesRandom, kBiasWraps, 3, -128, -128, 127, true, 0, 1},
    {"zero point wraps", DCSR_CONV(24, 50, 1, 3, 5, 1, 1), kPatternRandom, 100, kValuesTiny, kBiasEnds, -4, 127, -128, 127, true, 0, 2},
    {"zero point wraps below", DCSR_CONV(24, 50, 1, 3, 5, 1, 1), kPatternRandom, 100, kValuesTiny, kBiasEnds, -4, -128, -100, 100, true, 0, 2},
    {"zero point wraps, one for all", DCSR_FC(22, 50, 2), kPatternRandom, 100, kValuesTiny, kBiasEnds, 4, 127, -128, 127, false, 0, 1},
    {"zero point wraps below, one for all", DCSR_FC(22, 50, 2), kPatternRandom, 100, kValuesTiny, kBiasEnds, 4, -128, -128, 127, false, 0, 1},
};
// clang-format on

const size_t kDcsrCaseCount = sizeof(kDcsrCases) / sizeof(kDcsrCases[0]);
