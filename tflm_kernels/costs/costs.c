// Counts the operations of each kernel. docs/kernels.md describes the kernels.

#include "tflm_kernels/costs/costs.h"

#include <string.h>

#include "tflm_kernels/common/conv_geometry.h"
#include "tflm_kernels/common/layout.h"
#include "tflm_kernels/common/pixels.h"
#include "tflm_kernels/common/row_scale.h"
#include "tflm_kernels/common/row_tail.h"
#include "tflm_kernels/format/row_reader.h"
#include "tflm_kernels/planning/kernel_lists.h"
#include "tflm_kernels/planning/plan_conv1x1_mve.h"
#include "tflm_kernels/planning/plan_conv2d_dense_dsp.h"
#include "tflm_kernels/planning/plan_conv2d_dense_mve.h"
#include "tflm_kernels/planning/plan_conv2d_im2col.h"
#include "tflm_kernels/planning/plan_conv2d_int16_c.h"
#include "tflm_kernels/planning/plan_depthwise_conv2d_dense_dsp.h"
#include "tflm_kernels/planning/plan_depthwise_conv2d_dense_mve.h"
#include "tflm_kernels/planning/plan_depthwise_conv2d_planes_mve.h"
#include "tflm_kernels/planning/plan_depthwise_conv2d_words_mve.h"
#include "tflm_kernels/planning/plan_gather_mve.h"
#include "tflm_kernels/planning/plan_ref.h"

enum {
  kVectorPixels = 8,  // pixels of a block of conv1x1_c and conv1x1_smlal
  kWideColumns = 255,
};

// The properties of a layer and its shape that determine the counts.
typedef struct {
  const DcsrLayer* layer;
  const DcsrConvShape* shape;  // of the whole layer, also in a tile of conv2d_im2col
  uint64_t vectors;            // output pixels of all images, or batches
  uint64_t rows;
  uint64_t cols;
  uint64_t elements;
  uint64_t nonzeros;
  uint64_t wide_groups;  // dcsr: groups that span more than 256 columns
  uint64_t groups;       // groups of up to 16 elements of a row
  uint64_t slow_rows;    // rows that conv1x1_mve computes in C, as far as bias and shift tell
  uint64_t pieces;       // copies, or fills with padding, that make up all patches of conv2d_im2col
  DcsrCoreClass core_class;
} Work;

static uint64_t divide_up(uint64_t value, uint64_t unit) { return (value + unit - 1) / unit; }

static void read_elements(const DcsrLayer* layer, Work* work) {
  DcsrRowReader reader = dcsr_row_reader(layer);
  for (uint32_t row = 0; row < layer->rows; ++row) {
    dcsr_next_row(&reader);
    work->groups += divide_up(reader.left, kDcsrGroupLanes);
    DcsrGroup group;
    while (dcsr_next_group(&reader, &group)) {
      int32_t first = group.column[0];
      int32_t last = first;
      for (uint32_t l = 0; l < group.lanes; ++l) {
        work->nonzeros += group.weight[l] != 0 ? 1 : 0;
        if (group.column[l] < first) first = group.column[l];
        if (group.column[l] > last) last = group.column[l];
      }
      const bool is_wide = layer->encoding == kDcsrEncodingDcsr && last - first > kWideColumns;
      work->wide_groups += is_wide ? 1 : 0;
    }
  }
}

static uint64_t count_slow_rows(const DcsrLayer* layer) {
  if (layer->int16_activations) return 0;
  uint64_t slow = 0;
  for (uint32_t row = 0; row < layer->rows; ++row) {
    const DcsrRowTail tail = dcsr_row_tail(layer, row);
    slow += dcsr_conv1x1_mve_requantizes(tail.bias, tail.shift) ? 0 : 1;
  }
  return slow;
}

// Returns how many rows of the filter lie within the image, summed over one column of output
// pixels.
static uint64_t rows_inside(const DcsrLayer* layer, const DcsrConvShape* shape) {
  const int64_t extent = dcsr_filter_extent(layer->filter_h, layer->dilation_h);
  const int64_t padding =
      dcsr_conv_padding(shape->input_height, shape->output_height, extent, layer->stride_h);
  uint64_t inside = 0;
  for (int64_t out = 0; out < shape->output_height; ++out) {
    for (int64_t tap = 0; tap < layer->filter_h; ++tap) {
      const int64_t y = out * layer->stride_h - padding + tap * layer->dilation_h;
      inside += y >= 0 && y < shape->input_height ? 1 : 0;
    }
  }
  return inside;
}

// Returns the number of pieces of one row of the filter, summed over one row of output pixels: one
// piece if the row of the filter lies within the image and is not dilated, else one for each tap.
static uint64_t pieces_of_rows(const DcsrLayer* layer, const DcsrConvShape* shape) {
  const int64_t extent = dcsr_filter_extent(layer->filter_w, layer->dilation_w);
  const int64_t padding =
      dcsr_conv_padding(shape->input_width, shape->output_width, extent, layer->stride_w);
  uint64_t pieces = 0;
  for (int64_t out = 0; out < shape->output_width; ++out) {
    const int64_t left = out * layer->stride_w - padding;
    const bool whole =
        left >= 0 && left + layer->filter_w <= shape->input_width && layer->dilation_w == 1;
    pieces += whole ? 1 : layer->filter_w;
  }
  return pieces;
}

