"""Changes of recipe values by their path."""

import pytest

from studio.app.overrides import apply_overrides
from studio.core.errors import StudioError
from studio.core.recipe import Attachment, Recipe


def test_values_are_overridden_by_their_path_with_toml_types() -> None:
    recipe = Recipe(attachments=(Attachment(name="low", method="lora", at=("x",)),))
    changed = apply_overrides(
        recipe,
        ["training.epochs=3", "training.learning_rate=1e-4", "data.path=/photos", "attachments.low.rank=2",
         "attachments.0.at=[\"a\", \"b\"]", "attachments.low.enabled=False"],
    )  # fmt: skip
    assert (changed.training.epochs, changed.training.learning_rate, changed.data.path) == (3, 1e-4, "/photos")
    (low,) = changed.attachments
    assert (low.config, low.at, low.enabled) == ({"rank": 2}, ("a", "b"), False)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("training.epochs", "not of the form key=value"),
        ("training.epochs=many", "training.epochs must be a whole number"),
        ("training.speed=3", "training.speed is not a known key"),
        ("nothing.at.all=3", "There is no recipe value nothing.at.all"),
        ("attachments.high.rank=3", "no attachment called 'high'. Available: low"),
        ("attachments=3", "attachments must be a list"),
    ],
)
def test_a_wrong_override_is_refused_with_its_path(text: str, sentence: str) -> None:
    recipe = Recipe(attachments=(Attachment(name="low", method="lora", at=("x",)),))
    with pytest.raises(StudioError, match=sentence):
        apply_overrides(recipe, [text])


def test_booleans_may_be_written_as_in_python() -> None:
    assert apply_overrides(Recipe(), ["training.compile=True"]).training.compile is True
    assert apply_overrides(Recipe(), ["training.compile=true", "head.trainable=False"]).head.trainable is False
