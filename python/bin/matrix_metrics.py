"""Runs dcsr.cli.matrix_metrics; see there."""

from dcsr.cli import common, matrix_metrics

if __name__ == "__main__":
    common.run("matrix_metrics", matrix_metrics.main)
