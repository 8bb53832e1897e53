"""Attachments from the command line on a backbone."""

from studio.app.inspection import Inspector
from studio.cli.attach_spec import parse_attachment
from studio.core.recipe import Backbone


def test_an_attachment_gets_a_free_name_and_every_field() -> None:
    layers = Inspector(Backbone(), 10).layers
    made = parse_attachment("lora@blocks.*.attn.qkv:q,rank=4", layers, ["lora"])
    assert (made.name, made.at, made.slices) == ("lora-2", ("blocks.*.attn.qkv",), ("q",))
    assert made.config["rank"] == 4
    assert "alpha" in made.config


def test_several_targets_are_joined_by_a_plus() -> None:
    made = parse_attachment("lora@blocks.0.mlp.fc1+blocks.3.mlp.fc1", Inspector(Backbone(), 10).layers)
    assert made.at == ("blocks.0.mlp.fc1", "blocks.3.mlp.fc1")


def test_a_method_alone_goes_to_its_default_sites() -> None:
    made = parse_attachment("lora,rank=2", Inspector(Backbone(), 10).layers)
    assert (made.at, made.slices, made.config["rank"]) == (("blocks.*.attn.qkv",), ("q", "v"), 2)