static uint64_t count_pieces(const DcsrLayer* layer, const DcsrConvShape* shape) {
  if (layer->filter_h == 1 && layer->filter_w == 1) return 0;
  const uint64_t inside = rows_inside(layer, shape);
  const uint64_t outside = (uint64_t)shape->output_height * layer->filter_h - inside;
  return (uint64_t)shape->batches *
         (inside * pieces_of_rows(layer, shape) + outside * (uint64_t)shape->output_width);
}

static Work measure(const DcsrLayer* layer, const DcsrConvShape* shape, DcsrCoreClass core_class) {
  Work work;
  memset(&work, 0, sizeof(work));
  work.layer = layer;
  work.shape = shape;
  work.vectors = dcsr_pixel_count(shape);
  work.rows = layer->rows;
  work.cols = layer->cols;
  work.elements = layer->elements;
  work.slow_rows = count_slow_rows(layer);
  work.pieces = count_pieces(layer, shape);
  work.core_class = core_class;
  read_elements(layer, &work);
  return work;
}

// ----- Counts of each kernel -----

// The blocks of conv1x1_mve for all output pixels.
typedef struct {
  uint64_t blocks;
  uint64_t vectors;  // vectors of 8 pixels in all blocks
  uint64_t passes;   // how often all blocks are run, an estimate
} MveBlocks;

static MveBlocks mve_blocks(const Work* work, const DcsrPlan* plan) {
  MveBlocks found = {0, 0, 0};
  for (size_t first = 0; first < work->vectors;) {
    const uint32_t width =
        dcsr_conv1x1_mve_block_width(first, work->vectors, (uint32_t)plan->tile_pixels);
    first += width;
    ++found.blocks;
    found.vectors += width / kDcsrMveLanes;
  }
  const uint64_t least = dcsr_conv1x1_mve_row_words(plan->longest_row) * sizeof(uint32_t);
  const uint64_t programs = plan->scratch_bytes -
                            dcsr_conv1x1_mve_block_bytes(work->layer->cols, plan->tile_pixels) -
                            dcsr_word_reader_bytes(plan->longest_row);
  const uint64_t all = 4 * (work->rows * (kDcsrMveHeaderWords + 1) + work->elements * 5 / 2);
  const uint64_t passes = divide_up(all, programs > least ? programs - least : 1);
  found.passes = passes < work->rows ? passes : work->rows;
  return found;
}

// Returns the count of the activations in a block: bytes that are copied from planes, pieces that
// are gathered from their columns, or inputs that are transposed from NHWC.
static DcsrCount input_of_mve(const DcsrLayer* layer) {
  if (!dcsr_has_input_planes(layer)) return kDcsrCountInput;
  const bool is_gathered = layer->layout->is_transposed != 0 && !dcsr_has_output_planes(layer);
  return is_gathered ? kDcsrCountPiece : kDcsrCountByte;
}

// Also for conv1x1_planes_mve. Only there vectors of outputs in NHWC are counted apart.
static void count_mve(const Work* work, const DcsrPlan* plan, uint64_t* counts) {
  const MveBlocks found = mve_blocks(work, plan);
  const uint64_t fast_rows = work->rows - work->slow_rows;
  const uint64_t fast_elements = work->elements * fast_rows / work->rows;
  // The last block of a pass is the first one of the next, and is not filled again.
  const uint64_t kept = work->vectors < plan->tile_pixels ? work->vectors : plan->tile_pixels;
  counts[input_of_mve(work->layer)] +=
      work->cols * (work->vectors * found.passes - kept * (found.passes - 1));
  counts[kDcsrCountRow] += work->rows;
  counts[kDcsrCountRowBlock] += found.blocks * fast_rows;
  counts[kDcsrCountRowVector] += found.vectors * fast_rows;
  counts[kDcsrCountProductBlock] += found.blocks * fast_elements;
  counts[kDcsrCountProductVector] += found.vectors * fast_elements;
  counts[kDcsrCountSlowOutput] += work->vectors * work->slow_rows;
  counts[kDcsrCountSlowProduct] += work->vectors * (work->elements - fast_elements);
  if (work->layer->layout != NULL && !dcsr_has_output_planes(work->layer)) {
    counts[kDcsrCountOutput] += found.vectors * fast_rows;
  }
}

// conv2d_int16_c fills up the pixels to whole blocks. A block is multiplied with one list at a
// time.
static void count_int16(const Work* work, uint64_t passes, uint64_t* counts) {
  const uint64_t blocks = divide_up(work->vectors, kDcsrInt16BlockPixels);
  const uint64_t taps = (uint64_t)work->layer->filter_h * work->layer->filter_w;
  const uint64_t list = kDcsrInt16MostListEntries - kDcsrGroupLanes / 2;
  uint64_t lists =
      work->cols > kDcsrInt16MostListEntries ? divide_up(work->nonzeros, work->rows * list) : 1;
  if (lists < 1) lists = 1;
  counts[kDcsrCountInput] += blocks * kDcsrInt16BlockPixels * work->cols;
  counts[kDcsrCountTap] += blocks * kDcsrInt16BlockPixels * taps;
  counts[kDcsrCountOutput] += work->vectors * work->rows;
  counts[kDcsrCountRow] += passes * work->rows;
  counts[kDcsrCountRowBlock] += blocks * work->rows * lists;
  counts[kDcsrCountProductBlock] += blocks * work->nonzeros;
}

