"""Runs training.evaluate; see there."""

from dcsr.cli import common
from training import evaluate

if __name__ == "__main__":
    common.run("evaluate", evaluate.main)
