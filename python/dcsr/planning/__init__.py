"""Decides the encoding and the scratch of each layer; changes no model.

Modules:
  settings: objectives, methods, and the settings of a plan.
  workload: the size of the work that a layer does in its model.
  cost: instructions and scratch of a packed layer on a core; cost_constants holds the fitted numbers.
  candidates: the ways to encode a layer.
  choice: picks one candidate for each layer, or none.
  plan_file: plans as YAML files.

May import: graph, layers, packing, encodings, custom_ops and model. Never passes.
"""
