"""Tests the completion of the command `dcsr`: what bash completes, and that the other shells have every option."""

from __future__ import annotations

import contextlib
import importlib
import io
import shutil
import subprocess

import pytest

from dcsr.cli import completion
from dcsr.cli.main import TOOLS
from dcsr.encodings import METHODS


@pytest.fixture(name="scripts", scope="module")
def _scripts() -> dict[str, str]:
    """Returns {shell: script}, as the tool prints them."""
    found = {}
    for shell in ("bash", "zsh", "fish"):
        with contextlib.redirect_stdout(io.StringIO()) as text:
            assert completion.main([shell]) == 0
        found[shell] = text.getvalue()
    return found


def complete(script: str, *words: str) -> list[str]:
    """Returns what bash offers for the last word of a command line. Empty: bash then completes file names."""
    line = 'COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _dcsr; for word in "${COMPREPLY[@]}"; do echo "$word"; done'
    command = ["bash", "--norc", "-c", f"{script}\n{line}", "bash", "dcsr", *words]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    assert result.stderr == ""
    return result.stdout.split()


def test_bash_accepts_the_script(scripts):
    subprocess.run(["bash", "-n", "-c", scripts["bash"]], check=True)


def test_bash_completes_tools(scripts):
    assert complete(scripts["bash"], "") == [*TOOLS, "--help", "--version"]
    assert complete(scripts["bash"], "com") == ["compress", "completion"]
    assert complete(scripts["bash"], "nothing") == []


@pytest.mark.parametrize("tool", TOOLS)
def test_bash_completes_every_option_of_every_tool(scripts, tool):
    parser = importlib.import_module(f"dcsr.cli.{tool}").command_line()
    names = [name for action in parser._actions for name in action.option_strings]
    assert complete(scripts["bash"], tool, "-") == names
    for shell in ("zsh", "fish"):
        assert all(name.lstrip("-") in scripts[shell] for name in names)


def test_bash_completes_values(scripts):
    script = scripts["bash"]
    assert complete(script, "compress", "--obj") == ["--objective"]
    assert complete(script, "compress", "--objective", "") == ["balanced", "size", "speed"]
    # `--objective=s` as bash splits it, and `--objective=`.
    assert complete(script, "compress", "--objective", "=", "s") == ["size", "speed"]
    assert complete(script, "compress", "--objective", "=") == ["balanced", "size", "speed"]
    assert set(METHODS) <= set(complete(script, "compress", "model.tflite", "--method", ""))
    assert "cortex-m55" in complete(script, "inspect", "--cpu", "cortex-m5")
    assert complete(script, "completion", "") == ["bash", "zsh", "fish"]


def test_bash_completes_file_names_elsewhere(scripts):
    script = scripts["bash"]
    for words in (["compress", ""], ["compress", "-o", ""], ["compress", "--plan", "-"], ["verify", "a.tflite", "b"]):
        assert complete(script, *words) == []
    assert "complete -o default -F _dcsr dcsr" in script


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_other_shells_accept_the_script(scripts, shell, tmp_path):
    if shutil.which(shell) is None:
        pytest.skip(f"no {shell} on PATH")
    path = tmp_path / "script"
    path.write_text(scripts[shell])
    subprocess.run([shell, "-n", path], check=True)


def test_an_unknown_shell_is_bad_usage(capsys):
    with pytest.raises(SystemExit) as exit_:
        completion.main(["tcsh"])
    assert exit_.value.code == 2
    assert "tcsh" in capsys.readouterr().err
