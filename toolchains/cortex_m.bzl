"""Firmware for Cortex-M, and tests that run in a simulator.

    cortex_m_test(
        name = "kernels_test_m55",
        cpu = "cortex-m55",
        srcs = ["kernels_test.c"],  # the same as that of a cc_test
        deps = [":kernels"],
    )

    cortex_m_binary(
        name = "app",  # app.elf, app.bin
        cpu = "cortex-m55",
        srcs = ["app.c"],
    )

Both are host targets, built without special flags; their firmware is built for the core.
Other projects load the macros from @dcsr//toolchains:cortex_m.bzl.
"""

load("@rules_cc//cc:defs.bzl", "CcInfo", "cc_binary", "cc_common")
load("@rules_cc//cc:toolchain_utils.bzl", "find_cpp_toolchain")
load(":cores.bzl", "CORES", "core_label")
load(":simulator.bzl", "SimulatorInfo")

# Absolute labels: macros and transitions resolve labels in the repository of their caller.
_FIRMWARE = str(Label("//toolchains/firmware:startup"))[:-len("startup")]
_TOOLCHAINS = str(Label("//toolchains:simulator"))[:-len("simulator")]

def _to_core_impl(_settings, attr):
    return {"//command_line_option:platforms": _TOOLCHAINS + core_label(attr.cpu)}

_to_core = transition(
    implementation = _to_core_impl,
    inputs = [],
    outputs = ["//command_line_option:platforms"],
)

_TRANSITION_ATTRS = {
    "cpu": attr.string(mandatory = True, doc = "A core of cores.bzl."),
    "_allowlist_function_transition": attr.label(
        default = "@bazel_tools//tools/allowlists/function_transition_allowlist",
    ),
}

def _firmware_cc_binary(name, cpu, srcs, deps, linkopts, startup, io, linker_script, stack_size, testonly, **kwargs):
    """Defines the ELF file, as a target that is compatible only with the core's platform."""
    core_label(cpu)  # fails if the core is unknown
    if linker_script:
        scripts = [linker_script]
    else:
        scripts = [_FIRMWARE + CORES[cpu].board + ".ld", _FIRMWARE + "sections.ld"]
    cc_binary(
        name = name,
        srcs = srcs,
        additional_linker_inputs = scripts,
        linkopts = ["-Wl,-T,$(location %s)" % script for script in scripts] + [
            "-Wl,--defsym=__STACK_SIZE=%d" % stack_size,
        ] + linkopts,
        linkstatic = True,
        tags = ["manual"],
        target_compatible_with = [_TOOLCHAINS + core_label(cpu) + "_core"],
        testonly = testonly,
        deps = deps + [startup, io, _FIRMWARE + "runtime"],
        **kwargs
    )

# ----- Tests -----

def _emulated_test_impl(ctx):
    # An attribute with a transition is a list, even of one target.
    elf = ctx.attr.firmware[0][DefaultInfo].files.to_list()[0]
    runner = ctx.attr._runner[DefaultInfo]
    command = [
        runner.files_to_run.executable.short_path,
        "--cpu=" + ctx.attr.cpu,
        "--simulator=" + ctx.attr._simulator[SimulatorInfo].simulator,
        "--timeout=%d" % ctx.attr.timeout_seconds,
    ]
    if ctx.attr.deterministic:
        command.append("--deterministic")
    if ctx.attr.expected_failure:
        command.append("--expect-failure=" + ctx.attr.expected_failure)
    command.append(elf.short_path)
    script = ctx.actions.declare_file(ctx.label.name + ".sh")
    ctx.actions.write(
        script,
        "#!/bin/sh\nexec %s \"$@\"\n" % " ".join(["'%s'" % word.replace("'", "'\\''") for word in command]),
        is_executable = True,
    )
    runfiles = ctx.runfiles(files = [elf]).merge(runner.default_runfiles)
    return [DefaultInfo(executable = script, runfiles = runfiles)]

_emulated_test = rule(
    implementation = _emulated_test_impl,
    doc = "Runs a firmware in a simulator.",
    attrs = dict(
        _TRANSITION_ATTRS,
        deterministic = attr.bool(),
        expected_failure = attr.string(),
        firmware = attr.label(cfg = _to_core, mandatory = True, doc = "The ELF file."),
        timeout_seconds = attr.int(),
        _runner = attr.label(
            cfg = "exec",
            default = "//toolchains/simulator:run_firmware",
            executable = True,
        ),
        _simulator = attr.label(default = "//toolchains:simulator"),
    ),
    test = True,
)

