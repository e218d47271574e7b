"""Runs training.train_mnetv2; see there."""

from dcsr.cli import common

if __name__ == "__main__":
    common.run("train_mnetv2", "training.train_mnetv2")
