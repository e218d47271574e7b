"""Writes clips and a model's outputs for them as C++: export_clips MODEL.tflite CLIPS.npz OUT.cc.

CLIPS.npz has `clips`, int8 [n, 49, 10, 1], the inputs of the model; `labels`, the names of its outputs; and `spoken`,
int64 [n], the label of each clip.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from dcsr import cc_array
from dcsr.runtime import Interpreter

_TEXT = """\
// Made by export_clips.py of {clips} and {model}; do not edit.

#include "examples/keyword_spotting/keyword_clips.h"

const char* const kLabels[kLabelCount] = {{{labels}}};
const KeywordClip kClips[] = {{
{entries}}};
const size_t kClipCount = {count};
"""


def outputs(model: Path, clips: np.ndarray) -> np.ndarray:
    """Returns the model's output for each clip: int8 [n, outputs]."""
    interpreter = Interpreter.from_file(model)
    results = []
    for clip in clips:
        interpreter.set_input(clip[np.newaxis], 0)
        interpreter.invoke()
        results.append(interpreter.get_output(0)[0])
    return np.stack(results)


def main(arguments: Sequence[str]) -> int:
    """Writes the file named by the last argument."""
    model, clips, target = map(Path, arguments)
    with np.load(clips) as data:
        names = [str(label) for label in data["labels"]]
        inputs, spoken = data["clips"], data["spoken"]
    entries = [
        f'  {{"{names[label]}",\n   {{\n{cc_array.values(clip)}   }},\n   {{\n{cc_array.values(expected)}   }}}},\n'
        for clip, label, expected in zip(inputs, spoken, outputs(model, inputs), strict=True)
    ]
    target.write_text(
        _TEXT.format(
            clips=clips.name,
            model=model.name,
            labels=", ".join(f'"{name}"' for name in names),
            entries="".join(entries),
            count=len(entries),
        )
    )
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
