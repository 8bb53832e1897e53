"""The document: edits, history, file."""

import pytest

from studio.core.errors import StudioError
from studio.core.recipe import Attachment, Recipe
from studio.ui.services import recipe_edits
from studio.ui.services.document import Document


@pytest.fixture
def document(qapp):
    made = Document()
    yield made
    made.close()


def epochs(recipe, number):
    return recipe_edits.with_value(recipe, "training.epochs", number)


def test_edits_are_undone_and_made_again_exactly(document):
    first = document.recipe
    lora = Attachment(name="lora", method="lora", at=("blocks.*",))
    document.edit("Attach", recipe_edits.with_attachments(first, (lora,)))
    second = document.recipe
    document.undo_stack.undo()
    assert document.recipe is first
    document.undo_stack.redo()
    assert document.recipe is second
    assert document.recipe.attachments == (lora,)


def test_edits_of_one_thing_become_one_step(document):
    first = document.recipe
    for number in (11, 12, 13):
        document.edit("Change epochs", epochs(document.recipe, number), "training.epochs")
    assert document.undo_stack.count() == 1
    assert document.recipe.training.epochs == 13
    document.undo_stack.undo()
    assert document.recipe == first


def test_edits_of_two_things_stay_two_steps(document):
    document.edit("a", epochs(document.recipe, 3), "training.epochs")
    document.edit("b", recipe_edits.with_value(document.recipe, "training.seed", 3), "training.seed")
    assert document.undo_stack.count() == 2


def test_coming_back_to_the_beginning_leaves_no_step(document):
    document.edit("a", epochs(document.recipe, 3), "e")
    document.edit("a", epochs(document.recipe, 10), "e")
    assert document.undo_stack.count() == 0
    assert not document.modified


def test_an_edit_that_changes_nothing_is_no_step(document):
    document.edit("nothing", document.recipe)
    assert document.undo_stack.count() == 0


def test_the_star_goes_with_saving_and_comes_with_editing(document, tmp_path, qtbot):
    document.edit("a", epochs(document.recipe, 3))
    assert document.modified
    with qtbot.waitSignal(document.file_changed):
        document.save(tmp_path / "r.toml")
    assert not document.modified
    assert document.name == "r.toml"
    document.undo_stack.undo()
    assert document.modified
    assert Recipe.load(tmp_path / "r.toml").training.epochs == 3


def test_opening_makes_paths_absolute_and_forgets_the_history(document, tmp_path):
    recipe_edits.with_value(Recipe(), "data.path", "images").save(tmp_path / "r.toml")
    document.edit("a", epochs(document.recipe, 3))
    document.open(tmp_path / "r.toml")
    assert document.recipe.data.path == str(tmp_path / "images")
    assert document.undo_stack.count() == 0


def test_a_broken_file_leaves_the_document_as_it_is(document, tmp_path):
    (tmp_path / "r.toml").write_text("schema = 1\n[training]\nepochs = 0\n")
    before = document.recipe
    with pytest.raises(StudioError, match=r"training\.epochs"):
        document.open(tmp_path / "r.toml")
    assert document.recipe is before


def test_a_value_that_is_not_allowed_names_its_key():
    with pytest.raises(StudioError, match=r"training\.epochs"):
        epochs(Recipe(), 0)


def test_a_file_that_somebody_else_changed_is_known(tmp_path):
    path = tmp_path / "r.toml"
    mine, other = Document(), Document()
    assert not mine.changed_on_disk
    mine.save(path)
    other.open(path)
    other.edit("epochs", Recipe.model_validate({"training": {"epochs": 3}}))
    other.save(path)
    assert mine.changed_on_disk
    assert not other.changed_on_disk
    mine.save(path)
    assert not mine.changed_on_disk
    path.unlink()
    assert not mine.changed_on_disk
