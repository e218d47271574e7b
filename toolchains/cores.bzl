"""The supported Cortex-M cores."""

# `mcpu` and `float_abi` are GCC options; `multilib` is the folder of the libraries that they select.
# `board` is the emulated board whose memory map the tests use (//toolchains/firmware:BOARD.ld).
CORES = {
    # Emulated by a Cortex-M3, which supports all instructions of an M0+. No emulated board with an M0
    # has enough memory for the tests.
    "cortex-m0plus": struct(
        mcpu = "cortex-m0plus",
        float_abi = "soft",
        multilib = "thumb/v6-m/nofp",
        board = "an385",
    ),
    "cortex-m3": struct(
        mcpu = "cortex-m3",
        float_abi = "soft",
        multilib = "thumb/v7-m/nofp",
        board = "an385",
    ),
    "cortex-m4": struct(
        mcpu = "cortex-m4",
        float_abi = "hard",
        multilib = "thumb/v7e-m+fp/hard",
        board = "an385",
    ),
    "cortex-m7": struct(
        mcpu = "cortex-m7",
        float_abi = "hard",
        multilib = "thumb/v7e-m+dp/hard",
        board = "an500",
    ),
    "cortex-m33": struct(
        mcpu = "cortex-m33",
        float_abi = "hard",
        multilib = "thumb/v8-m.main+fp/hard",
        board = "an505",
    ),
    "cortex-m55": struct(
        mcpu = "cortex-m55",
        float_abi = "hard",
        multilib = "thumb/v8-m.main+dp/hard",
        board = "an547",
    ),
    # GCC 12 has no such -mcpu. For the compiler it is an M55 (Armv8.1-M with MVE) with other latencies
    # and with pointer authentication, which is not used. An M55 also emulates it.
    "cortex-m85": struct(
        mcpu = "cortex-m55",
        float_abi = "hard",
        multilib = "thumb/v8-m.main+dp/hard",
        board = "an547",
    ),
}

def core_label(cpu):
    """Returns the name of a core in labels: cortex_m55 for "cortex-m55"."""
    if cpu not in CORES:
        fail("cpu %r is none of %s" % (cpu, ", ".join(CORES.keys())))
    return cpu.replace("-", "_")
