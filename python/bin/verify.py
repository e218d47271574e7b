"""Runs dcsr.cli.verify; see there."""

from dcsr.cli import common

if __name__ == "__main__":
    common.run("verify", "dcsr.cli.verify")
