"""GCC for bare-metal Arm, from Debian 12: GCC 12.2, Binutils 2.40, Newlib 3.3."""

load("//third_party/debian:debian_packages.bzl", "debian_packages")
load("//toolchains:cores.bzl", "CORES")

_GCC = "usr/lib/gcc/arm-none-eabi/12.2.1/"
_CXX = "usr/include/newlib/c++/12.2.1/"

_PACKAGES = {
    "binutils-arm-none-eabi=2.40-2+18+b1": "c8f9da2a434366bfe5a66a8267cb3b1df028f1d95278715050c222b43e1c221c",
    "gcc-arm-none-eabi=15:12.2.rel1-1": "2bbd4f4145e9a3669f58ddab6a3190b768949f07cc444d23e98743d905f83e16",
    "libnewlib-arm-none-eabi=3.3.0-1.3+deb12u1": "c80278e8332940eaf9738910258bb85b21c30aacf246a5e363fee230d3605e84",
    "libnewlib-dev=3.3.0-1.3+deb12u1": "ab5e6e80d66a6f2f8b9b22b9297154a676a5434ac82e48b88e8164548bc72115",
    "libstdc++-arm-none-eabi-dev=15:12.2.rel1-1+23": "5f643e7507bd84150e820602cc086393c441e28f158b745370b2105333d9e2ec",
    # Libraries of the programs above. The machine may lack them or have other versions.
    "libgmp10=2:6.2.1+dfsg1-1.1": "187aedef2ed763f425c1e523753b9719677633c7eede660401739e9c893482bd",
    "libisl23=0.25-1.1": "ebff0b2f8b220c74224197523019366e97ee4770d464bebc48e4865114e4da0e",
    "libmpc3=1.3.1-1": "d7f79544790e44f9b0c8cb9034a18c58d37f8702a15f32539050718679e52f80",
    "libmpfr6=4.2.0-1": "37b7a2b4e78890b6a074777f27b96c84f58e81558ba08410c2b6c0ca4a4ad77b",
    "libzstd1=1.5.4+dfsg2-5": "6315b5ac38b724a710fb96bf1042019398cb656718b1522279a5185ed39318fa",
    "zlib1g=1:1.2.13.dfsg-1": "d7dd1d1411fedf27f5e27650a6eff20ef294077b568f4c8c5e51466dc7c08ce4",
}

# All files would be 830 MB, mostly libraries for other cores and for Arm's A and R profiles.
_KEEP = [
    "lib/x86_64-linux-gnu/lib",
    "usr/bin/arm-none-eabi-ar",
    "usr/bin/arm-none-eabi-as",
    "usr/bin/arm-none-eabi-c++",
    "usr/bin/arm-none-eabi-cpp",
    "usr/bin/arm-none-eabi-g++",
    "usr/bin/arm-none-eabi-gcc",
    "usr/bin/arm-none-eabi-gcov",
    "usr/bin/arm-none-eabi-ld",
    "usr/bin/arm-none-eabi-nm",
    "usr/bin/arm-none-eabi-objcopy",
    "usr/bin/arm-none-eabi-objdump",
    "usr/bin/arm-none-eabi-ranlib",
    "usr/bin/arm-none-eabi-readelf",
    "usr/bin/arm-none-eabi-size",
    "usr/bin/arm-none-eabi-strip",
    "usr/include/newlib/",
    "usr/lib/arm-none-eabi/bin/",
    "usr/lib/x86_64-linux-gnu/lib",
    _GCC + "cc1",
    _GCC + "collect2",
    _GCC + "include",
]

_DROP = [
    "usr/bin/arm-none-eabi-c++filt",
    "usr/bin/arm-none-eabi-gcov-",
    _CXX + "arm-none-eabi/",
]

_KEEP_OF_MULTILIB = [
    _CXX + "arm-none-eabi/{}/",
    _GCC + "{}/libgcc.a",
    "usr/lib/arm-none-eabi/newlib/{}/libc.a",
    "usr/lib/arm-none-eabi/newlib/{}/libm.a",
]

# Bazel runs the tools by a path relative to the working directory, and GCC finds its parts relative to itself.
_WRAPPER = """\
#!/bin/sh
root="${{0%/bin/*}}"
LD_LIBRARY_PATH="$root/usr/lib/x86_64-linux-gnu:$root/lib/x86_64-linux-gnu"
export LD_LIBRARY_PATH
exec "$root/usr/bin/{tool}" "$@"
"""

_TOOLS = ["ar", "cpp", "gcc", "gcov", "ld", "nm", "objcopy", "objdump", "size", "strip"]

def arm_gcc_repository():
    """Defines @arm_gcc; nothing is downloaded until a target needs it."""
    multilibs = {core.multilib: None for core in CORES.values()}
    debian_packages(
        name = "arm_gcc",
        build_file = Label("//toolchains/arm_gcc:arm_gcc.BUILD.bazel"),
        drop = _DROP,
        keep = _KEEP + [path.format(multilib) for multilib in multilibs for path in _KEEP_OF_MULTILIB],
        packages = _PACKAGES,
        scripts = {
            "bin/arm-none-eabi-" + tool: _WRAPPER.format(tool = "arm-none-eabi-" + tool)
            for tool in _TOOLS
        },
        suite = "bookworm",
        symlinks = {
            "usr/lib/arm-none-eabi/include": "../../include/newlib",
            "usr/lib/arm-none-eabi/lib": "newlib",
        },
    )

def arm_gcc(defined):
    """Defines @arm_gcc, unless it is in `defined`, and registers its toolchains; for WORKSPACE files."""
    if "arm_gcc" not in defined:
        arm_gcc_repository()
    native.register_toolchains("@dcsr//toolchains:all")
