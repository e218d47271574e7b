"""Runs dcsr.cli.prune with the data sets of //python/training; see there."""

import functools

from dcsr.cli import common, prune
from training import calibration

if __name__ == "__main__":
    common.run("prune", functools.partial(prune.main, datasets=calibration.DATASETS))
