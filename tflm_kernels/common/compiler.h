// Compiler-dependent macros and attributes. None of them changes results.

#ifndef DCSR_TFLM_KERNELS_COMMON_COMPILER_H_
#define DCSR_TFLM_KERNELS_COMMON_COMPILER_H_

// Whether the core has integer vectors (MVE, Helium).
#if defined(__ARM_FEATURE_MVE)
#define DCSR_HAS_MVE 1
#else
#define DCSR_HAS_MVE 0
#endif

// The class of the core that this build is for (planning/kernel_lists.h).
#define DCSR_CLASS_REFERENCE 0
#define DCSR_CLASS_ARMV6M 1
#define DCSR_CLASS_ARMV7M 2
#define DCSR_CLASS_ARMV7EM 3
#define DCSR_CLASS_MVE 4
#if DCSR_HAS_MVE
#define DCSR_CORE_CLASS DCSR_CLASS_MVE
#elif defined(__arm__) && defined(__thumb2__) && defined(__ARM_FEATURE_DSP)
#define DCSR_CORE_CLASS DCSR_CLASS_ARMV7EM
#elif defined(__arm__) && defined(__thumb2__)
#define DCSR_CORE_CLASS DCSR_CLASS_ARMV7M
#elif defined(__arm__)
#define DCSR_CORE_CLASS DCSR_CLASS_ARMV6M
#else
#define DCSR_CORE_CLASS DCSR_CLASS_REFERENCE
#endif

// Whether the core multiplies 32 by 32 bits to 64 in one instruction. Cortex-M0+ does not.
#if defined(__ARM_ARCH_6M__) || defined(__ARM_ARCH_8M_BASE__)
#define DCSR_HAS_LONG_MULTIPLY 0
#else
#define DCSR_HAS_LONG_MULTIPLY 1
#endif

// Keeps loops in separate functions that would spill registers in one, and stores code once that
// several functions use.
#if defined(__GNUC__)
#define DCSR_NOINLINE __attribute__((noinline))
#else
#define DCSR_NOINLINE
#endif

// Functions for rare cases. GCC optimises them for size, and all code that always leads to them.
#if defined(__GNUC__)
#define DCSR_COLD __attribute__((noinline, cold))
#else
#define DCSR_COLD
#endif

// Stands before a loop. Takes a string: DCSR_UNROLL("GCC unroll 8").
#if defined(__GNUC__) && !defined(__clang__)
#define DCSR_UNROLL(pragma) _Pragma(pragma)
#else
#define DCSR_UNROLL(pragma)
#endif

// Stands between two lanes of unrolled code. Computations that use `value` afterwards stay after
// those before. Without it GCC computes all lanes at once and runs out of registers.
#if defined(__GNUC__) && defined(__arm__)
#define DCSR_LANE_DONE(value) __asm__ volatile("" : "+r"(value))
#else
#define DCSR_LANE_DONE(value) (void)(value)
#endif

#endif  // DCSR_TFLM_KERNELS_COMMON_COMPILER_H_
