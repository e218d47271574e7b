"""Runs dcsr.cli.compress; see there."""

from dcsr.cli import common

if __name__ == "__main__":
    common.run("compress", "dcsr.cli.compress")
