"""pytest as a Bazel test."""

_MAIN = "//third_party/python:pytest_main.py"

def pytest_test(name, srcs, deps = [], args = [], **kwargs):
    """A py_test that runs pytest over its sources.

    Fails if they hold no test. `--test_filter=EXPRESSION` selects as `pytest -k EXPRESSION`
    does; other options of pytest go in `--test_arg`. A test of a big table can be spread over
    processes with `shard_count`.

    Args:
      name: the target.
      srcs: the files with the tests. Helpers, conftest.py among them, go in `deps` or `data`.
      deps: what they import; pytest and hypothesis are there anyway.
      args: more arguments for pytest.
      **kwargs: data, size, tags and the like, for py_test.
    """
    native.py_test(
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
