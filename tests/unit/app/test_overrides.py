"""Attachments and values as they are written on the command line."""

import pytest

from studio.app.inspection import Inspector
from studio.app.overrides import apply_overrides
from studio.cli.attach_spec import parse_attachment
from studio.core.attachment_spec import format_spec, parse_assignment, parse_spec
from studio.core.errors import StudioError
from studio.core.recipe import Attachment, Backbone, Recipe


@pytest.mark.parametrize(
    ("text", "method", "target", "slices", "config"),
    [
        ("lora@blocks.*.attn.qkv", "lora", "blocks.*.attn.qkv", (), {}),
        ("lora@blocks.*.attn.qkv:q,v", "lora", "blocks.*.attn.qkv", ("q", "v"), {}),
        ("lora@blocks.*.attn.qkv:qv,rank=4", "lora", "blocks.*.attn.qkv", ("q", "v"), {"rank": 4}),
        ("lora@a.{6..11}.b:v,rank=4,alpha=8.5,init=gaussian", "lora", "a.{6..11}.b", ("v",),
         {"rank": 4, "alpha": 8.5, "init": "gaussian"}),
        ("m@x,on=true,many=[1, 2],name=\"a b\"", "m", "x", (), {"on": True, "many": [1, 2], "name": "a b"}),
        ("lora", "lora", "", (), {}),
        ("lora,rank=2", "lora", "", (), {"rank": 2}),
    ],
)  # fmt: skip
def test_a_line_is_read(
    text: str, method: str, target: str, slices: tuple[str, ...], config: dict[str, object]
) -> None:
    line = parse_spec(text)
    assert (line.method, line.target, line.slices, line.config) == (method, target, slices, config)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("@blocks", "not of the form"),
        ("lora@", "not of the form"),
        ("lora@x:qz", "names z, but the slices are q, k and v"),
        ("lora@x,=3", "not of the form key=value"),
    ],
)
def test_a_wrong_line_is_refused(text: str, sentence: str) -> None:
    with pytest.raises(StudioError, match=sentence):
        parse_spec(text)


def test_a_written_attachment_is_read_back() -> None:
    made = Attachment(name="a", method="lora", at=("blocks.*.attn.qkv",), slices=("q", "v"), config={"rank": 4})
    line = parse_spec(format_spec(made))
    assert (line.method, line.target, line.slices, line.config) == (
        "lora",
        "blocks.*.attn.qkv",
        ("q", "v"),
        {"rank": 4},
    )


def test_an_attachment_gets_a_free_name_and_every_field() -> None:
    layers = Inspector(Backbone(), 10).layers
    made = parse_attachment("lora@blocks.*.attn.qkv:q,rank=4", layers, ["lora"])
    assert (made.name, made.at, made.slices) == ("lora-2", ("blocks.*.attn.qkv",), ("q",))
    assert made.config["rank"] == 4
    assert "alpha" in made.config


def test_a_method_alone_goes_to_its_default_sites() -> None:
    made = parse_attachment("lora,rank=2", Inspector(Backbone(), 10).layers)
    assert (made.at, made.slices, made.config["rank"]) == (("blocks.*.attn.qkv",), ("q", "v"), 2)


def test_values_are_overridden_by_their_path_with_toml_types() -> None:
    recipe = Recipe(attachments=(Attachment(name="low", method="lora", at=("x",)),))
    changed = apply_overrides(
        recipe,
        ["training.epochs=3", "training.learning_rate=1e-4", "data.path=/photos", "attachments.low.rank=2",
         "attachments.0.at=[\"a\", \"b\"]", "attachments.low.enabled=false"],
    )  # fmt: skip
    assert (changed.training.epochs, changed.training.learning_rate, changed.data.path) == (3, 1e-4, "/photos")
    (low,) = changed.attachments
    assert (low.config, low.at, low.enabled) == ({"rank": 2}, ("a", "b"), False)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("training.epochs", "not of the form key=value"),
        ("training.epochs=many", "training.epochs: Input should be a valid integer"),
        ("training.speed=3", "training.speed is not a known key"),
        ("nothing.at.all=3", "nothing.at.all is not a value of a recipe"),
        ("attachments.high.rank=3", "no attachment called 'high'; there are low"),
        ("attachments=3", "attachments: Input should be a valid"),
    ],
)
def test_a_wrong_override_is_refused_with_its_path(text: str, sentence: str) -> None:
    recipe = Recipe(attachments=(Attachment(name="low", method="lora", at=("x",)),))
    with pytest.raises(StudioError, match=sentence):
        apply_overrides(recipe, [text])


def test_an_assignment_is_typed_as_in_toml() -> None:
    assert [parse_assignment(f"k={v}")[1] for v in ("1", "1.5", "true", "'1'", "word", "[1]")] == [
        1,
        1.5,
        True,
        "1",
        "word",
        [1],
    ]
