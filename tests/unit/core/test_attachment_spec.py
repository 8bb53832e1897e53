"""Attachment lines: parsing, and formatting as its inverse."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from studio.core.attachment_spec import format_assignment, format_spec, parse_assignment, parse_spec
from studio.core.errors import StudioError
from studio.core.recipe import Attachment
from studio.peft.contract import METHODS

SCALARS = (
    st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]))
)
VALUES = (
    SCALARS
    | st.lists(SCALARS, max_size=3)
    | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), SCALARS, max_size=3)
)
TARGETS = st.lists(st.from_regex(r"[a-z_*][a-z0-9_.*-]*", fullmatch=True), min_size=1, max_size=3)
FIELDS = sorted({field for method in METHODS for field in method.Config.model_fields})


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
    assert (line.method, line.targets, line.slices, line.config) == (
        method,
        (target,) if target else (),
        slices,
        config,
    )


@pytest.mark.parametrize(
    ("text", "code", "sentence"),
    [
        ("@blocks", "bad-attachment", "not of the form"),
        ("lora@", "bad-attachment", "not of the form"),
        ("lora@a+", "bad-attachment", "not of the form"),
        ("lora@x:qz", "bad-attachment", "unknown slices: z"),
        ("lora@x,=3", "bad-assignment", "not of the form key=value"),
    ],
)
def test_a_wrong_line_is_refused(text: str, code: str, sentence: str) -> None:
    with pytest.raises(StudioError, match=sentence) as raised:
        parse_spec(text)
    assert raised.value.code == code


@given(TARGETS, st.sets(st.sampled_from("qkv")), st.dictionaries(st.sampled_from(FIELDS), VALUES, max_size=4))
def test_formatting_is_the_inverse_of_parsing(targets: list[str], slices: set[str], config: dict[str, Any]) -> None:
    made = Attachment(name="a", method="lora", at=tuple(targets), slices=tuple(sorted(slices)), config=config)
    spec = parse_spec(format_spec(made))
    assert (spec.method, spec.targets, spec.slices) == (made.method, made.at, made.slices)
    assert Attachment(name="a", method="lora", at=spec.targets, config=spec.config).config == made.config


@pytest.mark.parametrize("name", [method.name for method in METHODS])
def test_the_default_fields_of_a_method_come_back(name: str) -> None:
    method = METHODS.get(name)
    config = method.Config.model_construct().model_dump(mode="json")
    made = Attachment(name="a", method=name, at=("blocks.0.mlp", "blocks.3.mlp"), config=config)
    spec = parse_spec(format_spec(made))
    assert (spec.method, spec.targets, spec.config) == (name, made.at, dict(made.config))


@given(VALUES)
def test_an_assignment_comes_back(value: object) -> None:
    key, again = parse_assignment(format_assignment("key", value))
    assert (key, again, type(again)) == ("key", value, type(value))


def test_words_and_booleans_need_no_quotes() -> None:
    assert format_assignment("init", "gaussian") == "init=gaussian"
    assert format_assignment("learn_scale", True) == "learn_scale=true"
    assert format_assignment("name", "true") == 'name="true"'
    assert [parse_assignment(f"k={v}")[1] for v in ("1", "1.5", "true", "False", "'1'", "word", "[1]")] == [
        1, 1.5, True, False, "1", "word", [1],
    ]  # fmt: skip
