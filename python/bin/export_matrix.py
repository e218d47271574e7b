"""Runs dcsr.cli.export_matrix; see there."""

from dcsr.cli import common

if __name__ == "__main__":
    common.run("export_matrix", "dcsr.cli.export_matrix")
