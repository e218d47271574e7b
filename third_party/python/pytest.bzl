"""pytest as a Bazel test."""

load("@rules_python//python:defs.bzl", "py_test")

_MAIN = "//third_party/python:pytest_main.py"

def pytest_test(name, srcs, deps = [], args = [], **kwargs):
    """A py_test that runs pytest over its sources.

    Fails if the sources contain no tests. `--test_filter=EXPRESSION` works like `pytest -k EXPRESSION`;
    other options of pytest are passed with `--test_arg`. A large parametrised test can be split into
    processes with `shard_count`.

    Args:
      name: the target.
      srcs: the test files. Helpers, including conftest.py, go in `deps` or `data`.
      deps: imports of the tests; pytest and hypothesis are added automatically.
      args: further arguments for pytest.
      **kwargs: further attributes of the py_test, such as data, size and tags.
    """
    py_test(
        name = name,
        srcs = srcs + [_MAIN],
        main = _MAIN,
        args = ["$(rootpaths %s)" % src for src in srcs] + args,
        python_version = "PY3",
        deps = deps + [
            "@pip//hypothesis",
            "@pip//pytest",
        ],
        **kwargs
    )
