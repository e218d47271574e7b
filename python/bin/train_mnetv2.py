"""Runs training.train_mnetv2; see there."""

from dcsr.cli import common
from training import train_mnetv2

if __name__ == "__main__":
    common.run("train_mnetv2", train_mnetv2.main)
