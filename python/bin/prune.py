"""Runs dcsr.cli.prune with the data sets of //python/training; see there."""

import functools
import signal

if __name__ == "__main__":
    # Ctrl-C ends the process without a traceback until `run` has installed its handlers.
    signal.signal(signal.SIGINT, signal.SIG_DFL)

    from dcsr.cli import common, prune
    from training import calibration

    common.run("prune", functools.partial(prune.main, datasets=calibration.DATASETS))
