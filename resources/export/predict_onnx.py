"""Classify images: python predict.py IMAGE...  Requires onnxruntime."""

import sys

import onnxruntime
from preprocess import HERE, batch, print_predictions

session = onnxruntime.InferenceSession(HERE / "model.onnx", providers=["CPUExecutionProvider"])


def logits(paths: list[str]) -> list[list[float]]:
    """Class scores (N, classes) of image files."""
    return session.run(None, {session.get_inputs()[0].name: batch(paths)})[0].tolist()


if __name__ == "__main__":
    print_predictions(logits, sys.argv[1:])
