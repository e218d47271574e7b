"""Runs dcsr.cli.verify; see there."""

import signal

if __name__ == "__main__":
    # Ctrl-C ends the process without a traceback until `run` has installed its handlers.
    signal.signal(signal.SIGINT, signal.SIG_DFL)

    from dcsr.cli import common

    common.run("verify", "dcsr.cli.verify")
