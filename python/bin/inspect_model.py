"""Runs dcsr.cli.inspect; see there. A file named inspect.py would hide the standard module from numpy."""

from dcsr.cli import common

if __name__ == "__main__":
    common.run("inspect", "dcsr.cli.inspect")
