"""Runs training.evaluate; see there."""

from dcsr.cli import common

if __name__ == "__main__":
    common.run("evaluate", "training.evaluate")
