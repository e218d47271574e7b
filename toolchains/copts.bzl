"""Compiler flags for the project's own C and C++ sources."""

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

# C: kernels must compile unchanged with any C11 compiler.
DCSR_COPTS_C = _WARNINGS + [
    "-std=c11",
    "-pedantic",
    "-Wstrict-prototypes",
    "-Wmissing-prototypes",
]

# C++: as in firmware, without exceptions and run-time type information.
DCSR_COPTS_CXX = _WARNINGS + [
    "-std=c++17",
    "-fno-exceptions",
    "-fno-rtti",
]
