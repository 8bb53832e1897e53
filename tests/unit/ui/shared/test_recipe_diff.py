"""Difference of two recipes on one layer tree."""

import pytest
from PySide6.QtCore import Qt

from studio.core.recipe import Attachment, Recipe
from studio.ui.shared.recipe_diff import RecipeDiff

LORA = Attachment(name="lora", method="lora", at=("blocks.*.attn.qkv",), slices=("q", "v"), config={"rank": 4})
LARGER = LORA.model_copy(update={"config": {"rank": 16}})
ON_ONE = LORA.model_copy(update={"at": ("blocks.1.attn.qkv",)})
ON_O = Attachment(name="o", method="lora", at=("blocks.0.attn.proj",))


def recipe(*attachments: Attachment, **changes: object) -> Recipe:
    return Recipe(attachments=attachments).model_copy(update=changes)


@pytest.fixture
def widget(qtbot, qapp):
    made = RecipeDiff()
    made.resize(900, 600)
    qtbot.addWidget(made)
    made.show()
    return made


def differences(widget):
    texts = {}

    def walk(item):
        if item.text(3):
            texts[item.toolTip(0) if item.parent() is None else path(item)] = item.text(3)
        for number in range(item.childCount()):
            walk(item.child(number))

    for number in range(widget.tree.topLevelItemCount()):
        walk(widget.tree.topLevelItem(number))
    return texts


def path(item):
    return f"{path(item.parent())}.{item.text(0)}" if item.parent() else item.text(0)


def test_rows_show_attachments_of_one_recipe_and_different_ones(widget, rows):
    widget.show_recipes(recipe(LORA, ON_O), recipe(ON_ONE), rows)
    assert differences(widget) == {"blocks.0.attn.qkv": "only in A", "blocks.0.attn.proj": "only in A"}
    widget.show_recipes(recipe(ON_ONE), recipe(LARGER), rows)
    assert differences(widget) == {"blocks.0.attn.qkv": "only in B", "blocks.1.attn.qkv": "different"}
    cells = widget.tree.findItems("qkv", Qt.MatchFlag.MatchRecursive | Qt.MatchFlag.MatchExactly)
    assert {cells[1].text(1), cells[1].text(2)} == {"LoRA r4 on q, v", "LoRA r16 on q, v"}


def test_equal_layers_are_shown_on_request(widget, rows, qtbot):
    widget.show_recipes(recipe(LORA), recipe(LORA, ON_O), rows)
    assert set(differences(widget)) == {"blocks.0.attn.proj"}
    box = widget.only_different.rect().center()
    box.setX(8)
    qtbot.mouseClick(widget.only_different, Qt.MouseButton.LeftButton, pos=box)
    assert differences(widget) == {
        "blocks.0.attn.qkv": "the same",
        "blocks.0.attn.proj": "only in B",
        "blocks.1.attn.qkv": "the same",
        "head": "the same",
    }


def test_other_settings_that_differ_are_listed(widget, rows):
    other = Recipe.from_mapping({"training": {"epochs": 3}, "head": {"trainable": False}})
    widget.show_recipes(Recipe(), other, rows)
    assert widget.settings.rows == (("training.epochs", "10", "3"),)
    assert widget.settings.cells(widget.settings.rows[0])[0] == "Epochs"
    assert differences(widget) == {"head": "only in A"}
    widget.show_recipes(Recipe(), Recipe(), rows)
    assert widget.summary.text() == "The two recipes are the same."
    assert not widget.settings_section.isVisible()
    assert not widget.tree.isVisible()
    widget.show_recipes(Recipe(), other, rows)
    assert widget.summary.text() == "1 layer differs   ·   1 other setting differs"