static void count_blocks(const Work* work, uint64_t passes, uint64_t* counts) {
  const uint64_t blocks = divide_up(work->vectors, kVectorPixels);
  counts[kDcsrCountInput] += work->vectors * work->cols;
  counts[kDcsrCountOutput] += work->vectors * work->rows;
  counts[kDcsrCountRow] += passes * work->rows;
  counts[kDcsrCountRowBlock] += blocks * work->rows;
  counts[kDcsrCountProductBlock] += blocks * work->elements;
}

// A group of elements is loaded once for all pixels of a set, and gathered for each pixel.
static void count_gather(const Work* work, uint64_t decodings, uint64_t passes, uint64_t* counts) {
  const DcsrLayer* layer = work->layer;
  const bool is_plain = layer->value_coding == kDcsrValuesPlain;
  const bool is_gathered_as_stored =
      is_plain && (layer->encoding == kDcsrEncodingOffset8 ||
                   (layer->encoding == kDcsrEncodingDcsr && dcsr_has_byte_deltas(layer)));
  counts[kDcsrCountOutput] += work->vectors * work->rows;
  counts[kDcsrCountCodedRow] += decodings * work->rows;
  counts[kDcsrCountProductVector] += work->vectors * work->groups;
  if (is_gathered_as_stored) return;
  counts[kDcsrCountCodedDecodedRow] += passes * work->rows;
  counts[kDcsrCountCodedDecodedElement] += passes * work->elements;
}

// conv2d_dense_mve and conv2d_dense_planes_mve read no streams. A row of weights is loaded once per
// tile, and reordered for a transposed image.
static void count_dense_mve(const Work* work, uint64_t tiles, uint64_t* counts) {
  const DcsrLayout* layout = work->layer->layout;
  const bool is_transposed =
      layout != NULL && layout->is_transposed != 0 && !dcsr_has_input_planes(work->layer);
  const uint64_t vectors = dcsr_conv2d_dense_mve_pitch(work->layer->cols) / kDcsrDenseMveVector;
  counts[kDcsrCountLayer] += 1;
  counts[kDcsrCountPatch] += work->vectors;
  counts[kDcsrCountTap] +=
      work->vectors * (is_transposed ? work->layer->filter_w : work->layer->filter_h);
  counts[kDcsrCountRow] += tiles * work->rows;
  counts[kDcsrCountPiece] += is_transposed ? tiles * work->rows * vectors : 0;
  counts[kDcsrCountOutput] += work->vectors * work->rows;
  counts[kDcsrCountProductVector] += work->vectors * work->rows * vectors;
}

// Returns the number of rows that depthwise_conv2d_dense_mve and depthwise_conv2d_planes_mve
// compute in C.
static uint64_t slow_depthwise_rows(const DcsrLayer* layer) {
  uint64_t slow = 0;
  for (uint32_t row = 0; row < layer->rows; ++row) {
    slow += dcsr_depthwise_mve_takes_row(layer, row) ? 0 : 1;
  }
  return slow;
}

// A block of 16 channels and a pixel is a vector of the row. Its taps are counted if they are not
// unrolled. depthwise_conv2d_dense_mve reads no streams.
static void count_depthwise_mve(const Work* work, const DcsrPlan* plan, uint64_t* counts) {
  const DcsrLayer* layer = work->layer;
  const DcsrConvShape* shape = work->shape;
  const uint64_t blocks = divide_up(work->rows, kDcsrDepthwiseBlock);
  const bool is_partial = work->rows % kDcsrDepthwiseBlock != 0;
  const uint64_t whole = blocks - (is_partial ? 1 : 0);
  const uint64_t tiles =
      divide_up(whole * kDcsrDepthwiseBlock, plan->tile_channels) + (is_partial ? 1 : 0);
  // Pixels that a vector holds, in the middle of a row.
  uint64_t vectors = work->vectors;
  if (work->rows < kDcsrDepthwiseBlock && kDcsrDepthwiseBlock % work->rows == 0 &&
      layer->stride_w == 1) {
    vectors = divide_up(vectors * work->rows, kDcsrDepthwiseBlock);
  }
  const uint64_t spans = divide_up((uint64_t)shape->output_width, plan->tile_pixels) *
                         (uint64_t)shape->output_height * (uint64_t)shape->batches;
  const uint64_t slow_rows = slow_depthwise_rows(layer);
  counts[kDcsrCountLayer] += 1;
  counts[kDcsrCountTile] += tiles * spans;
  counts[kDcsrCountPatch] += tiles * vectors;
  counts[kDcsrCountTap] += tiles * vectors * dcsr_depthwise_mve_lanes(layer->cols);
  counts[kDcsrCountRow] += blocks;
  if (layer->cols == kDcsrDepthwiseUnrolledTaps) {
    counts[kDcsrCountRowBlock] += vectors * blocks;
    if (dcsr_conv1x1_mve_rounds_in_full(layer)) counts[kDcsrCountOutput] += vectors * blocks;
  } else {
    counts[kDcsrCountRowVector] += vectors * blocks;
    counts[kDcsrCountProductVector] += vectors * blocks * dcsr_depthwise_mve_taps(layer->cols);
  }
  counts[kDcsrCountSlowOutput] += work->vectors * slow_rows;
  counts[kDcsrCountSlowProduct] += work->vectors * slow_rows * work->cols;
}

