"""Passes: each takes a model and gives a model with the same outputs, and says what it did.

Modules:
  densify: TFLite's own sparse tensors to dense ones. Cannot be undone.
  pack: layers to custom operators with packed weights. `record.restore` undoes it.
  strip: leaves out everything that running the model does not need. Cannot be undone.
  record: the record that pack leaves in the model, and `restore`, which undoes pack.

A pass copies the model that it is given. It carries out decisions and makes none: `planning` decides.

May import: graph, planning, layers, packing, custom_ops and model. Never cli, api or compressing.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Done:
    """What a pass did.

    Attributes:
      name: of the pass.
      changes: a line for each thing that it changed; empty if it changed nothing.
      can_be_undone: whether `decompress` gives back the model from before the pass.
    """

    name: str
    changes: tuple[str, ...]
    can_be_undone: bool

    def __str__(self) -> str:
        return "\n".join([self.name, *(f"  {change}" for change in self.changes)])