def cortex_m_test(
        name,
        cpu,
        srcs,
        deps = [],
        copts = [],
        defines = [],
        linkopts = [],
        stack_size = 64 * 1024,
        deterministic = False,
        startup = _FIRMWARE + "startup",
        io = _FIRMWARE + "semihosting",
        expected_failure = "",
        timeout_seconds = 0,
        size = "small",
        tags = [],
        **kwargs):
    """A test built for a core and run in a simulator.

    It passes if main() returns 0. It fails on any other status, a failed assert(), a fault or a timeout.
    `--//toolchains:simulator=none` skips it.
    `bazel build --platforms=//toolchains:CORE` of NAME.elf builds the firmware itself.

    Args:
      name: the target.
      cpu: a core of cores.bzl: "cortex-m55".
      srcs: C and C++ files, one with main(); the sources of a cc_test can be used unchanged.
      deps: cc_library targets.
      copts: flags of the compiler.
      defines: macros for `srcs`.
      linkopts: flags of the linker.
      stack_size: in bytes.
      deterministic: run in QEMU with time that counts instructions, for //toolchains/firmware:cycle_counter.
      startup: see cortex_m_binary().
      io: destination of output: //toolchains/firmware:semihosting or :uart.
      expected_failure: for tests of the tests: the firmware must fail, and its output or the cause must contain this text.
      timeout_seconds: 0 for the timeout of `size`.
      size: attribute of all tests.
      tags: attribute of all tests.
      **kwargs: further attributes of the test, such as visibility.
    """
    _firmware_cc_binary(
        name = name + ".elf",
        copts = copts,
        cpu = cpu,
        deps = deps,
        io = io,
        linker_script = None,
        linkopts = linkopts,
        local_defines = defines,
        srcs = srcs,
        stack_size = stack_size,
        startup = startup,
        testonly = True,
    )
    compatible_with = kwargs.pop("target_compatible_with", [])
    _emulated_test(
        name = name,
        cpu = cpu,
        deterministic = deterministic,
        expected_failure = expected_failure,
        firmware = name + ".elf",
        size = size,
        tags = tags,
        target_compatible_with = compatible_with + select({
            _TOOLCHAINS + "without_simulator": [_TOOLCHAINS + "simulator_is_there"],
            "//conditions:default": [],
        }),
        timeout_seconds = timeout_seconds,
        **kwargs
    )

# ----- Firmware -----

def _image_impl(ctx):
    elf = ctx.file.elf
    toolchain = find_cpp_toolchain(ctx)
    outputs = [elf]
    for suffix, selection in {
        # Without the sections of a separate memory.
        ".bin": ["--remove-section=.large_const"] if ctx.attr.splits_large_const else [],
        ".large_const.bin": ["--only-section=.large_const"],
    }.items():
        if suffix != ".bin" and not ctx.attr.splits_large_const:
            continue
        image = ctx.actions.declare_file(ctx.attr.image_name + suffix)
        ctx.actions.run(
            executable = toolchain.objcopy_executable,
            arguments = ["--output-target=binary"] + selection + [elf.path, image.path],
            inputs = depset([elf], transitive = [toolchain.all_files]),
            mnemonic = "Objcopy",
            outputs = [image],
        )
        outputs.append(image)
    return [DefaultInfo(files = depset(outputs))]

_image = rule(
    implementation = _image_impl,
    doc = "The ELF file and the images of its memories.",
    attrs = {
        "elf": attr.label(allow_single_file = True, mandatory = True),
        "image_name": attr.string(mandatory = True),
        "splits_large_const": attr.bool(doc = "Whether DCSR_LARGE_CONST is in a memory of its own."),
        "_cc_toolchain": attr.label(default = "@bazel_tools//tools/cpp:current_cc_toolchain"),
    },
    toolchains = ["@bazel_tools//tools/cpp:toolchain_type"],
)

def _for_core_impl(ctx):
    return [DefaultInfo(files = ctx.attr.firmware[0][DefaultInfo].files)]

_for_core = rule(
    implementation = _for_core_impl,
    doc = "Builds a target for a core.",
    attrs = dict(
        _TRANSITION_ATTRS,
        firmware = attr.label(cfg = _to_core, mandatory = True),
    ),
)

