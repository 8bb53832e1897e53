"""Classify images: python predict.py IMAGE...  Needs timm and peft."""

import json
import sys

import timm
import torch
from peft import PeftModel
from preprocess import HERE, answer, batch


def logits(paths: list[str]) -> list[list[float]]:
    """Class scores of image files, (N, classes)."""
    said = json.loads((HERE / "backbone.json").read_text(encoding="utf-8"))
    backbone = timm.create_model(said["model_name"].format(here=HERE), **said["arguments"])
    for path, values in said["attributes"].items():
        vars(backbone.get_submodule(path)).update(values)
    with torch.inference_mode():
        return PeftModel.from_pretrained(backbone, HERE).eval()(torch.from_numpy(batch(paths))).tolist()


if __name__ == "__main__":
    answer(logits(sys.argv[1:]), sys.argv[1:])
