"""The description of a method, from which the palette, the form and the help are made."""

import inspect
from typing import Any

from studio.core.recipe import Attachment, Recipe
from studio.peft import Method
from studio.peft.method_info import DIAGRAMS
from studio.testing import observing


def test_it_is_described(method: Method[Any]) -> None:
    assert method.name == method.name.lower()
    assert method.label
    assert method.family
    assert method.info.when_to_use
    assert method.info.diagram in DIAGRAMS
    assert method.info.size_field in {"", *method.Config.model_fields}
    assert observing.is_sentence(method.summary)
    assert method.paper
    assert method.not_mergeable_reason == "" or observing.is_sentence(method.not_mergeable_reason)
    assert 0 < method.learning_rate < 10


def test_every_field_has_a_title_a_description_and_a_default(method: Method[Any]) -> None:
    for name, field in method.Config.model_fields.items():
        assert not field.is_required(), name
        assert field.title, name
        assert field.description, name


def test_its_defaults_are_allowed(method: Method[Any]) -> None:
    config = method.configure({})
    assert method.configure(config.model_dump()) == config
    assert isinstance(method.info.short_text(config), str)


def test_a_recipe_keeps_its_fields(method: Method[Any]) -> None:
    config = method.configure({}).model_dump(mode="json")
    recipe = Recipe(attachments=(Attachment(name="a", method=method.name, at=("x",), config=config),))
    again = Recipe.loads(recipe.dumps())
    assert method.configure(again.attachments[0].config) == method.configure({})


def test_its_fields_do_not_hide_those_of_an_attachment(method: Method[Any]) -> None:
    assert not set(method.Config.model_fields) & set(Attachment.model_fields)


def test_it_keeps_no_state(method: Method[Any]) -> None:
    assert not vars(method)
    assert not inspect.isabstract(type(method))
