"""Recipes that wait for their turn to train. The file outlives the window; each recipe is frozen as it was put in."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any
from uuid import uuid4

from studio.core import paths
from studio.core.errors import StudioError
from studio.core.files import write_json
from studio.core.recipe import Recipe


@dataclass(frozen=True, slots=True)
class QueuedRecipe:
    """One recipe in the queue, as TOML. ``problem`` says why it could not be trained when its turn came."""

    id: str
    text: str
    problem: str = ""

    @property
    def recipe(self) -> Recipe:
        """The recipe; StudioError where a newer version wrote what this one cannot read."""
        return Recipe.loads(self.text, "The queued recipe")


class QueueFile:
    """The rows in the order of their turns. Each change is on the disk when the call returns."""

    def __init__(self, file: Path | None = None) -> None:
        self._file = file or paths.data_dir() / "queue.json"
        self.rows: tuple[QueuedRecipe, ...] = tuple(_read(self._file))

    def add(self, recipe: Recipe) -> QueuedRecipe:
        """Put a recipe at the end; StudioError where the queue cannot be written."""
        row = QueuedRecipe(uuid4().hex, recipe.dumps())
        self._save((*self.rows, row))
        return row

    def remove(self, *ids: str) -> None:
        """Take rows out."""
        self._save([row for row in self.rows if row.id not in ids])

    def move(self, row_id: str, index: int) -> None:
        """Put a row so that it comes to stand at ``index``, counted from 0 among all rows."""
        row = next(row for row in self.rows if row.id == row_id)
        rest = [other for other in self.rows if other.id != row_id]
        index = max(0, min(index, len(rest)))
        self._save([*rest[:index], row, *rest[index:]])

    def mark_failed(self, row_id: str, problem: str) -> None:
        """Note why a row could not be trained, so that it is passed over; an empty text gives it another turn."""
        self._save([replace(row, problem=problem) if row.id == row_id else row for row in self.rows])

    def requeue(self, row: QueuedRecipe, problem: str) -> None:
        """Put a row that was taken out back at its head, with the reason why it could not be trained."""
        self._save([replace(row, problem=problem), *(other for other in self.rows if other.id != row.id)])

    @property
    def next_runnable(self) -> QueuedRecipe | None:
        """The first row that is not known to fail."""
        return next((row for row in self.rows if not row.problem), None)

    def _save(self, rows: Sequence[QueuedRecipe]) -> None:
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            write_json(self._file, {"version": 1, "rows": [asdict(row) for row in rows]})
        except OSError as error:
            raise StudioError(f"The queue cannot be written to {self._file}: {error.strerror}.") from error
        self.rows = tuple(rows)


def _read(file: Path) -> list[QueuedRecipe]:
    """What the file holds; a damaged file is put aside, so that the next change does not overwrite it."""
    try:
        raw: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        return [QueuedRecipe(str(row["id"]), str(row["text"]), str(row.get("problem", ""))) for row in raw["rows"]]
    except FileNotFoundError:
        return []
    except (OSError, ValueError, KeyError, TypeError):
        if file.is_file():
            file.replace(file.with_suffix(".damaged.json"))
        return []
