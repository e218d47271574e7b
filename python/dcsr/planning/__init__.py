"""Decides the encoding and the scratch of each layer. Changes no model.

Modules:
  settings: objectives, methods, and the settings of a plan.
  workload: pixels, batches and products of a layer.
  kernel_costs: kernel, scratch and counts of a layer, from the kernels' own C code.
  cost: estimated instructions and exact scratch of a layer on a core. kernel_constants.json holds the fitted constants.
  kept: the time of operators that stay in TFLM.
  candidates: the ways to encode a layer.
  choice: chooses one candidate for each layer, or keeps the layer dense.
  bounds: the bounds of the time that choice keeps.
  arena: simulates TFLM's memory planner.
  builtin_memory: scratch and state of TFLM's operators, with CMSIS-NN's and with the portable kernels.
  footprint: the arena of a model, dense and with packed layers.
  fitting: gives layers the scratch with which the arena stays within its limit.
  firmware: arena and time of the whole model, dense and compressed.
  plan_file: reads and writes plans as YAML files.

May import: graph, layers, packing, encodings, custom_ops and model. Never passes.
"""
