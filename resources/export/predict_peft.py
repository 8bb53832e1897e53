"""Classify images: python predict.py IMAGE...  Requires timm and peft."""

import json
import sys

import timm
import torch
from peft import PeftModel
from preprocess import HERE, batch, print_predictions

info = json.loads((HERE / "backbone.json").read_text(encoding="utf-8"))
backbone = timm.create_model(info["model_name"].format(here=HERE), **info["arguments"])
for path, values in info["attributes"].items():
    vars(backbone.get_submodule(path)).update(values)
model = PeftModel.from_pretrained(backbone, HERE).eval()


def logits(paths: list[str]) -> list[list[float]]:
    """Class scores (N, classes) of image files."""
    with torch.inference_mode():
        return model(torch.from_numpy(batch(paths))).tolist()


if __name__ == "__main__":
    print_predictions(logits, sys.argv[1:])
