"""Runs the examples of docs/python.md unchanged, in their order."""

import re
import shutil
from pathlib import Path

import dcsr

ROOT = Path.cwd()


def test_examples_run(tmp_path, monkeypatch, capsys):
    text = (ROOT / "docs/python.md").read_text()
    shutil.copy(ROOT / "models/fashion_dscnn_90.tflite", tmp_path / "model.tflite")
    (tmp_path / "models").symlink_to(ROOT / "models")
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    examples = list(re.finditer(r"```python\n(.*?)```", text, re.DOTALL))
    assert len(examples) > 8
    for example in examples:
        line = text.count("\n", 0, example.start(1))
        # Prepend lines, so that a traceback gives the line numbers of the page.
        exec(compile("\n" * line + example[1], "docs/python.md", "exec"), names)
    printed = capsys.readouterr().out
    assert "rows x cols" in printed
    assert printed.endswith("model.tflite: has no compressed layers\n")


def test_every_public_name_is_described():
    text = (ROOT / "docs/python.md").read_text()
    for name in dcsr.__all__:
        assert f"`{name}" in text, name
