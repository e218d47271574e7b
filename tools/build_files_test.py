"""Tests the check of Bazel's files."""

from __future__ import annotations

from pathlib import Path

import build_files
import pytest

LOADED = 'load("@rules_cc//cc:defs.bzl", "cc_library", test = "cc_test")\n'


@pytest.mark.parametrize(
    "text",
    [
        LOADED + 'cc_library(name = "a")\ntest(name = "b")\n',
        LOADED + '[cc_library(name = n) for n in ["a"]]\n',
        "def cc_own(name):\n    native.filegroup(name = name)\n\ncc_own(name = 'a')\n",
        "def macro(cc_rule, **kwargs):\n    cc_rule(**kwargs)\n",
        "cc_flags = []\nfilegroup(name = 'a', tags = cc_flags)\n",
        'T = """\n' + LOADED.replace('"', '\\"') + 'cc_library(\n    name = "{name}",\n)\n"""\n',
        "# cc_library() in a comment, 'py_test(' in prose\n",
        "module(name = 'm')\n",
    ],
)
def test_files_that_load_their_rules_are_in_order(text):
    assert build_files.rules_without_load(text) == []


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('cc_library(name = "a")\n', [(1, "cc_library")]),
        (LOADED + 'py_test(name = "a")\ncc_library(name = "b")\n', [(2, "py_test")]),
        (LOADED + '\n[sh_test(name = n) for n in ["a"]]\n', [(3, "sh_test")]),
        (LOADED + 'cc_test(name = "loaded under another name")\n', [(2, "cc_test")]),
        ("def macro(name):\n    native.cc_binary(name = name)\n", [(2, "native.cc_binary")]),
        ("def macro():\n    _define(py_library)\n", [(2, "py_library")]),
        ("def rule_implementation(ctx):\n    return [CcInfo()]\n", [(2, "CcInfo")]),
        ("proto_library(name = 'a')\n", [(1, "proto_library")]),
        ('T = """\npy_library(\n    name = "{name}",\n)\n"""\n', [(1, "py_library")]),
    ],
)
def test_rules_without_load_are_found(text, found):
    assert build_files.rules_without_load(text) == found


def test_every_file_that_bazel_reads_is_checked():
    read = ["BUILD", "a/BUILD", "a/BUILD.bazel", "x.BUILD.bazel", "WORKSPACE", "MODULE.bazel", "a/b.bzl"]
    assert all(build_files.is_build_file(Path(path)) for path in read)
    assert not any(build_files.is_build_file(Path(path)) for path in ("a.py", "README.md", ".bazelrc", "bazel"))


def test_problems_are_one_line_each(tmp_path):
    (tmp_path / "BUILD").write_text("\ncc_test(name = 'a')\n")
    (tmp_path / "a.bzl").write_text("def f(:\n")
    (tmp_path / "b.bzl").write_text("x = 1\n")
    first, second = build_files.problems(tmp_path, ["BUILD", "a.bzl", "b.bzl"])
    assert first == "BUILD:2: cc_test is used without load()"
    assert second.startswith("a.bzl:1: ")
