"""The build setting //toolchains:simulator."""

# "none": there is none on this machine, and Bazel skips the tests that need one.
SIMULATORS = ["auto", "fvp", "none", "qemu"]

SimulatorInfo = provider(
    doc = "Which simulator runs the tests.",
    fields = {"simulator": "one of SIMULATORS"},
)

def _simulator_setting_impl(ctx):
    simulator = ctx.build_setting_value
    if simulator not in SIMULATORS:
        fail("%s is one of %s, not %s" % (ctx.label, ", ".join(SIMULATORS), simulator))
    return [SimulatorInfo(simulator = simulator)]

simulator_setting = rule(
    implementation = _simulator_setting_impl,
    doc = "A simulator chosen on the command line.",
    build_setting = config.string(flag = True),
)
