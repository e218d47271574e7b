// Fills a tile of conv1x1_smlal (smlal_tile.h).

#include "tflm_kernels/scalar/smlal_tile.h"

#include "tflm_kernels/common/compiler.h"
#include "tflm_kernels/common/dsp.h"
#include "tflm_kernels/common/layout.h"
#include "tflm_kernels/scalar/smlal_output.h"

enum {
  kBlockPixels = kDcsrSmlalBlockPixels,
  kBlockWords = kBlockPixels / 2,
};

static DcsrPixels pixels_of_layout(const DcsrLayer* layer, const DcsrConvShape* shape,
                                   const int8_t* input) {
  const DcsrSteps steps = dcsr_input_steps(layer, shape);
  const bool by_columns = layer->layout->is_transposed != 0 && !dcsr_has_output_planes(layer);
  const size_t in_row = layer->stride_w * steps.column;
  const size_t in_column = layer->stride_h * steps.row;
  DcsrPixels pixels;
  pixels.row = input;
  pixels.pixel = input;
  pixels.pixel_step = by_columns ? in_column : in_row;
  pixels.row_step = by_columns ? in_row : in_column;
  pixels.image_step = 0;  // there is one image
  pixels.x = 0;
  pixels.y = 0;
  pixels.width = by_columns ? shape->output_height : shape->output_width;
  pixels.height = by_columns ? shape->output_width : shape->output_height;
  return pixels;
}

DcsrSmlalInput dcsr_smlal_input(const DcsrLayer* layer, const DcsrConvShape* shape,
                                const int8_t* input) {
  DcsrSmlalInput result;
  result.column_step = 1;
  result.is_run = false;
  if (layer->layout == NULL) {
    result.pixels = dcsr_pixels(layer, shape, input);
    return result;
  }
  result.pixels = pixels_of_layout(layer, shape, input);
  if (dcsr_has_input_planes(layer)) {
    const size_t width = (size_t)shape->input_width;
    result.column_step = dcsr_input_steps(layer, shape).channel;
    result.is_run = result.pixels.pixel_step == 1 && result.pixels.row_step == width &&
                    (size_t)result.pixels.width == width;
  }
  return result;
}

static inline uint32_t make_word(int8_t even, int8_t odd) {
  return ((uint32_t)odd << kDcsrSmlalUpperShift) + (uint32_t)even;
}

// Transposes a pair of pixels. Consecutive columns are `words` words apart.
static void transpose_pair(const int8_t* even, const int8_t* odd, uint32_t cols, uint32_t words,
                           uint32_t* x) {
  uint32_t c = 0;
  for (; c + 4 <= cols; c += 4) {
    x[0] = make_word(even[c], odd[c]);
    x[words] = make_word(even[c + 1], odd[c + 1]);
    x[2 * words] = make_word(even[c + 2], odd[c + 2]);
    x[3 * words] = make_word(even[c + 3], odd[c + 3]);
    x += 4 * words;
  }
  for (; c < cols; ++c) {
    *x = make_word(even[c], odd[c]);
    x += words;
  }
}

// The same for pixels whose columns are `step` bytes apart.
static void transpose_spread_pair(const int8_t* even, const int8_t* odd, size_t step, uint32_t cols,
                                  uint32_t words, uint32_t* x) {
  for (; cols > 0; --cols) {
    *x = make_word(*even, *odd);
    even += step;
    odd += step;
    x += words;
  }
}

// Fills a block with pixels at any addresses.
static void transpose_block(DcsrSmlalInput* input, size_t count, uint32_t cols, uint32_t* x) {
  const uint32_t words = dcsr_smlal_block_words(count);
  const size_t step = input->column_step;
  const int8_t* pixel[kBlockPixels];
  for (size_t p = 0; p < kBlockPixels; ++p) {
    // Repeat the last pixel to fill the block. The surplus sums are not read.
    pixel[p] = p < count ? dcsr_next_pixel(&input->pixels) : pixel[p - 1];
  }
  for (uint32_t w = 0; w < words; ++w) {
    const int8_t* even = pixel[2 * w];
    const int8_t* odd = pixel[2 * w + 1];
    if (step != 1) {
      transpose_spread_pair(even, odd, step, cols, words, x + w);
    } else if (words == kBlockWords) {
      // The common case, with a constant distance.
      transpose_pair(even, odd, cols, kBlockWords, x + w);
    } else {
      transpose_pair(even, odd, cols, words, x + w);
    }
  }
}

// Expands four pixels to two words.
static inline void expand_four(const int8_t* pixels, uint32_t* x) {
  const uint32_t bytes = dcsr_dsp_load(pixels);
  x[0] = make_word((int8_t)bytes, (int8_t)(bytes >> 8));
  x[1] = make_word((int8_t)(bytes >> 16), (int8_t)(bytes >> 24));
}

// Fills a block with pixels that follow each other. Blocks begin at multiples of four bytes of a
// plane, whose size is one, so a last block may read up to three unspecified bytes behind the
// pixels.
DCSR_NOINLINE static void expand_block(const int8_t* pixels, size_t step, uint32_t cols,
                                       uint32_t words, uint32_t* x) {
  uint32_t* const end = x + (size_t)cols * words;
  if (words == kBlockWords) {
    for (; x != end; x += kBlockWords) {
      expand_four(pixels, x);
      expand_four(pixels + 4, x + 2);
      pixels += step;
    }
    return;
  }
  for (; x != end; x += words) {
    const uint32_t bytes = dcsr_dsp_load(pixels);
    x[0] = make_word((int8_t)bytes, (int8_t)(bytes >> 8));
    if (words == 2) x[1] = make_word((int8_t)(bytes >> 16), (int8_t)(bytes >> 24));
    pixels += step;
  }
}

void dcsr_smlal_fill_tile(DcsrSmlalInput* input, size_t count, uint32_t cols, uint32_t* x) {
  while (count > 0) {
    const size_t block = count < kBlockPixels ? count : (size_t)kBlockPixels;
    const uint32_t words = dcsr_smlal_block_words(block);
    if (input->is_run) {
      expand_block(input->pixels.pixel, input->column_step, cols, words, x);
      input->pixels.pixel += block;
    } else {
      transpose_block(input, block, cols, x);
    }
    x += (size_t)cols * words;
    count -= block;
  }
}
