"""Clang 14 with libFuzzer and the sanitizers, from Debian 12, for //tools:fuzz. Nothing else is compiled with it."""

load("//third_party/debian:debian_packages.bzl", "debian_packages")

_PACKAGES = {
    "clang-14=1:14.0.6-12": "e66721b4fd2c47aa326a4100d9dfdbd8838e04c17479da560d88ac1aab5ea863",
    "libclang-common-14-dev=1:14.0.6-12": "838781bfc798bcbdca68516db6546cf83677078efa57851bb957c19e265de7c6",
    "libclang-cpp14=1:14.0.6-12": "964b13d74e9aece340cde93fecd2a2f18dd63afcb707a797ce7b39d430a01c46",
    "libclang-rt-14-dev=1:14.0.6-12": "180c4d27fdc912e2e5de21f383aff07d27e1745c34591a41e4d12ff70be54764",
    "libllvm14=1:14.0.6-12": "cd986403cfe53f47c41b80667f6b344c40fe35de4c5081dad9358b4c77cf64a8",
    # Libraries of the programs above. The machine may lack them or have other versions.
    "libbsd0=0.11.7-2": "bb31cc8b40f962a85b2cec970f7f79cc704a1ae4bad24257a822055404b2c60b",
    "libedit2=3.1-20221030-2": "1cf14abf2716d3279db12d0657a5737cf70074a1e71d3bdf73206625e3c89ce6",
    "libffi8=3.4.4-1": "6d9f6c25c30efccce6d4bceaa48ea86c329a3432abb360a141f76ac223a4c34a",
    "libicu72=72.1-3+deb12u1": "f7f6f99c6d7b025914df2447fc93e11d22c44c0c8bdd8b6f36691c9e7ddcef88",
    "liblzma5=5.4.1-1+deb12u1": "f96d8876b53ec89d76a992bc199679b818cf518225a768954d9451fb556a4eb7",
    "libmd0=1.0.4-2": "03539fd30c509e27101d13a56e52eda9062bdf1aefe337c07ab56def25a13eab",
    "libtinfo6=6.4-4": "072d908f38f51090ca28ca5afa3b46b2957dc61fe35094c0b851426859a49a51",
    "libxml2=2.9.14+dfsg-1.3~deb12u6": "4460e39dda10a815881374217cde08474747cfa018358cd8612c14b390eff53b",
    "libz3-4=4.8.12-3.1": "6221ca25ad5abcfbe1965801029d85a88b4775320384b4b716de8fab7a4d2f7a",
    "zlib1g=1:1.2.13.dfsg-1": "d7dd1d1411fedf27f5e27650a6eff20ef294077b568f4c8c5e51466dc7c08ce4",
}

_RESOURCES = "usr/lib/llvm-14/lib/clang/14.0.6/"
_RUNTIME = _RESOURCES + "lib/linux/libclang_rt."

_KEEP = [
    "lib/x86_64-linux-gnu/lib",
    "usr/lib/llvm-14/bin/clang",
    "usr/lib/llvm-14/lib/libclang-cpp.so.14",
    "usr/lib/x86_64-linux-gnu/lib",
    _RESOURCES + "include/",
    _RESOURCES + "share/",
    _RUNTIME + "asan",
    _RUNTIME + "fuzzer",
    _RUNTIME + "ubsan",
]

# Clang finds its headers and runtimes relative to itself, and the C library's where the machine's GCC has them.
_WRAPPER = """\
#!/bin/sh
root="$(cd "${0%/bin/*}" && pwd)"
LD_LIBRARY_PATH="$root/usr/lib/x86_64-linux-gnu:$root/usr/lib/llvm-14/lib:$root/lib/x86_64-linux-gnu" \\
    exec "$root/usr/lib/llvm-14/bin/clang" "$@"
"""

def clang():
    """Defines @clang; nothing is downloaded until a target needs it."""
    debian_packages(
        name = "clang",
        build_file = Label("//toolchains/clang:clang.BUILD.bazel"),
        keep = _KEEP,
        packages = _PACKAGES,
        scripts = {"bin/clang": _WRAPPER},
        suite = "bookworm",
    )