// depthwise_conv2d_words_mve reads no streams. Loads of 16 columns of four rows are inputs, groups
// of outputs product blocks (stride 1) or product vectors (stride 2), and steps of 16 outputs
// outputs (full rounding) or row vectors.
static void count_depthwise_words(const Work* work, const DcsrPlan* plan, uint64_t* counts) {
  const DcsrLayer* layer = work->layer;
  const DcsrWordsShape words = dcsr_words_mve_shape(layer, work->shape);
  const uint64_t tiles = divide_up(work->vectors, plan->tile_pixels);
  const uint64_t whole = work->vectors / plan->tile_pixels;
  const uint64_t steps = whole * dcsr_plane_steps(plan->tile_pixels) +
                         dcsr_plane_steps((size_t)work->vectors % plan->tile_pixels);
  const uint64_t sets = work->rows * words.sets;
  uint64_t slow = 0;
  uint64_t shifted = 0;
  for (uint32_t row = 0; row < layer->rows; ++row) {
    const DcsrRowTail tail = dcsr_row_tail(layer, row);
    const bool is_slow = !dcsr_plane_row_fits(&tail);
    slow += is_slow ? 1 : 0;
    shifted += !is_slow && tail.shift > 0 ? 1 : 0;
  }
  const bool is_full = dcsr_conv1x1_mve_rounds_in_full(layer);
  counts[kDcsrCountLayer] += 1;
  counts[kDcsrCountPatch] += words.sets;
  counts[kDcsrCountRow] += work->rows;
  counts[kDcsrCountTile] += tiles * work->rows;
  counts[kDcsrCountRowBlock] += sets;
  counts[kDcsrCountInput] += sets * words.loads;
  counts[layer->stride_w == 1 ? kDcsrCountProductBlock : kDcsrCountProductVector] +=
      sets * words.groups;
  counts[is_full ? kDcsrCountOutput : kDcsrCountRowVector] += (work->rows - slow) * steps;
  counts[kDcsrCountSlowOutput] += slow * work->vectors;
  counts[kDcsrCountPiece] += shifted * tiles;
  counts[kDcsrCountByte] += shifted * work->vectors;
}

// depthwise_conv2d_planes_mve reads no streams. It copies a plane in vectors of 16 pixels, to each
// copy (bytes) or to three at once (inputs), or gathers eight pixels (patches); then it restores
// pads (pieces). Steps of 24 pixels are row vectors, steps of 8 pixels tiles.
static void count_depthwise_planes(const Work* work, uint64_t* counts) {
  const DcsrLayer* layer = work->layer;
  const DcsrConvShape* shape = work->shape;
  const DcsrPlaneCopies copies = dcsr_plane_copies(layer, shape);
  const uint64_t pads = dcsr_plane_pads(layer, shape, &copies);
  const uint64_t copied = (uint64_t)copies.count * copies.bytes;
  const uint64_t input = (uint64_t)shape->input_height * (uint64_t)shape->input_width;
  const bool is_wide = work->vectors >= kDcsrPlaneStep;
  const uint64_t steps = divide_up(work->vectors, is_wide ? kDcsrPlaneStep : kDcsrMveLanes);
  const uint64_t pairs = work->cols / 2;
  const uint64_t slow = slow_depthwise_rows(layer);
  const uint64_t fast = work->rows - slow;
  counts[kDcsrCountLayer] += 1;
  counts[kDcsrCountTap] += pads + (copies.is_shifted ? 0 : copied);
  counts[kDcsrCountRow] += work->rows;
  counts[kDcsrCountPiece] += work->rows * divide_up(pads, 8);
  if (!copies.is_shifted) {
    counts[kDcsrCountPatch] += work->rows * divide_up(copied, 8);
  } else if (layer->filter_w == 3) {
    counts[kDcsrCountInput] += work->rows * divide_up(input, 16);
  } else {
    counts[kDcsrCountByte] += work->rows * layer->filter_w * divide_up(input, 16);
  }
  counts[is_wide ? kDcsrCountRowVector : kDcsrCountTile] += steps * fast;
  counts[is_wide ? kDcsrCountProductVector : kDcsrCountProductBlock] += steps * fast * pairs;
  counts[kDcsrCountSlowOutput] += work->vectors * slow;
  counts[kDcsrCountSlowProduct] += work->vectors * slow * work->cols;
}

// Adds the rows that the kernels with the DSP extension compute in C. Returns the number of others.
static uint64_t count_slow_dsp_rows(const Work* work, uint64_t* counts) {
  const DcsrLayer* layer = work->layer;
  uint64_t slow = 0;
  for (uint32_t row = 0; row < layer->rows; ++row) {
    const DcsrRowScale scale = dcsr_row_scale(layer, row, layer->cols);
    const bool is_fast =
        layer->op == kDcsrOpDepthwiseConv2d ? dcsr_depthwise_left_shift(&scale) >= 0 : scale.fast;
    slow += is_fast ? 0 : 1;
  }
  counts[kDcsrCountSlowOutput] += work->vectors * slow;
  counts[kDcsrCountSlowProduct] += work->vectors * slow * work->cols;
  return work->rows - slow;
}

// Returns the bytes of rows that conv2d_dense_dsp copies pixel by pixel, for all tiles.
static uint64_t copied_bytes(const Work* work, const DcsrPlan* plan) {
  const DcsrLayer* layer = work->layer;
  const uint64_t width = (uint64_t)work->shape->output_width;
  const uint64_t tiles = divide_up(work->vectors, plan->tile_pixels);
  const uint64_t rows = divide_up(work->vectors, width * tiles);
  const int64_t span =
      dcsr_dsp_span((int64_t)rows, layer->stride_h, layer->filter_h, layer->dilation_h);
  return tiles * (uint64_t)span * (uint64_t)work->shape->input_width * layer->channels;
}