def cortex_m_binary(
        name,
        cpu,
        srcs,
        deps = [],
        copts = [],
        defines = [],
        linkopts = [],
        startup = _FIRMWARE + "startup",
        io = _FIRMWARE + "uart",
        linker_script = None,
        stack_size = 64 * 1024,
        testonly = False,
        visibility = None):
    """Firmware for a board: NAME.elf, NAME.bin and, if the board has a separate memory for it, NAME.large_const.bin.

    Args:
      name: the target.
      cpu: a core of cores.bzl: "cortex-m55".
      srcs: C and C++ files.
      deps: cc_library targets.
      copts: flags of the compiler.
      defines: macros for `srcs`.
      linkopts: flags of the linker.
      startup: vectors and Reset_Handler; for example a vendor's startup_DEVICE.c and system_DEVICE.c in an alwayslink cc_library.
      io: destination of output: //toolchains/firmware:uart or :semihosting, or a cc_library that implements io.h.
      linker_script: linker script of the device; without one the firmware is for the board of the tests.
      stack_size: bytes; __STACK_SIZE in the linker script.
      testonly: attribute of all targets.
      visibility: attribute of all targets.
    """
    _firmware_cc_binary(
        name = name + ".elf",
        copts = copts,
        cpu = cpu,
        deps = deps,
        io = io,
        linker_script = linker_script,
        linkopts = linkopts,
        local_defines = defines,
        srcs = srcs,
        stack_size = stack_size,
        startup = startup,
        testonly = testonly,
    )
    _image(
        name = name + "_image",
        elf = name + ".elf",
        image_name = name,
        splits_large_const = not linker_script and CORES[cpu].board == "an547",
        tags = ["manual"],
        target_compatible_with = [_TOOLCHAINS + core_label(cpu) + "_core"],
        testonly = testonly,
    )
    _for_core(
        name = name,
        cpu = cpu,
        firmware = name + "_image",
        testonly = testonly,
        visibility = visibility,
    )

# ----- Libraries for tools that link firmware themselves -----

def _runfiles_path(path):
    """Returns a path below the folder of the workspace in the runfiles."""
    return "../" + path[len("external/"):] if path.startswith("external/") else path

def _libraries_impl(ctx):
    merged = cc_common.merge_cc_infos(cc_infos = [dep[CcInfo] for dep in ctx.attr.deps])
    libraries = []
    files = []
    for linker_input in merged.linking_context.linker_inputs.to_list():
        for library in linker_input.libraries:
            # In the runfiles, the libraries of all cores would have the same path.
            file = ctx.actions.declare_file("%s/%d_%s" % (ctx.label.name, len(files), library.static_library.basename))
            ctx.actions.symlink(output = file, target_file = library.static_library)
            libraries.append({"path": file.short_path, "whole": library.alwayslink})
            files.append(file)
    compilation = merged.compilation_context
    core = CORES[ctx.attr.cpu]
    compilers = [file for file in ctx.files.compiler if file.path.endswith("/bin/arm-none-eabi-gcc")]
    description = ctx.actions.declare_file(ctx.label.name + ".json")
    ctx.actions.write(description, json.encode({
        # Not the program itself, usr/bin/arm-none-eabi-gcc, but the script that starts it with its libraries.
        "compiler": [file.short_path for file in compilers if "/usr/bin/" not in file.path][0],
        "core_flags": ["-mcpu=" + core.mcpu, "-mthumb", "-mfloat-abi=" + core.float_abi],
        "defines": compilation.defines.to_list(),
        "includes": [_runfiles_path(path) for path in depset(transitive = [
            compilation.includes,
            compilation.quote_includes,
            compilation.system_includes,
        ]).to_list()],
        "libraries": libraries,
        "scripts": [script.short_path for script in ctx.files.scripts],
    }))
    all = depset([description] + files + ctx.files.scripts + ctx.files.compiler, transitive = [compilation.headers])
    return [DefaultInfo(files = all, runfiles = ctx.runfiles(transitive_files = all))]

_libraries = rule(
    implementation = _libraries_impl,
    doc = "Libraries for a core with their headers, and a description of how to compile and link with them.",
    attrs = dict(
        _TRANSITION_ATTRS,
        compiler = attr.label(doc = "The files of the compiler."),
        scripts = attr.label_list(allow_files = True, doc = "Linker scripts of the board."),
        deps = attr.label_list(cfg = _to_core, providers = [CcInfo]),
    ),
)

def cortex_m_libraries(name, cpu, deps, io = _FIRMWARE + "uart", **kwargs):
    """What a tool needs that compiles and links firmware itself: compiler, libraries, headers, linker scripts, and NAME.json.

    NAME.json has the compiler and the flags of the core, the defines and folders of the headers, the libraries in the order of
    the linker, and the scripts. Its paths are those in the runfiles.

    Args:
      name: the target.
      cpu: a core of cores.bzl: "cortex-m55".
      deps: cc_library targets.
      io: destination of output, as for cortex_m_binary().
      **kwargs: further attributes, such as visibility.
    """
    _libraries(
        name = name,
        compiler = "@arm_gcc//:%s_all_files" % core_label(cpu),
        cpu = cpu,
        scripts = [_FIRMWARE + CORES[cpu].board + ".ld", _FIRMWARE + "sections.ld"],
        deps = deps + [_FIRMWARE + "startup", io, _FIRMWARE + "runtime"],
        **kwargs
    )
