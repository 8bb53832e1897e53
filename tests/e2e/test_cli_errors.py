"""A wrong input is one sentence on stderr and exit code 2: no traceback, nothing half-written."""

import json
import pickle
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from studio.cli import console
from studio.cli.main import main
from studio.core.paths import resource

RECIPE = """
schema = 1
[backbone]
{backbone}
[[attachments]]
name = "lora"
method = "lora"
at = ["{at}"]
[data]
path = '{data}'
[training]
epochs = 1
"""
BUNDLED = 'name = "starter"\nsource = "bundled"'


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PEFT_STUDIO_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    for label in "ab":
        (tmp_path / "photos" / label).mkdir(parents=True)
        for number in range(4):
            pixels = np.full((8, 8, 3), 40 * number, np.uint8)
            Image.fromarray(pixels).save(tmp_path / "photos" / label / f"{number}.png")
    return tmp_path / "photos"


def refused(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    """Run a verb that must be refused; the sentence that it says."""
    with pytest.raises(SystemExit) as ended:
        main([str(a) for a in arguments])
    said = capsys.readouterr()
    assert ended.value.code == 2, said.err
    assert said.out == ""
    *before, sentence = said.err.splitlines()
    assert all(line.startswith("Training: ") for line in before)
    assert "Traceback" not in said.err
    return sentence


def recipe(folder: Path, data: Path | str, backbone: str = BUNDLED, at: str = "blocks.*.attn.qkv") -> Path:
    path = folder / "recipe.toml"
    path.write_text(RECIPE.format(backbone=backbone, at=at, data=data))
    return path


def local(weights: Path) -> str:
    return f"name = 'vit_tiny_patch16_224'\nsource = 'local'\nweights = '{weights}'"


def case_no_images(folder: Path, photos: Path) -> tuple[Path, str]:
    (folder / "empty").mkdir()
    return recipe(folder, folder / "empty"), "There are no images in"


def case_one_class(folder: Path, photos: Path) -> tuple[Path, str]:
    for image in (photos / "b").iterdir():
        image.unlink()
    return recipe(folder, photos), "All images in"


def case_only_unreadable_images(folder: Path, photos: Path) -> tuple[Path, str]:
    for image in photos.glob("*/*.png"):
        image.write_bytes(b"not an image")
    return recipe(folder, photos), "can be read"


def case_no_folder(folder: Path, photos: Path) -> tuple[Path, str]:
    return recipe(folder, folder / "nowhere"), "There is no folder"


def case_unknown_backbone(folder: Path, photos: Path) -> tuple[Path, str]:
    named = 'name = "vit_small_patch16_225"\nsource = "timm"'
    return recipe(folder, photos, named), "Similar names: vit_small_patch16_224"


def case_pattern_without_match(folder: Path, photos: Path) -> tuple[Path, str]:
    return recipe(folder, photos, at="layers.*.qkv"), "No layer matches layers.*.qkv"


def case_checkpoint_of_other_shapes(folder: Path, photos: Path) -> tuple[Path, str]:
    save_file({"cls_token": torch.zeros(1, 1, 7)}, folder / "other.safetensors")
    return recipe(folder, photos, local(folder / "other.safetensors")), "does not fit"


def case_pickle(folder: Path, photos: Path) -> tuple[Path, str]:
    (folder / "model.pth").write_bytes(pickle.dumps({"a": 1}))
    return recipe(folder, photos, local(folder / "model.pth")), "can run code when opened"


def case_unknown_key(folder: Path, photos: Path) -> tuple[Path, str]:
    path = recipe(folder, photos)
    path.write_text(path.read_text() + "speed = 3\n")
    return path, "training.speed is not a known key"


def case_not_toml(folder: Path, photos: Path) -> tuple[Path, str]:
    path = recipe(folder, photos)
    path.write_text("schema = ")
    return path, "is not valid TOML"


def case_no_recipe(folder: Path, photos: Path) -> tuple[Path, str]:
    return folder / "missing.toml", "There is no recipe"


CASES = [value for name, value in list(globals().items()) if name.startswith("case_")]


@pytest.mark.parametrize("case", CASES, ids=[case.__name__.removeprefix("case_") for case in CASES])
def test_a_recipe_that_cannot_be_trained_leaves_nothing(
    case, photos: Path, tmp_path: Path, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, sentence = case(tmp_path, photos)
    out = tmp_path / "run"
    assert sentence in refused(capsys, "train", path, "--out", out)
    assert not out.exists()
    assert not home.exists() or not list(home.rglob("*.toml"))


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["frobnicate"], "No such command 'frobnicate'"),
        (["export", "run"], "Missing option '--format'"),
        (["train"], "Missing argument"),
        (["evaluate", "nowhere"], "nowhere is not a run"),
        (["evaluate", "nowhere", "--split", "middle"], "Invalid value for '--split'"),
        (["predict", "nowhere", "x.png"], "nowhere is neither a run nor an export"),
        (["compare", "nowhere"], "nowhere is not a run"),
        (["data", "check", "nowhere"], "There is no folder"),
        (["methods", "magic"], "There is no PEFT method called 'magic'. Install its plugin"),
        (["inspect", "vit_nothing_at_all"], "There is no backbone 'vit_nothing_at_all'"),
        (["inspect", "starter", "--attach", "magic@blocks"], "There is no PEFT method called 'magic'"),
        (["inspect", "starter", "--attach", "lora@nothing"], "No layer matches nothing"),
        (["inspect", "starter", "--attach", "lora@blocks.*.attn.qkv,rank=0"], "rank must be at least 1"),
        (["inspect", "starter", "--attach", "lora@blocks.*.attn.qkv,ranks=2"], "ranks is not a known key"),
        (["app", "nowhere.toml"], "nowhere.toml"),
    ],
)
def test_a_wrong_argument_is_one_sentence(
    arguments: list[str], sentence: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QT_QPA_PLATFORM", "offscreen")
    assert sentence in refused(capsys, *arguments)


def test_the_window_without_a_display_is_refused(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(sys, "platform", "linux")
    assert "there is no display" in refused(capsys, "app")


def test_an_unreadable_image_is_named(photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (photos / "a" / "0.png").write_bytes(b"not an image")
    with pytest.raises(SystemExit) as ended:
        main(["data", "check", str(photos), "--json"])
    assert ended.value.code == 0
    found = json.loads(capsys.readouterr().out)
    assert found["images"] == 7
    assert "a/0.png cannot be read" in found["problems"][0]["text"].replace("\\", "/")


def test_the_unexpected_is_a_short_sentence_with_the_place_of_the_traceback(
    home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def break_down() -> None:
        raise ZeroDivisionError("one by none")

    monkeypatch.setattr("studio.app.method_info.describe_methods", break_down)
    with pytest.raises(SystemExit) as ended:
        main(["methods"])
    said = capsys.readouterr().err
    assert ended.value.code == console.EXIT_UNEXPECTED
    assert said.startswith("Unexpected error (ZeroDivisionError: one by none). Details are in ")
    (log,) = (home / "logs").iterdir()
    assert str(log) in said
    assert "in break_down" in log.read_text()


def test_every_verb_that_lists_prints_one_json_object(capsys: pytest.CaptureFixture[str]) -> None:
    asked = (
        ["methods"],
        ["methods", "lora"],
        ["backbones", "starter"],
        ["inspect", "starter", "--attach", "lora@blocks.*.attn.qkv:q,v,rank=4"],
        ["data", "check", "bundled:digits"],
        ["doctor"],
    )
    for arguments in asked:
        with pytest.raises(SystemExit):
            main([*arguments, "--json"])
        assert isinstance(json.loads(capsys.readouterr().out), dict), arguments


def test_inspect_counts_slices_and_says_why_a_layer_is_skipped(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["inspect", "starter", "--classes", "10", "--json", "--attach", "lora@blocks.0.**,rank=2"])
    assert ended.value.code == 0
    counted = json.loads(capsys.readouterr().out)
    (lora,) = counted["attachments"]
    assert lora["matched"] == [f"blocks.0.{p}" for p in ("attn.qkv", "attn.proj", "mlp.fc1", "mlp.fc2")]
    assert lora["parameters"] == 2 * ((96 + 288) + (96 + 96) + (96 + 384) + (384 + 96))
    assert counted["trainable_parameters"] == lora["parameters"] + 970
    reasons = {skipped["path"]: skipped["reason"] for skipped in lora["skipped"]}
    assert "needs a plain linear or convolution layer" in reasons["blocks.0.norm1"]


def test_the_shipped_recipes_are_valid_on_their_backbones() -> None:
    from studio.app.training import check_trainable, load_recipe

    recipes = sorted(resource("recipes").glob("*.toml"))
    assert recipes
    for path in recipes:
        check_trainable(load_recipe(path))
