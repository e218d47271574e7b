"""Runs training.train_kws; see there."""

from dcsr.cli import common
from training import train_kws

if __name__ == "__main__":
    common.run("train_kws", train_kws.main)
