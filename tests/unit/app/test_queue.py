"""The queue: order, restarts and damage."""

import pytest

from studio.app.queue import QueueFile
from studio.core.errors import StudioError
from studio.core.recipe import Recipe


def recipe(epochs):
    return Recipe.from_mapping({"schema": 1, "training": {"epochs": epochs}})


def epochs(queue):
    return [row.recipe.training.epochs for row in queue.rows]


@pytest.fixture
def file(tmp_path):
    return tmp_path / "home" / "queue.json"


@pytest.fixture
def three(file):
    queue = QueueFile(file)
    for number in (1, 2, 3):
        queue.add(recipe(number))
    return queue


def test_it_outlives_the_program(three, file):
    assert epochs(QueueFile(file)) == [1, 2, 3]


@pytest.mark.parametrize(
    ("row", "place", "after"),
    [(0, 2, [2, 3, 1]), (2, 0, [3, 1, 2]), (1, 1, [1, 2, 3]), (0, 99, [2, 3, 1]), (2, -5, [3, 1, 2])],
)
def test_rows_move(three, file, row, place, after):
    three.move(three.rows[row].id, place)
    assert epochs(three) == after == epochs(QueueFile(file))


def test_rows_are_taken_out(three, file):
    three.remove(three.rows[0].id, three.rows[2].id)
    assert epochs(three) == [2] == epochs(QueueFile(file))


def test_a_row_that_cannot_be_trained_stays_and_is_passed_over(three, file):
    first = three.next_runnable
    three.mark_failed(first.id, "its images are gone")
    assert three.next_runnable.recipe.training.epochs == 2
    assert QueueFile(file).rows[0].problem == "its images are gone"
    three.mark_failed(first.id, "")
    assert three.next_runnable.id == first.id


def test_a_damaged_file_is_renamed(file):
    file.parent.mkdir()
    file.write_text("{half of it")
    queue = QueueFile(file)
    assert queue.rows == ()
    queue.add(recipe(5))
    assert file.with_suffix(".damaged.json").read_text() == "{half of it"


def test_a_row_of_a_newer_version_stays_and_is_refused_when_read(three, file):
    file.write_text(file.read_text().replace("schema = 1", "schema = 9"))
    queue = QueueFile(file)
    with pytest.raises(StudioError, match="queued recipe"):
        _ = queue.rows[0].recipe
    queue.move(queue.rows[0].id, 2)
    assert QueueFile(file).rows[2].text == queue.rows[2].text


def test_a_queue_that_cannot_be_written_says_so_and_stays_as_it_was(three, file, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("studio.app.queue.write_json", full)
    with pytest.raises(StudioError, match="the disk is full"):
        three.add(recipe(4))
    assert epochs(three) == [1, 2, 3]
