"""Runs dcsr.cli.inspect; see there. A file named inspect.py would hide the standard module from numpy."""

import signal

if __name__ == "__main__":
    # Ctrl-C ends the process without a traceback until `run` has installed its handlers.
    signal.signal(signal.SIGINT, signal.SIG_DFL)

    from dcsr.cli import common

    common.run("inspect", "dcsr.cli.inspect")
