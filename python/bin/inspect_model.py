"""Runs dcsr.cli.inspect; see there. Not named inspect.py, which would hide the standard module from numpy."""

from dcsr.cli import common, inspect

if __name__ == "__main__":
    common.run("inspect", inspect.main)
