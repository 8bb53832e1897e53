"""Classify images: python predict.py IMAGE...  Needs torch."""

import sys

import torch
from preprocess import HERE, answer, batch


def logits(paths: list[str]) -> list[list[float]]:
    """Class scores of image files, (N, classes)."""
    model = torch.export.load(HERE / "model.pt2").module()
    with torch.inference_mode():
        return model(torch.from_numpy(batch(paths))).tolist()


if __name__ == "__main__":
    answer(logits(sys.argv[1:]), sys.argv[1:])
