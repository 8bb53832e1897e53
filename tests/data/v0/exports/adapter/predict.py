"""Classify images: python predict.py IMAGE...  Needs peft-studio."""

import sys

import torch
from preprocess import HERE, answer, batch

from studio.export.adapter import load


def logits(paths: list[str]) -> list[list[float]]:
    """Class scores of image files, (N, classes)."""
    with torch.inference_mode():
        return load(HERE)(torch.from_numpy(batch(paths))).tolist()


if __name__ == "__main__":
    answer(logits(sys.argv[1:]), sys.argv[1:])
