"""Classify images: python predict.py IMAGE...  Needs timm."""

import sys

import timm
import torch
from preprocess import HERE, answer, batch


def logits(paths: list[str]) -> list[list[float]]:
    """Class scores of image files, (N, classes)."""
    model = timm.create_model(f"local-dir:{HERE}", pretrained=True).eval()
    with torch.inference_mode():
        return model(torch.from_numpy(batch(paths))).tolist()


if __name__ == "__main__":
    answer(logits(sys.argv[1:]), sys.argv[1:])
