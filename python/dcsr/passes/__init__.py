"""Passes: each returns a changed copy of a model, with the same outputs, and a list of its changes.

Modules:
  densify: expands sparse tensors of TFLite's own format. Cannot be undone.
  dead_channels: removes channels that nothing reads; channels, products and rewrite are parts of it. Cannot be undone.
  pack: replaces layers by custom operators with packed weights. `record.restore` undoes it.
  strip: removes everything that inference does not need. Cannot be undone.
  record: the record that pack stores in the model, and `restore`, which undoes pack.

A pass never changes its input. It carries out decisions, and `planning` makes them.

May import: graph, planning, layers, packing, custom_ops and model. Never cli, api or compressing.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Done:
    """The changes that a pass made.

    Attributes:
      name: name of the pass.
      changes: one line for each change; empty if the pass changed nothing.
      can_be_undone: whether `decompress` undoes the pass.
    """

    name: str
    changes: tuple[str, ...]
    can_be_undone: bool

    def __str__(self) -> str:
        return "\n".join([self.name, *(f"  {change}" for change in self.changes)])
