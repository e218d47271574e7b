"""@cmsis and @cmsis_nn, releases of Arm's CMSIS_6 and CMSIS-NN, for projects that ask for them: docs/cortex_m.md."""

load("@bazel_tools//tools/build_defs/repo:http.bzl", "http_archive")

# The releases that the BUILD files beside this one are for.
_CMSIS_VERSION = "6.3.0"
_CMSIS_NN_VERSION = "7.0.0"

def _release(name, project, version, build_file, sha256):
    http_archive(
        name = name,
        build_file = build_file,
        sha256 = sha256,
        strip_prefix = "%s-%s" % (project, version),
        urls = ["https://github.com/ARM-software/%s/archive/refs/tags/v%s.tar.gz" % (project, version)],
    )

def cmsis_repositories(cmsis_sha256 = "", cmsis_nn_sha256 = "", defined = []):
    """Defines @cmsis (`//:core`) and @cmsis_nn (`//:nn`). Nothing is downloaded until a target needs one.

    Args:
      cmsis_sha256: of the archive of CMSIS_6. Bazel checks it. If it is empty, Bazel accepts any and prints the one that it got.
      cmsis_nn_sha256: of the archive of CMSIS-NN, likewise.
      defined: names of repositories that exist already and stay as they are.
    """
    if "cmsis" not in defined:
        _release("cmsis", "CMSIS_6", _CMSIS_VERSION, Label("//third_party/cmsis:cmsis_core.BUILD.bazel"), cmsis_sha256)
    if "cmsis_nn" not in defined:
        _release("cmsis_nn", "CMSIS-NN", _CMSIS_NN_VERSION, Label("//third_party/cmsis:cmsis_nn.BUILD.bazel"), cmsis_nn_sha256)
