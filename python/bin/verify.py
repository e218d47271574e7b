"""Runs dcsr.cli.verify; see there."""

from dcsr.cli import common, verify

if __name__ == "__main__":
    common.run("verify", verify.main)
