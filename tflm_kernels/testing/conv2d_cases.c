// The table of conv2d_cases.h.

#include "tflm_kernels/testing/conv2d_cases.h"

// clang-format off
#define CONV(rows, channels, filter_h, filter_w, batches, height, width, stride_h, stride_w) \
  kDcsrOpConv2d, rows, (channels) * (filter_h) * (filter_w), batches, height, width, stride_h, stride_w
#define RANDOM(permille) kPatternRandom, permille, kValuesRandom, kBiasRandom

const DcsrConv2dCase kDcsrConv2dCases[] = {
    // Sizes and padding.
    {{"3x3 same", CONV(10, 8, 3, 3, 1, 7, 6, 1, 1), RANDOM(200), -128, -128, -128, 127, true, 0, 0}, {3, 3, 1, 1, true}},
    {{"3x3 valid", CONV(10, 8, 3, 3, 1, 7, 6, 1, 1), RANDOM(200), -5, 3, -128, 127, true, 0, 0}, {3, 3, 1, 1, false}},
    {{"3x3 same, one pixel", CONV(6, 5, 3, 3, 1, 1, 1, 1, 1), RANDOM(500), 100, 3, -128, 127, true, 0, 0}, {3, 3, 1, 1, true}},
    {{"3x3 valid, one pixel", CONV(6, 5, 3, 3, 1, 3, 3, 1, 1), RANDOM(500), 100, 3, -128, 127, true, 0, 0}, {3, 3, 1, 1, false}},
    {{"3x3 same, stride 2, even", CONV(9, 4, 3, 3, 2, 8, 6, 2, 2), RANDOM(300), 127, 0, -128, 127, true, 0, 0}, {3, 3, 1, 1, true}},
    {{"3x3 same, stride 2, odd", CONV(9, 4, 3, 3, 2, 9, 7, 2, 2), RANDOM(300), -128, 0, -128, 127, true, 0, 0}, {3, 3, 1, 1, true}},
    {{"3x3 valid, stride 2", CONV(9, 4, 3, 3, 2, 8, 9, 2, 2), RANDOM(300), 17, 0, -128, 127, true, 0, 0}, {3, 3, 1, 1, false}},
    {{"3x3 valid, stride 3 above what is left", CONV(4, 4, 3, 3, 1, 10, 11, 4, 5), RANDOM(300), 17, 0, -128, 127, true, 0, 0}, {3, 3, 1, 1, false}},
    {{"5x5 same, image below the filter", CONV(7, 3, 5, 5, 1, 2, 3, 1, 1), RANDOM(300), 30, 0, -128, 127, true, 0, 0}, {5, 5, 1, 1, true}},
    {{"10x4 same, stride 2, one channel", CONV(12, 1, 10, 4, 1, 49, 10, 2, 2), RANDOM(300), 83, -128, -128, 127, true, 0, 0}, {10, 4, 1, 1, true}},
    {{"1x7 same", CONV(5, 6, 1, 7, 1, 3, 20, 1, 1), RANDOM(250), -60, 0, -128, 127, true, 0, 0}, {1, 7, 1, 1, true}},
    {{"7x1 valid", CONV(5, 6, 7, 1, 1, 20, 3, 1, 1), RANDOM(250), -60, 0, -128, 127, true, 0, 0}, {7, 1, 1, 1, false}},
    {{"2x2 same, padded at the end only", CONV(5, 9, 2, 2, 2, 5, 4, 1, 1), RANDOM(400), -128, 11, -128, 127, true, 0, 0}, {2, 2, 1, 1, true}},
    {{"2x2 valid, stride 2", CONV(5, 9, 2, 2, 2, 6, 4, 2, 2), RANDOM(400), -128, 11, -128, 127, true, 0, 0}, {2, 2, 1, 1, false}},
    {{"3x3 dilated 2 and 3, same", CONV(8, 5, 3, 3, 1, 9, 8, 1, 1), RANDOM(300), 41, 0, -128, 127, true, 0, 0}, {3, 3, 2, 3, true}},
    {{"3x3 dilated 2, valid, stride 2", CONV(8, 5, 3, 3, 2, 10, 9, 2, 2), RANDOM(300), 41, 0, -128, 127, true, 0, 0}, {3, 3, 2, 2, false}},
    {{"3x3 dilated out of the image", CONV(8, 5, 3, 3, 1, 4, 4, 1, 1), RANDOM(300), 41, 0, -128, 127, true, 0, 0}, {3, 3, 9, 255, true}},
    {{"stride above the filter", CONV(4, 7, 2, 2, 1, 12, 13, 5, 3), RANDOM(400), -1, 0, -128, 127, true, 0, 0}, {2, 2, 1, 1, true}},
    {{"3x3, 35 channels, many pixels", CONV(20, 35, 3, 3, 1, 12, 11, 1, 1), RANDOM(100), -128, -128, -128, 127, true, 0, 0}, {3, 3, 1, 1, true}},
    {{"3x3, 128 channels", CONV(6, 128, 3, 3, 1, 4, 4, 1, 1), RANDOM(100), -128, 0, -128, 127, true, 0, 0}, {3, 3, 1, 1, true}},
    {{"largest filter", CONV(2, 1, 255, 255, 1, 2, 3, 1, 1), RANDOM(10), 5, 0, -128, 127, true, 0, 0}, {255, 255, 1, 1, true}},

    // Up to 48 columns: conv2d_dense_mve.
    {{"3x3, one channel, two pixels", CONV(5, 1, 3, 3, 1, 1, 2, 1, 1), RANDOM(900), -5, 3, -128, 127, true, 0, 0}, {3, 3, 1, 1, true}},
    {{"3x3, three channels, odd number of pixels", CONV(10, 3, 3, 3, 1, 5, 7, 1, 1), RANDOM(900), 60, -128, -128, 127, true, 0, 0}, {3, 3, 1, 1, true}},
    {{"10x4, a tile and a pixel", CONV(7, 1, 10, 4, 1, 43, 3, 1, 1), RANDOM(900), -128, 7, -100, 100, true, 0, 0}, {10, 4, 1, 1, true}},
    {{"4x4, 48 columns, several tiles", CONV(3, 3, 4, 4, 2, 14, 13, 1, 1), RANDOM(900), 83, -128, -128, 127, false, 0, 0}, {4, 4, 1, 1, true}},
    {{"16 columns, dilated, valid", CONV(6, 4, 2, 2, 1, 9, 11, 2, 1), RANDOM(900), 83, 0, -128, 127, true, 0, 0}, {2, 2, 3, 2, false}},
    {{"48 columns, highest sums", CONV(5, 16, 1, 3, 1, 5, 9, 1, 1), kPatternRandom, 1000, kValuesHighest, kBiasRandom, 0, 0, -128, 127, true, -13, -12}, {1, 3, 1, 1, false}},
    {{"48 columns, shifts of both signs", CONV(9, 3, 4, 4, 1, 6, 6, 1, 1), kPatternRandom, 900, kValuesTiny, kBiasRandom, -4, 2, -128, 127, true, -3, 6}, {4, 4, 1, 1, true}},

    // Patterns and arithmetic.
    {{"no nonzeros", CONV(4, 5, 3, 3, 1, 4, 5, 1, 1), kPatternZero, 0, kValuesRandom, kBiasRandom, 9, 1, -128, 127, true, 0, 0}, {3, 3, 1, 1, true}},
    {{"empty and full rows", CONV(8, 11, 3, 3, 1, 4, 5, 1, 1), kPatternEmptyAndFull, 100, kValuesRandom, kBiasRandom, 9, 1, -128, 127, true, 0, 0}, {3, 3, 1, 1, true}},
    {{"rows of 0 to 49", CONV(50, 11, 3, 3, 1, 3, 3, 1, 1), kPatternCounted, 0, kValuesRandom, kBiasRandom, -128, 1, -128, 127, true, 0, 0}, {3, 3, 1, 1, true}},
    {{"first and last", CONV(9, 3, 3, 5, 1, 5, 5, 2, 1), kPatternFirstAndLast, 0, kValuesRandom, kBiasRandom, -128, 1, -128, 127, true, 0, 0}, {3, 5, 1, 1, true}},
    {{"extreme values", CONV(12, 40, 3, 3, 1, 5, 5, 1, 1), kPatternRandom, 800, kValuesExtreme, kBiasRandom, -128, 0, -128, 127, true, 0, 0}, {3, 3, 1, 1, true}},
    {{"extreme values, zero point 127", CONV(12, 40, 3, 3, 1, 5, 5, 1, 1), kPatternRandom, 800, kValuesExtreme, kBiasRandom, 127, 0, -128, 127, true, 0, 0}, {3, 3, 1, 1, true}},
    {{"sums wrap", CONV(12, 6, 3, 3, 1, 5, 5, 1, 1), kPatternRandom, 500, kValuesExtreme, kBiasWraps, -128, 0, -128, 127, true, -25, -20}, {3, 3, 1, 1, true}},
    {{"highest sums", CONV(3, 70, 3, 3, 1, 5, 5, 1, 1), kPatternRandom, 1000, kValuesHighest, kBiasRandom, 0, 0, -128, 127, true, -17, -16}, {3, 3, 1, 1, false}},
    {{"lowest sums", CONV(3, 70, 3, 3, 1, 5, 5, 1, 1), kPatternRandom, 1000, kValuesLowest, kBiasRandom, 0, 0, -128, 127, true, -17, -16}, {3, 3, 1, 1, true}},
    {{"sums of groups around their limit", CONV(6, 30, 3, 3, 1, 5, 5, 1, 1), kPatternRandom, 700, kValuesBounds, kBiasRandom, 0, 0, -128, 127, true, -15, -14}, {3, 3, 1, 1, true}},
    {{"relu6, one multiplier", CONV(12, 6, 3, 3, 1, 5, 5, 1, 1), RANDOM(300), 3, -100, -100, -17, false, 0, 0}, {3, 3, 1, 1, true}},
    {{"positive shifts", CONV(12, 6, 3, 3, 1, 5, 5, 1, 1), kPatternRandom, 100, kValuesTiny, kBiasRandom, -4, 2, -128, 127, true, 0, 6}, {3, 3, 1, 1, true}},
};
// clang-format on

const size_t kDcsrConv2dCaseCount = sizeof(kDcsrConv2dCases) / sizeof(kDcsrConv2dCases[0]);
