"""The python3 on PATH as Bazel's Python toolchain."""

# Prints the content of python.txt. With the ABI in it, packages are reinstalled when an upgrade replaces
# the Python at the same path.
_PROBE = """\
import sys, sysconfig
if sys.version_info < (3, 10):
    sys.exit("it is Python " + sys.version.split()[0])
print(sys.executable)
print(sysconfig.get_config_var("SOABI"))
"""

_BUILD = """\
load("@rules_python//python:defs.bzl", "py_runtime", "py_runtime_pair")

exports_files(["python.txt"])

py_runtime(
    name = "runtime",
    interpreter_path = "{python}",
    python_version = "PY3",
    # The launcher of Bazel 4 would start with `/usr/bin/env python`, which Debian does not have.
    stub_shebang = "#!{python}",
)

py_runtime_pair(
    name = "runtime_pair",
    py3_runtime = ":runtime",
    visibility = ["//visibility:public"],
)
"""

def _host_python_impl(rctx):
    python3 = rctx.which("python3")
    if not python3:
        fail("there is no python3 on PATH: install Python 3.10 or later, with pip")
    probe = rctx.execute([python3, "-c", _PROBE])
    if probe.return_code != 0:
        fail("the python3 on PATH must be Python 3.10 or later, but %s does not serve: %s" % (python3, probe.stderr))
    rctx.file("python.txt", probe.stdout)
    rctx.file("BUILD.bazel", _BUILD.format(python = probe.stdout.split("\n")[0]))

host_python = repository_rule(
    implementation = _host_python_impl,
    doc = """The python3 on PATH as the runtime of `@dcsr//third_party/python:host_toolchain`.

`//:runtime_pair` is for the toolchain. `//:python.txt` holds its path and, on a second line, its ABI.""",
    environ = ["PATH"],
    local = True,
)
