"""Compiler flags of the project's own C and C++."""

_WARNINGS = [
    "-Wall",
    "-Wextra",
    "-Werror",
    "-Wshadow",
    "-Wundef",
    "-Wvla",
    "-Wcast-qual",
    "-Wpointer-arith",
    "-Wwrite-strings",
    "-Wdouble-promotion",
]

# For C: kernels, which must compile as they are on any C11 compiler.
DCSR_COPTS_C = _WARNINGS + [
    "-std=c11",
    "-pedantic",
    "-Wstrict-prototypes",
    "-Wmissing-prototypes",
]

# For C++: what firmware is built with, so nothing that throws or asks for types at run time.
DCSR_COPTS_CXX = _WARNINGS + [
    "-std=c++17",
    "-fno-exceptions",
    "-fno-rtti",
]
