"""Runs dcsr.cli.export_matrix; see there."""

from dcsr.cli import common, export_matrix

if __name__ == "__main__":
    common.run("export_matrix", export_matrix.main)
