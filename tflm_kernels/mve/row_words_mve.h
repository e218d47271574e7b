// Decodes rows of a matrix to row lists for vector kernels (conv1x1_mve.c). A row list (`program`
// in the code) holds the address of the activations of each nonzero, and its weight, in groups that
// can be added up in 16 bits.

#ifndef DCSR_TFLM_KERNELS_MVE_ROW_WORDS_MVE_H_
#define DCSR_TFLM_KERNELS_MVE_ROW_WORDS_MVE_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tflm_kernels/common/compiler.h"
#include "tflm_kernels/format/row_reader.h"
#include "tflm_kernels/planning/plan_conv1x1_mve.h"

#ifdef __cplusplus
extern "C" {
#endif

// A macro, as the assembly of row_words_mve.c uses it as well.
#define DCSR_MOST_MAGNITUDE 254

enum {
  kDcsrMostMagnitude = DCSR_MOST_MAGNITUDE,  // maximum sum of |weight| in a group
  kDcsrMostGroup = 6,                        // maximum number of nonzeros in a group
  kDcsrGroupHalf = 3,                        // nonzeros whose addresses stand before their weights
};

// Each group begins with its code. Without MVE this is its number of nonzeros, plus kDcsrLastGroup
// in the last group of a row. With MVE it is the address of the instructions that multiply the
// group in blocks of 32 pixels (conv1x1_mve.c), behind this structure.
#if DCSR_HAS_MVE
typedef struct {
  uint32_t first;      // code of such a group at the beginning of a row; 0 at the end of a row
  uint32_t last;       // code of such a group at the end of a row
  uint32_t count;      // number of nonzeros
  uint32_t narrow[2];  // instructions for blocks of 16 and of 8 pixels
} DcsrGroupCode;

static inline const DcsrGroupCode* dcsr_group_code(uint32_t code) {
  // The lowest bit of an address of instructions is 1.
  return (const DcsrGroupCode*)(uintptr_t)(code - 1) - 1;
}

static inline uint32_t dcsr_group_count(uint32_t code) { return dcsr_group_code(code)->count; }

static inline bool dcsr_is_last_group(uint32_t code) { return dcsr_group_code(code)->first == 0; }
#else
enum { kDcsrLastGroup = 8 };

static inline uint32_t dcsr_group_count(uint32_t code) { return code % kDcsrLastGroup; }

static inline bool dcsr_is_last_group(uint32_t code) { return code >= kDcsrLastGroup; }
#endif

struct DcsrWordReader;

// Decodes the next row, which has `elements` > 0 elements, to a row list at `program`. Returns the
// end of the row list, or NULL if it has decoded only the first groups of the row, or none.
typedef uint32_t* DcsrWordStage(struct DcsrWordReader* reader, uint32_t elements,
                                uint32_t* program);

// The stages of encodings with plain values. A firmware links those that its kernels name.
DcsrWordStage dcsr_mve_stage_none;  // any encoding: leaves all groups to the row reader
DcsrWordStage dcsr_mve_stage_ones;  // rice, bitmap
#if DCSR_HAS_MVE
DcsrWordStage dcsr_mve_stage_nibbles;  // dcsr
DcsrWordStage dcsr_mve_stage_bytes;    // dcsr with byte deltas
DcsrWordStage dcsr_mve_stage_offset8;
#else
#define dcsr_mve_stage_nibbles dcsr_mve_stage_none
#define dcsr_mve_stage_bytes dcsr_mve_stage_none
#define dcsr_mve_stage_offset8 dcsr_mve_stage_none
#endif

// Returns the stage of a layer, out of all.
DcsrWordStage* dcsr_word_stage(const DcsrLayer* layer);

// The assembly in row_words_mve.c uses the offsets of fields, including those of the row reader.
typedef struct DcsrWordReader {
  // A nonzero is a word, `offset of the column in x << 16 | (weight & 0xFFFF)`, and a byte,
  // |weight|.
  uint32_t* word;      // written next
  uint8_t* magnitude;  // written next
  uint32_t* words;     // of the row
  uint8_t* magnitudes;
  const int8_t* limit;  // last weight with which a simple group may begin
  uint32_t pitch;       // bytes of a column in x
  uint32_t slopes;      // slope times elements
  const int8_t* x;      // activations
  DcsrWordStage* stage;
  DcsrRowReader row;
} DcsrWordReader;

// `stage` is that of the layer. `memory` has dcsr_word_reader_bytes(elements) bytes
// (plan_conv1x1_mve.h), aligned to 4; cols * pitch is at most 65536.
DcsrWordReader dcsr_word_reader(const DcsrLayer* layer, DcsrWordStage* stage, const int8_t* x,
                                uint32_t pitch, size_t elements, void* memory);

// Number of elements of the next row.
static inline uint32_t dcsr_next_row_elements(const DcsrWordReader* reader) {
  return dcsr_row_length(reader->row.layer, reader->row.row);
}

// Decodes the next row, which has `elements` elements, to a row list at `program`. A row list is a
// sequence of groups:
//
//   code, address of the activations of each nonzero, weight of each in the lower half of a word
//
// The addresses and weights of the first kDcsrGroupHalf nonzeros stand before those of the others.
// A row without nonzeros has one group without nonzeros. Fillers may be left out. Returns the end
// of the row list.
uint32_t* dcsr_next_row_program(DcsrWordReader* reader, uint32_t elements, uint32_t* program);

#ifdef __cplusplus
}
#endif

#endif  // DCSR_TFLM_KERNELS_MVE_ROW_WORDS_MVE_H_
