"""The repositories that Bazel's own rules load, without downloads.

Bazel downloads some repositories (rules_cc and others) at the first build. For Debian's 4.2.3 and 7.x this
file defines a local source for each, so that the build needs only the package indices of Debian and pip.
An upstream Bazel 7 downloads the releases that it pins itself.
"""

# Bazel 4 has all rules built in. Its stand-ins for the repositories of rules give them the names that later Bazels load.
_NATIVE_RULES = {
    "rules_cc": ("cc", [
        "cc_binary",
        "cc_import",
        "cc_library",
        "cc_proto_library",
        "cc_test",
        "cc_toolchain",
        "cc_toolchain_suite",
        "fdo_prefetch_hints",
        "fdo_profile",
        "objc_import",
        "objc_library",
    ]),
    "rules_java": ("java", [
        "java_binary",
        "java_import",
        "java_library",
        "java_lite_proto_library",
        "java_package_configuration",
        "java_plugin",
        "java_proto_library",
        "java_runtime",
        "java_test",
        "java_toolchain",
    ]),
    "rules_proto": ("proto", ["proto_library"]),
    "rules_python": ("python", [
        "py_binary",
        "py_library",
        "py_runtime",
        "py_test",
    ]),
}

# Further files of the stand-ins. A .bzl file cannot define a name that it takes from Bazel, so a second file renames it.
_NATIVE_FILES = {
    "rules_cc": {
        "cc/native.bzl": """\
native_cc_common = cc_common
native_cc_info = CcInfo
native_cc_toolchain_config_info = CcToolchainConfigInfo
""",
        "cc/action_names.bzl": """\
load("@bazel_tools//tools/build_defs/cc:action_names.bzl", _ACTION_NAMES = "ACTION_NAMES")

ACTION_NAMES = _ACTION_NAMES
""",
        "cc/cc_toolchain_config_lib.bzl": """\
load(
    "@bazel_tools//tools/cpp:cc_toolchain_config_lib.bzl",
    _feature = "feature",
    _flag_group = "flag_group",
    _flag_set = "flag_set",
    _tool_path = "tool_path",
)

feature = _feature
flag_group = _flag_group
flag_set = _flag_set
tool_path = _tool_path
""",
        "cc/toolchain_utils.bzl": """\
load("@bazel_tools//tools/cpp:toolchain_utils.bzl", _find_cpp_toolchain = "find_cpp_toolchain")

find_cpp_toolchain = _find_cpp_toolchain
""",
    },
}
_NATIVE_LOADS = {
    "rules_cc": """\
load(":native.bzl", "native_cc_common", "native_cc_info", "native_cc_toolchain_config_info")

CcInfo = native_cc_info
CcToolchainConfigInfo = native_cc_toolchain_config_info
cc_common = native_cc_common
""",
    "rules_python": """\
load("@bazel_tools//tools/python:toolchain.bzl", _py_runtime_pair = "py_runtime_pair")

py_runtime_pair = _py_runtime_pair
""",
}

# In Bazel 4 every test depends on these two labels. They are only run by `bazel coverage`.
_COVERAGE_TOOLS_BUILD = """\
filegroup(name = "coverage_report_generator", visibility = ["//visibility:public"])
filegroup(name = "lcov_merger", visibility = ["//visibility:public"])
"""

# Folders of Debian's packages in /usr/share/bazel.
_DEBIAN_7 = {
    "bazel_skylib": "tools/skylib",
    "rules_cc": "rules/cc",
    "rules_java": "rules/java",
    "rules_license": "rules/license",
    "rules_proto": "rules/proto",
    "rules_python": "rules/python",
}

def _files_repository_impl(rctx):
    rctx.file("WORKSPACE", "workspace(name = \"%s\")\n" % rctx.name)
    for path, text in rctx.attr.files.items():
        rctx.file(path, text)

_files_repository = repository_rule(
    implementation = _files_repository_impl,
    doc = "A repository of the files given.",
    attrs = {
        "files": attr.string_dict(mandatory = True, doc = "The text of each file, by its path."),
    },
)

def _debian_repository_impl(rctx):
    folder = rctx.path("/usr/share/bazel/" + rctx.attr.folder)
    if not folder.exists:
        fail("%s is missing: install Debian's package bazel-%s" % (folder, rctx.name.replace("bazel_", "").replace("_", "-")))
    for entry in folder.readdir():
        # A module file would mark a repository boundary for Bzlmod, which is off.
        if entry.basename != "MODULE.bazel":
            rctx.symlink(entry, entry.basename)

_debian_repository = repository_rule(
    implementation = _debian_repository_impl,
    doc = "The files of an installed Debian package.",
    local = True,
    attrs = {
        "folder": attr.string(mandatory = True, doc = "Where they are, below /usr/share/bazel."),
    },
)

def _define(rule, name, **kwargs):
    """Defines a repository unless the WORKSPACE has already defined one with this name."""
    if not native.existing_rule(name):
        rule(name = name, **kwargs)

def _bazel_4():
    for name, (folder, rules) in _NATIVE_RULES.items():
        files = {
            "BUILD": "",
            folder + "/BUILD": "",
            folder + "/defs.bzl": _NATIVE_LOADS.get(name, "") + "".join(["%s = native.%s\n" % (rule, rule) for rule in rules]),
        }
        files.update(_NATIVE_FILES.get(name, {}))
        _define(_files_repository, name, files = files)
    _define(
        _files_repository,
        "remote_coverage_tools",
        files = {"BUILD": _COVERAGE_TOOLS_BUILD},
    )

def _debian_7():
    for name, folder in _DEBIAN_7.items():
        _define(_debian_repository, name, folder = folder)

def builtin_repositories():
    """Defines the repositories that Bazel's own rules load, if Bazel is Debian's."""

    # Debian's builds do not report their version (native.bazel_version is ""), so check for features:
    # native.subpackages was added in Bazel 5, native.starlark_doc_extract in Bazel 7.
    if not hasattr(native, "subpackages"):
        _bazel_4()
    elif hasattr(native, "starlark_doc_extract") and not native.bazel_version:
        _debian_7()