// conv2d_dense_dsp reads no streams. It expands the patches of a tile to groups of four taps, and
// for each tile the weights of all rows.
static void count_dense_dsp(const Work* work, const DcsrPlan* plan, uint64_t* counts) {
  const uint64_t batches = (uint64_t)work->shape->batches;
  const uint64_t image = work->vectors / batches;
  const uint64_t tiles = batches * divide_up(image, plan->tile_pixels);
  const uint64_t blocks = batches * divide_up(image, kDcsrDspBlockPixels);
  const uint64_t groups = dcsr_dsp_groups(work->layer->cols);
  const uint64_t run = (uint64_t)work->layer->filter_w * work->layer->channels;
  const bool is_copied = work->layer->dilation_w > 1 || run % kDcsrDspGroupTaps != 0;
  counts[kDcsrCountLayer] += 1;
  if (dcsr_dsp_has_runs(work->layer)) {
    // Groups of a block.
    counts[kDcsrCountProductVector] += blocks * groups;
  } else {
    counts[kDcsrCountPatch] += blocks * kDcsrDspBlockPixels;
    counts[kDcsrCountTap] += blocks * kDcsrDspBlockPixels * groups;
    counts[kDcsrCountByte] += is_copied ? blocks * kDcsrDspBlockPixels * work->cols : 0;
    if (!dcsr_dsp_is_plain(work->layer) && dcsr_dsp_is_copied(work->layer, work->shape)) {
      counts[kDcsrCountPiece] += copied_bytes(work, plan);
    }
  }
  counts[kDcsrCountRow] += tiles * work->rows;
  counts[kDcsrCountInput] += tiles * work->rows * groups;
  const uint64_t fast_rows = count_slow_dsp_rows(work, counts);
  counts[kDcsrCountRowBlock] += blocks * fast_rows;
  counts[kDcsrCountProductBlock] += blocks * fast_rows * groups;
}

// depthwise_conv2d_dense_dsp copies the input to planes and computes two pixels of two rows in a
// step. The steps of its loops differ.
static void count_depthwise_dsp(const Work* work, const DcsrPlan* plan, uint64_t* counts) {
  const DcsrLayer* layer = work->layer;
  const DcsrConvShape* shape = work->shape;
  const bool is_transposed = dcsr_depthwise_is_transposed(shape);
  const uint64_t length = (uint64_t)(is_transposed ? shape->output_height : shape->output_width);
  const uint64_t rows = (uint64_t)(is_transposed ? shape->output_width : shape->output_height);
  const uint64_t channels = (uint64_t)shape->batches * work->rows;
  const uint64_t strips = divide_up(rows, kDcsrDepthwiseStripRows);
  const uint64_t tile_strips = plan->tile_pixels / (kDcsrDepthwiseStripRows * length);
  const uint64_t tiles = divide_up(strips, tile_strips);
  const uint64_t pair_rows =
      tiles * dcsr_depthwise_pair_rows((size_t)tile_strips, layer->stride_w, layer->filter_w);
  const uint64_t width =
      dcsr_depthwise_plane_width((uint32_t)length, layer->stride_w, layer->filter_w);
  const uint64_t fast = (uint64_t)shape->batches * count_slow_dsp_rows(work, counts);
  const uint64_t steps = fast * strips * divide_up(length, 2);
  counts[kDcsrCountLayer] += 1;
  counts[kDcsrCountTile] += tiles;
  counts[kDcsrCountInput] += channels * pair_rows * width;
  // A plane is copied by itself, which takes longer than a quarter of four channels of NHWC.
  if (dcsr_has_input_planes(layer)) counts[kDcsrCountPiece] += channels * pair_rows;
  counts[kDcsrCountRow] += channels * tiles;
  counts[kDcsrCountRowBlock] += fast * strips;
  if (layer->filter_w != 3) {
    counts[kDcsrCountProduct] += steps;
  } else if (layer->stride_w == 2) {
    counts[kDcsrCountProductVector] += steps;
  } else {
    counts[kDcsrCountProductBlock] += steps;
  }
}

// depthwise_conv2d_planes_dsp copies the edges of each row and computes two outputs in a step. A
// step takes longer if halves need their correction (row_scale.h).
static void count_depthwise_planes_dsp(const Work* work, uint64_t* counts) {
  const DcsrLayer* layer = work->layer;
  const uint64_t strips = divide_up((uint64_t)work->shape->output_width, 2);
  const uint64_t fast = count_slow_dsp_rows(work, counts);
  const uint64_t steps = fast * strips * (uint64_t)work->shape->output_height;
  const bool has_halves = layer->activation_min < layer->output_zero_point;
  counts[kDcsrCountLayer] += 1;
  counts[kDcsrCountRow] += work->rows;
  counts[kDcsrCountPiece] += fast * (uint64_t)work->shape->input_height;
  counts[kDcsrCountRowBlock] += fast * strips;
  counts[layer->stride_w == 2 ? kDcsrCountProduct : kDcsrCountProductBlock] += steps;
  if (has_halves) counts[kDcsrCountOutput] += steps;
}

static void count_portable(const Work* work, uint64_t passes, uint64_t* counts) {
  counts[kDcsrCountOutput] += work->vectors * work->rows;
  counts[kDcsrCountProduct] += work->vectors * work->elements;
  counts[kDcsrCountRow] += passes * work->rows;
}

