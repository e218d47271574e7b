"""Checks Bazel's files: rules of languages and their providers come by load(), because Bazel 9 has none."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

_RULE = re.compile(r"(cc|java|objc|proto|py|sh)_[a-z_]+|(Cc|Java|Proto|Py)[A-Za-z]*Info")
# A rule at the start of a line of a BUILD file that a string of a .bzl file holds.
_RULE_IN_TEXT = re.compile(r"^((?:cc|java|objc|proto|py|sh)_[a-z_]+)\(", re.MULTILINE)


def is_build_file(path: Path) -> bool:
    """Whether Bazel reads `path`: BUILD, BUILD.bazel, NAME.BUILD.bazel, WORKSPACE, MODULE.bazel, NAME.bzl."""
    return path.name in ("BUILD", "WORKSPACE") or path.suffix in (".bazel", ".bzl")


def rules_without_load(text: str) -> list[tuple[int, str]]:
    """Finds rules such as cc_* and py_*, and providers such as CcInfo, that a file uses but neither loads nor defines.

    Args:
      text: content of a file in Starlark, whose syntax is a subset of Python's.

    Returns:
      [(line, name)], in the order of the file.

    Raises:
      SyntaxError: if `text` is not Starlark.
    """
    tree = ast.parse(text)
    known = set(_known_names(tree))
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
            found += [(node.lineno, node.id)] if _RULE.fullmatch(node.id) and node.id not in known else []
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "native":
            found += [(node.lineno, f"native.{node.attr}")] if _RULE.fullmatch(node.attr) else []
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            # Templates have fields in braces, so they are not parsed.
            used = _RULE_IN_TEXT.findall(node.value)
            found += [(node.lineno, name) for name in used if not _loads_in_text(node.value, name)]
    return sorted(set(found))


def _known_names(tree: ast.Module) -> Iterator[str]:
    """Yields the names that a file loads, defines or receives as parameters."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "load":
            yield from (word.value for word in node.args[1:] if isinstance(word, ast.Constant))
            yield from (keyword.arg for keyword in node.keywords if keyword.arg)
        elif isinstance(node, ast.FunctionDef):
            yield node.name
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
        elif isinstance(node, ast.arg):
            yield node.arg


def _loads_in_text(text: str, name: str) -> bool:
    return any(f'"{name}"' in line for line in text.splitlines() if line.startswith("load("))


def problems(root: Path, paths: list[str]) -> list[str]:
    """Returns one line for each rule without load() in the files `paths`, which are relative to `root`."""
    found = []
    for path in paths:
        try:
            for line, name in rules_without_load((root / path).read_text()):
                found.append(f"{path}:{line}: {name} is used without load()")
        except SyntaxError as error:
            found.append(f"{path}:{error.lineno}: {error.msg}")
    return found
