"""The module extension of MODULE.bazel: defines its repositories."""

load("//third_party/python:host_python.bzl", "host_python")
load("//third_party/python:pip_packages.bzl", "pip_packages")
load("//toolchains/arm_gcc:arm_gcc.bzl", "arm_gcc_repository")

def _dcsr_impl(_mctx):
    arm_gcc_repository()
    host_python(name = "host_python")
    pip_packages(
        name = "pip",
        requirements_lock = Label("//third_party/python:requirements_lock.txt"),
    )

dcsr = module_extension(
    implementation = _dcsr_impl,
    doc = "What is not on a registry: the compiler for Cortex-M and the tools' Python packages. Fetched when first needed.",
)
