"""Classify images: python predict.py IMAGE...  Needs onnxruntime."""

import sys

import onnxruntime
from preprocess import HERE, answer, batch


def logits(paths: list[str]) -> list[list[float]]:
    """Class scores of image files, (N, classes)."""
    session = onnxruntime.InferenceSession(HERE / "model.onnx", providers=["CPUExecutionProvider"])
    return session.run(None, {session.get_inputs()[0].name: batch(paths)})[0].tolist()


if __name__ == "__main__":
    answer(logits(sys.argv[1:]), sys.argv[1:])
