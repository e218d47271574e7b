// The cost of a packed layer on a core: its kernel, its scratch, and the counts of the operations
// of the kernel. The converter plans with it. The instructions of a layer are the sum of its
// counts, each times a constant of the core (python/dcsr/planning/kernel_constants.json). Runs on
// hosts only: a firmware plans, but does not count.
//
// A shared library exports the functions of this header, except dcsr_planning_table(), to Python.
// python/dcsr/planning/kernel_costs.py declares the same structures and checks the size of
// DcsrCost. Change both together.

#ifndef DCSR_TFLM_KERNELS_COSTS_COSTS_H_
#define DCSR_TFLM_KERNELS_COSTS_COSTS_H_

#include <stddef.h>
#include <stdint.h>

#include "tflm_kernels/kernels.h"

#ifdef __cplusplus
extern "C" {
#endif

// Classes of cores. planning/kernel_lists.h lists the cores of each.
typedef enum {
  kDcsrClassReference,
  kDcsrClassArmv6m,
  kDcsrClassArmv7m,
  kDcsrClassArmv7em,
  kDcsrClassMve,
  kDcsrClassCount,
} DcsrCoreClass;

// C(identifier, name, coded). `coded` is 1 if the constant of the count depends on the coding of
// the layer: its encoding and the coding of its values.
#define DCSR_ALL_COUNTS(C)                     \
  C(Layer, "layer", 0)                         \
  C(Tile, "tile", 0)                           \
  C(Patch, "patch", 0)                         \
  C(Piece, "piece", 0)                         \
  C(Byte, "byte", 0)                           \
  C(Input, "input", 0)                         \
  C(Tap, "tap", 0)                             \
  C(Output, "output", 0)                       \
  C(Product, "product", 0)                     \
  C(Row, "row", 0)                             \
  C(RowBlock, "row block", 0)                  \
  C(RowVector, "row vector", 0)                \
  C(ProductBlock, "product block", 0)          \
  C(ProductVector, "product vector", 0)        \
  C(SlowOutput, "slow output", 0)              \
  C(SlowProduct, "slow product", 0)            \
  C(CodedRow, "row", 1)                        \
  C(CodedDecodedRow, "decoded row", 1)         \
  C(CodedDecodedElement, "decoded element", 1) \
  C(CodedElement, "element", 1)                \
  C(CodedPositionByte, "position byte", 1)     \
  C(CodedWideGroup, "wide group", 1)           \
  C(TableOfCodes, "table of codes", 0)

#define DCSR_COUNT(name, text, coded) kDcsrCount##name,
typedef enum { DCSR_ALL_COUNTS(DCSR_COUNT) kDcsrCountCount } DcsrCount;
#undef DCSR_COUNT

// The counts of one kernel that a layer runs. A layer with a larger filter runs several:
// conv2d_im2col and the 1x1 kernels of its tiles.
typedef struct {
  const char* kernel;  // key of its constants
  uint64_t counts[kDcsrCountCount];
} DcsrKernelCounts;

enum { kDcsrMostParts = 3 };

typedef struct {
  const char* kernel;  // name; one name for all FULLY_CONNECTED kernels with int8 activations
  uint64_t scratch_bytes;
  uint64_t gathers;      // vector gathers and scatters (MVE)
  uint64_t tails;        // how often a bias, multiplier and shift are read: dcsr_row_tail()
  uint32_t is_portable;  // 1: a convolution that runs a portable kernel
  uint32_t part_count;   // number of valid `parts`
  uint64_t linked;       // bits: the kernels that run, by DcsrKernelId (dcsr_kernel_name())
  DcsrKernelCounts parts[kDcsrMostParts];
  DcsrKernelCounts dense;  // counts of the dense kernel for a layer of this shape (baseline/)
} DcsrCost;

// Computes the cost of a packed layer on a core.
//
// data, size: the packed layer, aligned to 4.
// shape:      of its activations; 1 x 1 pixels for FULLY_CONNECTED.
// core_class: a DcsrCoreClass.
// budget:     bytes of scratch that the kernel may request; UINT64_MAX: the budget of the layer, or
//             the default of the class if the layer has none.
//
// Returns a DcsrStatus: that of parsing and validation, or kDcsrErrorHeader if `core_class` is
// unknown, a size of `shape` is not positive, or the output has more than INT32_MAX pixels. `cost`
// is unspecified if it is not kDcsrOk.
int32_t dcsr_cost(const void* data, size_t size, const DcsrConvShape* shape, uint32_t core_class,
                  uint64_t budget, DcsrCost* cost);

// Returns the table that dcsr_cost() plans with: that of the class, without run functions.
const DcsrKernels* dcsr_planning_table(DcsrOp op, DcsrCoreClass core_class);

// Returns the scratch budget in bytes of layers that have none; 0 for an unknown class.
uint32_t dcsr_default_scratch(uint32_t core_class);

// The number of counts, and for count < dcsr_count_count(): its name, and whether its constant
// depends on the coding.
uint32_t dcsr_count_count(void);
const char* dcsr_count_name(uint32_t count);
uint32_t dcsr_count_is_coded(uint32_t count);

// The name of kernel `id`; NULL if there is none.
const char* dcsr_kernel_name(uint32_t id);

// Returns the id of kernel `index` of a list, in the order in which they are tried; UINT32_MAX past
// the last. `op` is a DcsrOp, `core_class` a DcsrCoreClass, `list` 0 for 1x1 filters and
// FULLY_CONNECTED, 1 for larger filters and DEPTHWISE_CONV_2D, 2 for int16 activations, 3 for
// activations in planes.
uint32_t dcsr_kernel_of_list(uint32_t op, uint32_t core_class, uint32_t list, uint32_t index);

// Returns sizeof(DcsrCost), to check declarations in another language.
size_t dcsr_cost_bytes(void);

#ifdef __cplusplus
}
#endif

#endif  // DCSR_TFLM_KERNELS_COSTS_COSTS_H_
