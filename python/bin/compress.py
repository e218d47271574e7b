"""Runs dcsr.cli.compress; see there."""

from dcsr.cli import common, compress

if __name__ == "__main__":
    common.run("compress", compress.main)
