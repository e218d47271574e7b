"""The commands at the top of docs/pruning.md and README.md, run as they stand."""

import os
import re
import shlex
import subprocess
from pathlib import Path

import pytest

ROOT = Path.cwd()
COMMAND = re.compile(r"^    (?:\./bazelw run //python:)?(prune|compress|verify) (?:-- )?(.*)$", re.MULTILINE)


@pytest.mark.parametrize("page", ["docs/pruning.md", "README.md"])
def test_the_first_three_commands_run(page, tmp_path):
    commands = COMMAND.findall((ROOT / page).read_text())[:3]
    assert [tool for tool, _ in commands] == ["prune", "compress", "verify"]
    (tmp_path / "models").symlink_to(ROOT / "models")
    for tool, arguments in commands:
        result = subprocess.run(
            [ROOT / "python" / tool, *shlex.split(arguments)],
            env=os.environ | {"BUILD_WORKING_DIRECTORY": str(tmp_path)},
            cwd="/",
            capture_output=True,
            text=True,
            timeout=200,
        )
        assert result.returncode == 0, result.stderr
    assert "identical" in result.stdout
    assert (tmp_path / "small.tflite").stat().st_size < 0.8 * (ROOT / "models/kws/ds_cnn_s_dense.tflite").stat().st_size
