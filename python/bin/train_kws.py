"""Runs training.train_kws; see there."""

from dcsr.cli import common

if __name__ == "__main__":
    common.run("train_kws", "training.train_kws")
