// Sizes of compact rows in a packed layer: docs/format.md#compact-rows.

#ifndef DCSR_TFLM_KERNELS_FORMAT_COMPACT_ROWS_H_
#define DCSR_TFLM_KERNELS_FORMAT_COMPACT_ROWS_H_

#ifdef __cplusplus
extern "C" {
#endif

enum {
  kDcsrCompactHeadBytes = 16,
  kDcsrExceptionBytes = 12,
  kDcsrRecordBytes = 4,
  kDcsrBiasHighBytes = 2,
};

#ifdef __cplusplus
}
#endif

#endif  // DCSR_TFLM_KERNELS_FORMAT_COMPACT_ROWS_H_