static void count_coding(const Work* work, uint64_t decodings, uint64_t readers, uint64_t* counts) {
  const DcsrLayer* layer = work->layer;
  const uint64_t position_bytes =
      (uint64_t)layer->index_bytes + layer->delta_bytes + layer->plane_bytes;
  counts[kDcsrCountLayer] += 1;
  counts[kDcsrCountCodedElement] += decodings * work->elements;
  counts[kDcsrCountCodedPositionByte] += decodings * position_bytes;
  counts[kDcsrCountCodedWideGroup] += decodings * work->wide_groups;
  if (layer->value_coding == kDcsrValuesHuffman) counts[kDcsrCountTableOfCodes] += readers;
}

// Adds the counts of any kernel except conv2d_im2col.
static void count_kernel(const Work* work, const DcsrPlan* plan, uint64_t* counts) {
  uint64_t passes = 1;
  if (plan->kernel->id == kDcsrKernel_depthwise_conv2d_dense_mve) {
    count_depthwise_mve(work, plan, counts);
    return;
  }
  if (plan->kernel->id == kDcsrKernel_depthwise_conv2d_planes_mve) {
    count_depthwise_planes(work, counts);
    return;
  }
  if (plan->kernel->id == kDcsrKernel_depthwise_conv2d_words_mve) {
    count_depthwise_words(work, plan, counts);
    return;
  }
  if (plan->tile_pixels > 0) passes = divide_up(work->vectors, plan->tile_pixels);
  if (work->layer->op == kDcsrOpFullyConnected) {
    counts[kDcsrCountCodedRow] += work->vectors * work->rows;
    count_coding(work, work->vectors, work->vectors, counts);
    return;
  }
  switch (plan->kernel->id) {
    case kDcsrKernel_conv1x1_mve:
    case kDcsrKernel_conv1x1_planes_mve:
      count_mve(work, plan, counts);
      count_coding(work, 1, 1, counts);
      break;
    case kDcsrKernel_conv1x1_gather_mve: {
      // Each set of up to kDcsrGatherPixels pixels loads the groups again.
      const uint64_t chunks = divide_up(work->vectors, kDcsrGatherPixels);
      passes = divide_up(work->vectors, kDcsrGatherTilePixels);
      count_gather(work, chunks, passes, counts);
      count_coding(work, chunks, passes, counts);
      break;
    }
    case kDcsrKernel_conv2d_dense_dsp:
      count_dense_dsp(work, plan, counts);
      break;
    case kDcsrKernel_depthwise_conv2d_dense_dsp:
      count_depthwise_dsp(work, plan, counts);
      break;
    case kDcsrKernel_depthwise_conv2d_planes_dsp:
      count_depthwise_planes_dsp(work, counts);
      break;
    case kDcsrKernel_conv2d_dense_mve:
    case kDcsrKernel_conv2d_dense_planes_mve:
      count_dense_mve(work, passes, counts);
      break;
    case kDcsrKernel_conv2d_int16_c:
      count_int16(work, passes, counts);
      count_coding(work, passes, passes, counts);
      break;
    case kDcsrKernel_conv1x1_c:
    case kDcsrKernel_conv1x1_smlal:
      count_blocks(work, passes, counts);
      count_coding(work, passes, passes, counts);
      break;
    default:
      passes = divide_up(work->vectors, kDcsrRefTilePixels);
      count_portable(work, passes, counts);
      count_coding(work, passes, passes, counts);
  }
}

// Returns the number of vector gathers and scatters.
// Kernels that gather: for each pixel, one per group, and one per four rows for their sums.
// conv1x1_mve: for each vector of 8 pixels, one per row for the outputs. The transposition of a
// vector takes eight per 16 columns in each pass, none if there are fewer than 16 columns.
static uint64_t count_gathers(const Work* work, const DcsrPlan* plan) {
  switch (plan->kernel->id) {
    case kDcsrKernel_conv1x1_gather_mve:
    case kDcsrKernel_fully_connected_dcsr_mve:
    case kDcsrKernel_fully_connected_gather_mve:
    case kDcsrKernel_fully_connected_offset8_mve:
      return work->vectors * (work->groups + divide_up(work->rows, 4));
    case kDcsrKernel_conv1x1_mve: {
      const MveBlocks found = mve_blocks(work, plan);
      const uint64_t passes = found.blocks > 1 ? found.passes : 1;
      const uint64_t of_columns = work->cols >= 16 ? 4 * divide_up(work->cols, 16) : 0;
      return found.vectors * work->rows + passes * found.vectors * 2 * of_columns;
    }
    case kDcsrKernel_conv1x1_planes_mve: {
      const MveBlocks found = mve_blocks(work, plan);
      const uint64_t passes = found.blocks > 1 ? found.passes : 1;
      const DcsrCount input = input_of_mve(work->layer);
      const uint64_t of_columns = input == kDcsrCountPiece ? work->cols
                                  : input == kDcsrCountInput && work->cols >= 16
                                      ? 8 * divide_up(work->cols, 16)
                                      : 0;
      return (dcsr_has_output_planes(work->layer) ? 0 : found.vectors * work->rows) +
             passes * found.vectors * of_columns;
    }
    case kDcsrKernel_depthwise_conv2d_planes_mve: {
      const DcsrPlaneCopies copies = dcsr_plane_copies(work->layer, work->shape);
      const uint64_t pads = dcsr_plane_pads(work->layer, work->shape, &copies);
      const uint64_t copied =
          copies.is_shifted ? 0 : divide_up((uint64_t)copies.count * copies.bytes, 8);
      return work->rows * (divide_up(pads, 8) + copied);
    }
    case kDcsrKernel_depthwise_conv2d_words_mve:
      return work->rows;
    default:
      return 0;
  }
}

