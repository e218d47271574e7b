"""Bazel's toolchain configuration for the GCC of @arm_gcc."""

load("@rules_cc//cc:action_names.bzl", "ACTION_NAMES")
load("@rules_cc//cc:cc_toolchain_config_lib.bzl", "feature", "flag_group", "flag_set", "tool_path")
load("@rules_cc//cc:defs.bzl", "CcToolchainConfigInfo", "cc_common")

_CXX_COMPILE = [
    ACTION_NAMES.cpp_compile,
    ACTION_NAMES.cpp_header_parsing,
    ACTION_NAMES.cpp_module_codegen,
    ACTION_NAMES.cpp_module_compile,
    ACTION_NAMES.linkstamp_compile,
]

_COMPILE = _CXX_COMPILE + [
    ACTION_NAMES.assemble,
    ACTION_NAMES.c_compile,
    ACTION_NAMES.preprocess_assemble,
]

_LINK = [
    ACTION_NAMES.cpp_link_dynamic_library,
    ACTION_NAMES.cpp_link_executable,
    ACTION_NAMES.cpp_link_nodeps_dynamic_library,
]

def _flags(actions, flags):
    return flag_set(actions = actions, flag_groups = [flag_group(flags = flags)])

def _arm_gcc_toolchain_config_impl(ctx):
    core = ["-mcpu=" + ctx.attr.mcpu, "-mthumb", "-mfloat-abi=" + ctx.attr.float_abi]

    # Dependency files must contain the paths that Bazel uses.
    relative_paths = ["-no-canonical-prefixes", "-fno-canonical-system-headers"]
    reproducible = [
        "-Wno-builtin-macro-redefined",
        "-D__DATE__=\"redacted\"",
        "-D__TIME__=\"redacted\"",
        "-D__TIMESTAMP__=\"redacted\"",
    ]
    features = [
        feature(name = "core_flags", enabled = True, flag_sets = [
            _flags(_COMPILE, core + relative_paths + reproducible + [
                # The linker removes unused sections.
                "-ffunction-sections",
                "-fdata-sections",
            ]),
            # Disable C++ features that need the C++ library at run time, which is not linked.
            _flags(_CXX_COMPILE, [
                "-fno-exceptions",
                "-fno-rtti",
                "-fno-threadsafe-statics",
                "-fno-use-cxa-atexit",
            ]),
            _flags(_LINK, core + [
                "-no-canonical-prefixes",
                # The plugin is for link-time optimisation; it is not unpacked.
                "-fno-use-linker-plugin",
                "-nostartfiles",
                "-nostdlib",
                "-static",
                "-Wl,--build-id=none",
                "-Wl,--fatal-warnings",
                "-Wl,--gc-sections",
            ]),
        ]),
        # A feature after Bazel's own ones: its flags come at the end of the command.
        feature(name = "core_libraries", enabled = True, flag_sets = [
            _flags(_LINK, ["-Wl,--start-group", "-lc", "-lm", "-lgcc", "-Wl,--end-group"]),
        ]),
        feature(name = "opt", flag_sets = [_flags(_COMPILE, ["-O2", "-DNDEBUG"])]),
        feature(name = "dbg", flag_sets = [_flags(_COMPILE, ["-Og", "-g"])]),
        feature(name = "fastbuild", flag_sets = [_flags(_COMPILE, ["-O1"])]),
        feature(name = "supports_pic", enabled = False),
    ]
    includes = [
        "usr/include/newlib",
        "usr/lib/arm-none-eabi/include",
        "usr/lib/gcc/arm-none-eabi/%s/include" % ctx.attr.gcc_version,
        "usr/lib/gcc/arm-none-eabi/%s/include-fixed" % ctx.attr.gcc_version,
    ]
    return cc_common.create_cc_toolchain_config_info(
        ctx = ctx,
        abi_libc_version = "newlib",
        abi_version = "eabi",
        compiler = "gcc",
        # Relative to the package of the cc_toolchain: this holds under every name that Bazel gives the repository.
        cxx_builtin_include_directories = includes,
        features = features,
        host_system_name = "x86_64-linux-gnu",
        target_cpu = ctx.attr.core,
        target_libc = "newlib",
        target_system_name = "arm-none-eabi",
        tool_paths = [
            tool_path(name = tool, path = "bin/arm-none-eabi-" + tool)
            for tool in ["ar", "cpp", "gcc", "gcov", "ld", "nm", "objcopy", "objdump", "strip"]
        ],
        toolchain_identifier = "arm_gcc_" + ctx.attr.core.replace("-", "_"),
    )

arm_gcc_toolchain_config = rule(
    implementation = _arm_gcc_toolchain_config_impl,
    doc = "Flags and paths of the compiler for one core.",
    attrs = {
        "core": attr.string(mandatory = True, doc = "Its name in cores.bzl."),
        "float_abi": attr.string(mandatory = True, doc = "-mfloat-abi"),
        "gcc_version": attr.string(mandatory = True, doc = "Name of the folders with GCC's files."),
        "mcpu": attr.string(mandatory = True, doc = "-mcpu"),
    },
    provides = [CcToolchainConfigInfo],
)
