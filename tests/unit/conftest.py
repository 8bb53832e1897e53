"""Small images, a small backbone and a recipe that trains it in a second."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
from huggingface_hub import constants
from PIL import Image
from safetensors.torch import save, save_file

from studio.app import training
from studio.core.control import TrainControl
from studio.core.recipe import Recipe
from studio.core.run import Run
from tests.data.hub import Hub, serve

MakeImages = Callable[..., Path]
MakeRecipe = Callable[..., Recipe]


def trained(recipe: Recipe, path: Path) -> Run:
    """Train a recipe."""
    run = training.create_run(recipe, path)
    for _ in training.train(run, TrainControl()):
        pass
    return run


@pytest.fixture(scope="session", autouse=True)
def _temporary_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Put settings, runs and caches into a temporary folder."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("PEFT_STUDIO_HOME", str(tmp_path_factory.mktemp("home")))
        yield


@pytest.fixture
def make_images(tmp_path: Path) -> MakeImages:
    """Make ``count`` images in a folder below ``tmp_path``: noise around a color that depends on its name."""

    def make(folder: str, count: int, size: int = 24) -> Path:
        target = tmp_path / folder
        target.mkdir(parents=True, exist_ok=True)
        draw = np.random.default_rng(sum(folder.encode()))
        color = draw.integers(0, 156, 3)
        for number in range(count):
            pixels = color + draw.integers(0, 100, (size, size, 3))
            Image.fromarray(pixels.astype(np.uint8)).save(target / f"{number:03}.png")
        return target

    return make


@pytest.fixture(scope="session")
def tiny_backbone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a timm model folder: a ViT of two blocks of width 16 for images of 32 x 32, with random weights."""
    folder = tmp_path_factory.mktemp("backbone") / "tiny"
    folder.mkdir()
    args = {"img_size": 32, "patch_size": 8, "embed_dim": 16, "depth": 2, "num_heads": 2}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        module = timm.create_model("vit_tiny_patch16_224", num_classes=5, **args)
    save_file(module.state_dict(), folder / "model.safetensors")
    cfg = {"input_size": [3, 32, 32], "crop_pct": 1.0, "classifier": "head", "num_classes": 5}
    config = {"architecture": "vit_tiny_patch16_224", "num_classes": 5, "model_args": args, "pretrained_cfg": cfg}
    (folder / "config.json").write_text(json.dumps(config))
    return folder


@pytest.fixture
def make_recipe(tmp_path: Path, tiny_backbone: Path, make_images: MakeImages) -> MakeRecipe:
    """Return a factory of recipes: LoRA with dropout, three classes of 8 images; keywords set ``training``."""

    def make(
        *,
        head: bool = True,
        lora: bool = True,
        at: str = "blocks.*.attn.qkv",
        augmentation: str = "none",
        pretrained: bool = True,
        **training: Any,
    ) -> Recipe:
        for name in ("a", "b", "c"):
            make_images(f"images/{name}", 8)
        attachment = {
            "name": "lora",
            "method": "lora",
            "at": [at],
            "slices": ["q", "v"],
            "dropout": 0.1,
        }
        return Recipe.from_mapping(
            {
                "schema": 1,
                "backbone": {
                    "name": "tiny",
                    "source": "local",
                    "weights": str(tiny_backbone),
                    "pretrained": pretrained,
                },
                "attachments": [attachment] if lora else [],
                "head": {"trainable": head},
                "data": {
                    "path": str(tmp_path / "images"),
                    "split": {"validation": 0.25},
                    "transforms": {"augmentation": augmentation},
                },
                "training": {"epochs": 3, "batch_size": 5, "device": "cpu", "learning_rate": 0.01} | training,
            }
        )

    return make


REMOTE = "test_vit.r160_in1k"
"""The smallest network of timm."""


@pytest.fixture(scope="session")
def remote_weights() -> bytes:
    """Return random weights of :data:`REMOTE`, 1.5 MB of safetensors."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        return save(timm.create_model(REMOTE).state_dict(), metadata={"format": "pt"})


@pytest.fixture
def hub(remote_weights: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """Serve a hub on loopback with the weights of :data:`REMOTE`, and an empty cache."""
    made = Hub(f"timm/{REMOTE}", remote_weights)
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)  # the tests as a whole run without a hub
    with serve(made) as address:
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr(constants, "ENDPOINT", address)
        monkeypatch.setattr(
            constants, "HUGGINGFACE_CO_URL_TEMPLATE", address + "/{repo_id}/resolve/{revision}/{filename}"
        )
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
        monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 1 << 16)  # smaller than the file, as for real weights
        yield made
