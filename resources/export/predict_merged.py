"""Classify images: python predict.py IMAGE...  Requires timm."""

import sys

import timm
import torch
from preprocess import HERE, batch, print_predictions

model = timm.create_model(f"local-dir:{HERE}", pretrained=True).eval()


def logits(paths: list[str]) -> list[list[float]]:
    """Class scores (N, classes) of image files."""
    with torch.inference_mode():
        return model(torch.from_numpy(batch(paths))).tolist()


if __name__ == "__main__":
    print_predictions(logits, sys.argv[1:])
