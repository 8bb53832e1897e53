"""Classify images: python predict.py IMAGE...  Needs timm and peft, and the backbone that backbone.json names."""

import json
import sys

import timm
import torch
from peft import PeftModel
from preprocess import HERE, answer, batch


def logits(paths: list[str]) -> list[list[float]]:
    """Class scores of image files, (N, classes)."""
    backbone = json.loads((HERE / "backbone.json").read_text(encoding="utf-8"))
    model = timm.create_model(**backbone["create_model"])
    for path, values in backbone["attributes"].items():
        vars(model.get_submodule(path)).update(values)
    model = PeftModel.from_pretrained(model, HERE).eval()
    with torch.inference_mode():
        return model(torch.from_numpy(batch(paths))).tolist()


if __name__ == "__main__":
    answer(logits(sys.argv[1:]), sys.argv[1:])
