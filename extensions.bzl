"""The module extensions of MODULE.bazel: they define its repositories. Each is fetched when a target first needs it."""

load("//third_party/cmsis:cmsis_repositories.bzl", "cmsis_repositories")
load("//third_party/python:development_packages.bzl", "development_packages")
load("//third_party/python:host_python.bzl", "host_python")
load("//third_party/python:pip_packages.bzl", "pip_packages")
load("//toolchains/arm_gcc:arm_gcc.bzl", "arm_gcc_repository")

_cmsis = tag_class(
    attrs = {
        "cmsis_nn_sha256": attr.string(doc = "SHA-256 of the archive of CMSIS-NN. Empty: Bazel accepts any and prints it."),
        "cmsis_sha256": attr.string(doc = "SHA-256 of the archive of CMSIS_6, likewise."),
    },
    doc = "Adds @cmsis and @cmsis_nn, releases of Arm's CMSIS_6 and CMSIS-NN from GitHub. The first module that asks decides.",
)

def _dcsr_impl(mctx):
    arm_gcc_repository()
    host_python(name = "host_python")
    pip_packages(
        name = "pip",
        requirements_lock = Label("//third_party/python:requirements_lock.txt"),
    )
    tags = [tag for module in mctx.modules for tag in module.tags.cmsis]
    if tags:
        cmsis_repositories(tags[0].cmsis_sha256, tags[0].cmsis_nn_sha256)

dcsr = module_extension(
    implementation = _dcsr_impl,
    tag_classes = {"cmsis": _cmsis},
    doc = "Repositories that no registry has: the compiler for Cortex-M and the tools' Python packages.",
)

def _dcsr_dev_impl(_mctx):
    development_packages()

dcsr_dev = module_extension(
    implementation = _dcsr_dev_impl,
    doc = "Python packages for work on this project itself.",
)
