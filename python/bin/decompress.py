"""Runs dcsr.cli.decompress; see there."""

from dcsr.cli import common, decompress

if __name__ == "__main__":
    common.run("decompress", decompress.main)
