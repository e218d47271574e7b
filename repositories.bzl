"""Repositories for the WORKSPACE of a project that depends on this one: docs/embedding.md."""

load("//third_party/bazel:builtin_repositories.bzl", "builtin_repositories")
load("//third_party/cmsis:cmsis_repositories.bzl", "cmsis_repositories")
load("//third_party/python:host_python.bzl", "host_python")
load("//third_party/python:pip_packages.bzl", "pip_packages")
load("//toolchains/arm_gcc:arm_gcc.bzl", "arm_gcc")

def _define(rule, name, **kwargs):
    if not native.existing_rule(name):
        rule(name = name, **kwargs)

def dcsr_repositories(tools = False, cortex_m = False, cmsis = False, cmsis_sha256 = "", cmsis_nn_sha256 = ""):
    """Defines the dependencies of @dcsr. The caller provides TensorFlow Lite Micro.

    @dcsr//ops and @dcsr//tflm_kernels need no options. Repositories that the WORKSPACE has already defined under the
    same name are kept. Nothing is downloaded until a target needs it.

    Args:
      tools: for @dcsr//python:compress and the other tools: `@pip`, the packages of their lock file, and the python3 on PATH as
        Bazel's Python toolchain.
      cortex_m: for @dcsr//toolchains:cortex_m.bzl: `@arm_gcc`, a compiler for Cortex-M as a toolchain, and the same Python for
        the tests' runner.
      cmsis: `@cmsis` and `@cmsis_nn`, releases of Arm's CMSIS_6 and CMSIS-NN from GitHub, for the flags of //third_party/cmsis.
      cmsis_sha256: of the archive of CMSIS_6. Bazel checks it; if it is empty, Bazel accepts any and prints the one that it got.
      cmsis_nn_sha256: of the archive of CMSIS-NN, likewise.
    """

    # Bazel itself would download these before building anything.
    builtin_repositories()
    if tools or cortex_m:
        _define(host_python, "host_python")
        native.register_toolchains("@dcsr//third_party/python:host_toolchain")
    if tools:
        _define(
            pip_packages,
            "pip",
            requirements_lock = Label("//third_party/python:requirements_lock.txt"),
        )
    if cortex_m:
        arm_gcc(defined = native.existing_rules())
    if cmsis:
        cmsis_repositories(cmsis_sha256, cmsis_nn_sha256, defined = native.existing_rules())
