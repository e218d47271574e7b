"""Runs dcsr.cli.matrix_metrics; see there."""

from dcsr.cli import common

if __name__ == "__main__":
    common.run("matrix_metrics", "dcsr.cli.matrix_metrics")