// Returns how often the kernel reads the tail of a row.
static uint64_t count_tails(const Work* work, const DcsrPlan* plan) {
  if (work->layer->op == kDcsrOpFullyConnected) return work->vectors * work->rows;
  switch (plan->kernel->id) {
    case kDcsrKernel_conv1x1_mve:
    case kDcsrKernel_conv1x1_planes_mve:
      return work->rows + mve_blocks(work, plan).blocks * work->slow_rows;
    case kDcsrKernel_conv1x1_gather_mve:
      return divide_up(work->vectors, kDcsrGatherTilePixels) * work->rows;
    case kDcsrKernel_conv1x1_c:
    case kDcsrKernel_conv1x1_smlal:
    case kDcsrKernel_conv2d_dense_mve:
    case kDcsrKernel_conv2d_dense_planes_mve:
      return divide_up(work->vectors, plan->tile_pixels) * work->rows;
    case kDcsrKernel_conv2d_dense_dsp:
    case kDcsrKernel_depthwise_conv2d_dense_dsp: {
      const uint64_t batches = (uint64_t)work->shape->batches;
      return batches * divide_up(work->vectors / batches, plan->tile_pixels) * work->rows;
    }
    case kDcsrKernel_depthwise_conv2d_dense_mve:
    case kDcsrKernel_depthwise_conv2d_planes_mve:
    case kDcsrKernel_depthwise_conv2d_planes_dsp:
    case kDcsrKernel_depthwise_conv2d_words_mve:
      return work->rows;
    default:
      return divide_up(work->vectors, kDcsrRefTilePixels) * work->rows;
  }
}

// ----- Names -----

#define DCSR_KERNEL_NAME(name) #name,
static const char* const kKernelNames[] = {DCSR_ALL_KERNELS(DCSR_KERNEL_NAME)};
#undef DCSR_KERNEL_NAME

// Returns the key of a kernel's constants. All FULLY_CONNECTED kernels for one type of activations
// share a key.
static const char* constants_name(const DcsrLayer* layer, const DcsrPlan* plan) {
  if (layer->op != kDcsrOpFullyConnected) return kKernelNames[plan->kernel->id];
  return layer->int16_activations ? "fully_connected_int16" : "fully_connected";
}

static bool is_portable(int32_t id) {
  return id == kDcsrKernel_conv1x1_ref || id == kDcsrKernel_conv2d_ref ||
         id == kDcsrKernel_conv2d_int16_ref || id == kDcsrKernel_depthwise_conv2d_ref;
}

static DcsrKernelCounts* part_of(DcsrCost* cost, const char* kernel) {
  for (uint32_t i = 0; i < cost->part_count; ++i) {
    if (strcmp(cost->parts[i].kernel, kernel) == 0) return &cost->parts[i];
  }
  DcsrKernelCounts* part = &cost->parts[cost->part_count++];
  part->kernel = kernel;
  return part;
}

// Adds the counts of the 1x1 convolutions of `tiles` tiles of `pixels` pixels (conv2d_im2col).
static void count_tiles(const Work* work, const DcsrPlan* plan, const DcsrLayer* tile,
                        uint64_t tiles, uint64_t pixels, DcsrCost* cost) {
  if (tiles == 0 || pixels == 0) return;
  Work of_tile = *work;
  of_tile.layer = tile;
  of_tile.vectors = pixels;
  const DcsrPlan inner = dcsr_plan_tile(plan->kernels, tile, (size_t)pixels, plan->inner_bytes,
                                        (uint32_t)plan->longest_row);
  uint64_t counts[kDcsrCountCount] = {0};
  count_kernel(&of_tile, &inner, counts);
  cost->linked |= UINT64_C(1) << inner.kernel->id;
  DcsrKernelCounts* part = part_of(cost, kKernelNames[inner.kernel->id]);
  for (uint32_t i = 0; i < kDcsrCountCount; ++i) part->counts[i] += tiles * counts[i];
  cost->gathers += tiles * count_gathers(&of_tile, &inner);
  cost->tails += tiles * count_tails(&of_tile, &inner);
}

static void count_im2col(const Work* work, const DcsrPlan* plan, DcsrCost* cost) {
  DcsrKernelCounts* part = part_of(cost, kKernelNames[plan->kernel->id]);
  part->counts[kDcsrCountLayer] = 1;
  part->counts[kDcsrCountTile] = divide_up(work->vectors, plan->tile_pixels);
  part->counts[kDcsrCountPatch] = work->vectors;
  part->counts[kDcsrCountPiece] = work->pieces;
  part->counts[kDcsrCountByte] = work->vectors * work->cols;
  const DcsrLayer tile = dcsr_tile_layer(work->layer);
  const uint64_t full = work->vectors / plan->tile_pixels;
  count_tiles(work, plan, &tile, full, plan->tile_pixels, cost);
  count_tiles(work, plan, &tile, 1, work->vectors % plan->tile_pixels, cost);
}

