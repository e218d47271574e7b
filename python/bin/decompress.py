"""Runs dcsr.cli.decompress; see there."""

from dcsr.cli import common

if __name__ == "__main__":
    common.run("decompress", "dcsr.cli.decompress")
