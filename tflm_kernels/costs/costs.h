// The cost of a packed layer on a core, for the planner of the converter: the kernel, its scratch,
// and how often the kernel does what (counts). Instructions are counts times constants of the core
// (python/dcsr/planning). On hosts only: a firmware plans, but does not count.
//
// The functions of this header are exported by a shared library, for ctypes. Changes go into
// python/dcsr/planning/kernel_costs.py as well, which checks the sizes of the structures.

#ifndef DCSR_TFLM_KERNELS_COSTS_COSTS_H_
#define DCSR_TFLM_KERNELS_COSTS_COSTS_H_

#include <stddef.h>
#include <stdint.h>

#include "tflm_kernels/kernels.h"

#ifdef __cplusplus
extern "C" {
#endif

// Classes of cores (planning/kernel_lists.h).
typedef enum {
  kDcsrClassReference,
  kDcsrClassArmv6m,
  kDcsrClassArmv7m,
  kDcsrClassMve,
  kDcsrClassCount,
} DcsrCoreClass;

// Name, and whether the constant of the count depends on the coding of the layer.
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

// One kernel of a layer: its name in the constants, and its counts. A larger filter takes several.
typedef struct {
  const char* kernel;
  uint64_t counts[kDcsrCountCount];
} DcsrKernelCounts;

enum { kDcsrMostParts = 3 };

typedef struct {
  const char* kernel;  // of the table
  uint64_t scratch_bytes;
  uint64_t gathers;      // vector gathers and scatters (MVE)
  uint32_t is_portable;  // scratch is too small for the core's own kernel
  uint32_t part_count;
  DcsrKernelCounts parts[kDcsrMostParts];
  DcsrKernelCounts dense;  // of the dense product of the layer (baseline/)
} DcsrCost;

// Fills in `cost` for the packed layer in `data`, aligned to 4, on a core of the class. `budget` is
// the scratch in bytes; UINT64_MAX for that of the layer or the default of the class.
// Returns a DcsrStatus; `cost` is unspecified if that is not kDcsrOk.
int32_t dcsr_cost(const void* data, size_t size, const DcsrConvShape* shape, uint32_t core_class,
                  uint64_t budget, DcsrCost* cost);

// The table of a class without run functions: what dcsr_cost() plans with.
const DcsrKernels* dcsr_planning_table(DcsrOp op, DcsrCoreClass core_class);

uint32_t dcsr_default_scratch(uint32_t core_class);

// For count < dcsr_count_count(): the name, and whether it depends on the coding.
uint32_t dcsr_count_count(void);
const char* dcsr_count_name(uint32_t count);
uint32_t dcsr_count_is_coded(uint32_t count);

// sizeof(DcsrCost), for those who declare it in another language.
size_t dcsr_cost_bytes(void);

#ifdef __cplusplus
}
#endif

#endif  // DCSR_TFLM_KERNELS_COSTS_COSTS_H_
