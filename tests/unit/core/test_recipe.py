"""Recipes: round trips, and errors that name the key."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from studio.core.errors import StudioError
from studio.core.messages import Message
from studio.core.paths import resource
from studio.core.recipe import Attachment, Backbone, Data, Head, Recipe, Split, Training, Transforms

FULL = """
schema = 1

[backbone]
name = "vit_tiny_patch16_224"
source = "timm"

[[attachments]]
name = "low-rank"
method = "lora"
at = ["blocks.{6..11}.attn.qkv"]
slices = ["q", "v"]
rank = 4

[[attachments]]
name = "later"
method = "not-installed"
at = ["**.mlp"]
enabled = false
depth = 0.5
names = ["a", "b"]
table = { x = 1, y = true }

[head]
trainable = false

[data]
path = "images"
split = { validation = 0.1, seed = 3 }
transforms = { augmentation = "light" }

[training]
epochs = 3
precision = "auto"
"""


def test_reading_is_the_inverse_of_writing() -> None:
    recipe = Recipe.loads(FULL)
    assert Recipe.loads(recipe.dumps()) == recipe
    assert recipe.attachments[0].config == {"rank": 4}
    assert recipe.attachments[0].slices == ("q", "v")


def test_a_method_that_is_not_installed_is_saved_back_unchanged(tmp_path: Path) -> None:
    recipe = Recipe.loads(FULL)
    recipe.save(tmp_path / "recipe.toml")
    again = Recipe.load(tmp_path / "recipe.toml").find_attachment("later")
    assert again == recipe.find_attachment("later")
    assert dict(again.config) == {"depth": 0.5, "names": ["a", "b"], "table": {"x": 1, "y": True}}
    assert not again.enabled


def test_every_value_is_written_in_a_fixed_order() -> None:
    text = Recipe().dumps()
    assert text == Recipe.loads(text).dumps()
    for key in ("schema = 1", "batch_size = 32", 'optimizer = "adamw"', "label_smoothing = 0.0", "trainable = true"):
        assert key in text
    assert text.index("[backbone]") < text.index("[head]") < text.index("[data]") < text.index("[training]")


def test_numbers_keep_their_kind() -> None:
    config = {"whole": 1, "real": 1.0, "switch": True, "text": "1"}
    recipe = Recipe(attachments=(Attachment(name="a", method="m", at=("x",), config=config),))
    again = Recipe.loads(recipe.dumps()).attachments[0].config
    assert {key: (type(value), value) for key, value in again.items()} == {
        key: (type(value), value) for key, value in config.items()
    }


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"new_key": 1}, "new_key"),
    ({"backbone": {"new_key": 1}}, "backbone.new_key"),
    ({"backbone": {"source": "hub"}}, "backbone.source"),
    ({"backbone": {"name": ""}}, "backbone.name"),
    ({"training": {"epochs": 0}}, "training.epochs"),
    ({"training": {"epochs": 1.5}}, "training.epochs"),
    ({"training": {"epochs": "many"}}, "training.epochs"),
    ({"training": {"epochs": "10"}}, "training.epochs"),
    ({"training": {"learning_rate": 0}}, "training.learning_rate"),
    ({"training": {"learning_rate": float("nan")}}, "training.learning_rate"),
    ({"training": {"precision": "half"}}, "training.precision"),
    ({"training": 3}, "training"),
    ({"data": {"split": {"validation": 1.0}}}, "data.split.validation"),
    ({"data": {"path": 3}}, "data.path"),
    ({"head": {"trainable": "yes"}}, "head.trainable"),
    ({"head": {"trainable": 1}}, "head.trainable"),
    ({"attachments": [{"name": "a", "method": "lora", "at": []}]}, "attachments[0].at"),
    ({"attachments": [{"name": "a b", "method": "lora", "at": ["x"]}]}, "attachments[0].name"),
    ({"attachments": [{"method": "lora", "at": ["x"]}]}, "attachments[0].name"),
    ({"attachments": [{"name": "a", "method": "lora", "at": "x"}]}, "attachments[0].at"),
    ({"attachments": [{"name": "a", "method": "lora", "at": ["x"], "slices": ["w"]}]}, "attachments[0].slices[0]"),
]


@pytest.mark.parametrize(("raw", "path"), WRONG, ids=[f"{path}-{index}" for index, (_, path) in enumerate(WRONG)])
def test_a_wrong_key_is_refused_by_its_path(raw: dict[str, Any], path: str) -> None:
    with pytest.raises(StudioError) as raised:
        Recipe.from_mapping(raw, "mine.toml")
    text = str(raised.value)
    assert text.startswith((f"mine.toml: {path} ", f"mine.toml: {path}:"))
    assert text.endswith(".")
    assert "\n" not in text


def test_an_error_names_the_key_and_the_reason_for_translation() -> None:
    with pytest.raises(StudioError) as raised:
        Recipe.from_mapping({"training": {"epochs": 0}}, "mine.toml")
    message = raised.value.message
    assert (raised.value.code, message.template) == ("bad-value", "{origin}: {key} {reason}.")
    assert (message.values["key"], message.values["reason"]) == ("training.epochs", "must be at least 1")
    assert message.values["reason"].template == "must be at least {limit}"


def test_a_newer_schema_is_refused() -> None:
    with pytest.raises(StudioError, match="newer version") as raised:
        Recipe.from_mapping({"schema": 2}, "mine.toml")
    assert raised.value.code == "newer-version"


def test_every_field_has_a_title_and_a_description() -> None:
    for model in (Backbone, Attachment, Head, Data, Split, Transforms, Training):
        for name, field in model.model_fields.items():
            assert isinstance(field.title, Message), name
            assert name in ("split", "transforms") or isinstance(field.description, Message), name


def test_two_attachments_of_one_name_are_refused() -> None:
    twice = {"name": "a", "method": "lora", "at": ["x"]}
    with pytest.raises(StudioError, match="two attachments are called 'a'"):
        Recipe.from_mapping({"attachments": [twice, twice]})


@pytest.mark.parametrize("text", ["a = ", "[backbone", "schema = 1\nschema = 1"])
def test_invalid_toml_is_refused(text: str) -> None:
    with pytest.raises(StudioError, match=r"^mine is not valid TOML: .*\.$"):
        Recipe.loads(text, "mine")


def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StudioError, match="There is no recipe"):
        Recipe.load(tmp_path / "none.toml")
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(StudioError, match="it is not a text file"):
        Recipe.load(tmp_path / "binary.toml")


def test_a_recipe_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="frozen"):
        Recipe().training.epochs = 3


def test_relative_paths_count_from_the_recipe(tmp_path: Path) -> None:
    recipe = Recipe(data=Data(path="images"), backbone=Backbone(source="local", weights="w.safetensors"))
    located = recipe.with_absolute_paths(tmp_path)
    assert located.data.path == str(tmp_path / "images")
    assert located.backbone.weights == str(tmp_path / "w.safetensors")
    assert located.with_absolute_paths(Path("elsewhere")) == located
    assert Recipe(data=Data(path="bundled:digits")).with_absolute_paths(tmp_path).data.path == "bundled:digits"
    assert Recipe().with_absolute_paths(tmp_path).data.path == ""


def test_folders_of_trained_adapters_count_from_the_recipes_folder(tmp_path: Path) -> None:
    fusion = Attachment(name="f", method="fusion", at=("blocks.*.mlp",), config={"adapters": ["a", str(tmp_path)]})
    located = Recipe(attachments=(fusion,)).with_absolute_paths(tmp_path / "recipes")
    assert located.attachments[0].config["adapters"] == [str(tmp_path / "recipes" / "a"), str(tmp_path)]
    assert located.with_absolute_paths(Path("elsewhere")) == located


def test_an_attachment_is_found_by_name() -> None:
    recipe = Recipe.loads(FULL)
    assert recipe.find_attachment("later") is recipe.attachments[1]
    with pytest.raises(KeyError):
        recipe.find_attachment("none")


@pytest.mark.parametrize("path", sorted(resource("recipes").glob("*.toml")), ids=lambda p: p.stem)
def test_shipped_recipes_are_valid(path: Path) -> None:
    recipe = Recipe.load(path)
    assert Recipe.loads(recipe.dumps()) == recipe


scalars = st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False) | st.text()
keys = st.text("abcdefghijklmnopqrstuvwxyz_", min_size=1).filter(lambda key: key not in Attachment.model_fields)


@settings(max_examples=60, deadline=None)
@given(
    config=st.dictionaries(keys, scalars | st.lists(scalars, max_size=3), max_size=4),
    path=st.text(),
    rate=st.floats(1e-8, 100),
)
def test_any_recipe_comes_back(config: dict[str, Any], path: str, rate: float) -> None:
    attachment = Attachment(name="a", method="m", at=("x",), config=config)
    recipe = Recipe(attachments=(attachment,), data=Data(path=path), training=Training(learning_rate=rate))
    assert Recipe.loads(recipe.dumps()) == recipe
