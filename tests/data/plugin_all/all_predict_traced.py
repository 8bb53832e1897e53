"""Classify images: python predict.py IMAGE...  Requires torch."""

import sys

import torch
from preprocess import HERE, batch, print_predictions

model = torch.jit.load(HERE / "model.ts")


def logits(paths: list[str]) -> list[list[float]]:
    """Class scores (N, classes) of image files."""
    with torch.inference_mode():
        return model(torch.from_numpy(batch(paths))).tolist()


if __name__ == "__main__":
    print_predictions(logits, sys.argv[1:])
