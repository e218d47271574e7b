"""Language flags for the project's own C and C++ sources.

Warnings are not among them: tools/common.bazelrc turns them on, as errors, for builds of this repository alone. A project that
depends on it compiles the same sources with its own warnings.
"""

# Kernels must compile unchanged with any C11 compiler.
DCSR_COPTS_C = ["-std=c11"]

# As in firmware, without exceptions and run-time type information.
DCSR_COPTS_CXX = [
    "-std=c++17",
    "-fno-exceptions",
    "-fno-rtti",
]
