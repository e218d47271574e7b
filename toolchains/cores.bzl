"""The Cortex-M cores that there is a platform for."""

# `mcpu` and `float_abi` are GCC's options, `multilib` the folder of the libraries that they select.
# `board` names the memory map of the tests (//toolchains/firmware:BOARD.ld), which an emulator has.
CORES = {
    # Emulated by a Cortex-M3, whose instructions include all of an M0+: no emulated board with an M0
    # has the memory for the tests.
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
    # GCC 12 does not know the name. For a compiler it is an M55 (Armv8.1-M with MVE) with other
    # latencies and with pointer authentication, which is not used. An M55 emulates it, too.
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
