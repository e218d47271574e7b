// Planners of the kernels that gather (MVE). None needs scratch.

#include "tflm_kernels/planning/plan_gather_mve.h"

#include "tflm_kernels/format/row_reader.h"
#include "tflm_kernels/planning/planners.h"

static bool is_plain(const DcsrLayer* layer, DcsrEncoding encoding) {
  return layer->encoding == encoding && layer->value_coding == kDcsrValuesPlain;
}

bool dcsr_plan_conv1x1_gather_mve(DcsrPlanRequest* request, DcsrPlan* plan) {
  (void)plan;
  const DcsrLayer* layer = request->layer;
  if (request->pixels > DCSR_MOST_GATHER_PIXELS) return false;
  if (layer->slow_gathers && request->pixels > kDcsrMostSlowGatherPixels) return false;
  return request->pixels <= kDcsrMostDecodedGatherPixels || is_plain(layer, kDcsrEncodingRle) ||
         is_plain(layer, kDcsrEncodingOffset8);
}

bool dcsr_plan_fully_connected_gather_mve(DcsrPlanRequest* request, DcsrPlan* plan) {
  (void)plan;
  (void)request;
  return true;
}

bool dcsr_plan_fully_connected_offset8_mve(DcsrPlanRequest* request, DcsrPlan* plan) {
  (void)plan;
  return request->pixels == 1 && is_plain(request->layer, kDcsrEncodingOffset8);
}

bool dcsr_plan_fully_connected_dcsr_mve(DcsrPlanRequest* request, DcsrPlan* plan) {
  (void)plan;
  const DcsrLayer* layer = request->layer;
  if (request->pixels != 1 || !is_plain(layer, kDcsrEncodingDcsr)) return false;
  if (!dcsr_has_byte_deltas(layer)) return false;
  uint32_t groups = 0;
  for (uint32_t row = 0; row < layer->rows; ++row) {
    groups += (dcsr_row_length(layer, row) + kDcsrGroupLanes - 1) / kDcsrGroupLanes;
  }
  // An escaped base would take additional bytes.
  return layer->index_bytes == groups * kDcsrStepBytes;
}