// Counts the dense kernel of the layer. The counts do not depend on the encoding.
static void count_dense(const Work* work, DcsrKernelCounts* dense) {
  const DcsrLayer* layer = work->layer;
  const bool is_int16 = layer->int16_activations;
  const uint64_t taps = (uint64_t)layer->filter_h * layer->filter_w;
  // The last vector of a row counts as a whole one.
  const uint64_t lanes = work->core_class != kDcsrClassMve ? 1 : is_int16 ? 8 : 16;
  const uint64_t outputs = work->vectors * work->rows;
  uint64_t* counts = dense->counts;
  counts[kDcsrCountLayer] = 1;
  counts[kDcsrCountOutput] = outputs;
  counts[kDcsrCountProduct] = outputs * (divide_up(work->cols, lanes) * lanes);
  if (layer->op == kDcsrOpFullyConnected) {
    dense->kernel = is_int16 ? "dense_fully_connected_int16" : "dense_fully_connected";
    return;
  }
  if (layer->op == kDcsrOpDepthwiseConv2d) {
    dense->kernel = "dense_depthwise_conv2d";
    counts[kDcsrCountProduct] = outputs * work->cols;
    return;
  }
  dense->kernel = is_int16 ? "dense_conv2d_int16" : taps == 1 ? "dense_conv1x1" : "dense_conv2d";
  counts[kDcsrCountInput] = work->vectors * work->cols;
  counts[kDcsrCountPatch] = work->vectors;
  // The dense int16 kernel copies patches tap by tap, including those of a 1x1 filter.
  counts[kDcsrCountPiece] = is_int16 ? work->vectors * taps : work->pieces;
}

// Whether all sizes are positive and the output has at most INT32_MAX pixels, so that no count
// overflows 64 bits.
static bool shape_is_valid(const DcsrConvShape* shape) {
  if (shape->batches < 1 || shape->input_height < 1 || shape->input_width < 1) return false;
  if (shape->output_height < 1 || shape->output_width < 1) return false;
  const uint64_t image = (uint64_t)shape->output_height * (uint64_t)shape->output_width;
  return image <= INT32_MAX && image * (uint64_t)shape->batches <= INT32_MAX;
}

int32_t dcsr_cost(const void* data, size_t size, const DcsrConvShape* shape, uint32_t core_class,
                  uint64_t budget, DcsrCost* cost) {
  memset(cost, 0, sizeof(*cost));
  DcsrLayer layer;
  DcsrStatus status = dcsr_layer_parse(data, size, &layer);
  if (status == kDcsrOk) status = dcsr_layer_validate(&layer);
  if (status != kDcsrOk) return (int32_t)status;
  if (core_class >= kDcsrClassCount || !shape_is_valid(shape)) {
    return (int32_t)kDcsrErrorHeader;
  }
  const DcsrKernels* kernels = dcsr_planning_table(layer.op, (DcsrCoreClass)core_class);
  if (budget == UINT64_MAX) budget = dcsr_scratch_budget(kernels, &layer);
  DcsrPlan plan;
  memset(&plan, 0, sizeof(plan));
  dcsr_plan(kernels, &layer, shape, (size_t)budget, &plan);
  const Work work = measure(&layer, shape, (DcsrCoreClass)core_class);
  cost->kernel = constants_name(&layer, &plan);
  cost->scratch_bytes = plan.scratch_bytes;
  cost->linked = UINT64_C(1) << plan.kernel->id;
  cost->is_portable = is_portable(plan.kernel->id) && layer.op != kDcsrOpFullyConnected ? 1 : 0;
  if (plan.kernel->id == kDcsrKernel_conv2d_im2col) {
    count_im2col(&work, &plan, cost);
  } else {
    DcsrKernelCounts* part = part_of(cost, constants_name(&layer, &plan));
    count_kernel(&work, &plan, part->counts);
    cost->gathers = count_gathers(&work, &plan);
    cost->tails = count_tails(&work, &plan);
  }
  count_dense(&work, &cost->dense);
  return (int32_t)kDcsrOk;
}

uint32_t dcsr_default_scratch(uint32_t core_class) {
  if (core_class >= kDcsrClassCount) return 0;
  return dcsr_planning_table(kDcsrOpConv2d, (DcsrCoreClass)core_class)->scratch_budget;
}

const char* dcsr_kernel_name(uint32_t id) {
  return id < kDcsrKernelCount ? kKernelNames[id] : NULL;
}

uint32_t dcsr_kernel_of_list(uint32_t op, uint32_t core_class, uint32_t list, uint32_t index) {
  if (op < kDcsrOpConv2d || op > kDcsrOpDepthwiseConv2d || core_class >= kDcsrClassCount) {
    return UINT32_MAX;
  }
  const DcsrKernels* table = dcsr_planning_table((DcsrOp)op, (DcsrCoreClass)core_class);
  const DcsrKernel* kernel = list == 0   ? table->pointwise
                             : list == 1 ? table->larger
                             : list == 2 ? table->int16
                                         : table->planes;
  if (kernel == NULL) return UINT32_MAX;
  for (; kernel->plan != NULL; ++kernel, --index) {
    if (index == 0) return (uint32_t)kernel->id;
  }
  return UINT32_MAX;
}

#define DCSR_COUNT_NAME(name, text, coded) text,
static const char* const kCountNames[] = {DCSR_ALL_COUNTS(DCSR_COUNT_NAME)};
#undef DCSR_COUNT_NAME
#define DCSR_COUNT_CODED(name, text, coded) coded,
static const uint8_t kCountIsCoded[] = {DCSR_ALL_COUNTS(DCSR_COUNT_CODED)};
#undef DCSR_COUNT_CODED

uint32_t dcsr_count_count(void) { return kDcsrCountCount; }

const char* dcsr_count_name(uint32_t count) { return kCountNames[count]; }

uint32_t dcsr_count_is_coded(uint32_t count) { return kCountIsCoded[count]; }

size_t dcsr_cost_bytes(void) { return sizeof(DcsrCost); }
