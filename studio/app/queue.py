"""The queue of recipes to train, in a file; each is frozen when it is added."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any
from uuid import uuid4

from studio.core import paths
from studio.core.errors import write_error
from studio.core.files import write_json
from studio.core.messages import N_, Message, restore_message
from studio.core.recipe import Recipe


@dataclass(frozen=True, slots=True)
class QueuedRecipe:
    """One recipe in the queue, as TOML; ``problem`` says why it could not be trained."""

    id: str
    text: str
    problem: str = ""

    @property
    def recipe(self) -> Recipe:
        """The recipe; StudioError if this version cannot read it."""
        return Recipe.loads(self.text, "The queued recipe")


class QueueFile:
    """The rows in their order; each change is on the disk when the call returns."""

    def __init__(self, file: Path | None = None) -> None:
        self._file = file or paths.data_dir() / "queue.json"
        self.rows: tuple[QueuedRecipe, ...] = tuple(_read(self._file))

    def add(self, recipe: Recipe) -> QueuedRecipe:
        """Append a recipe; StudioError if the queue cannot be written."""
        row = QueuedRecipe(uuid4().hex, recipe.dumps())
        self._save((*self.rows, row))
        return row

    def remove(self, *ids: str) -> None:
        """Remove rows."""
        self._save([row for row in self.rows if row.id not in ids])

    def move(self, row_id: str, index: int) -> None:
        """Move a row to ``index``, counted from 0 among all rows."""
        row = next(row for row in self.rows if row.id == row_id)
        rest = [other for other in self.rows if other.id != row_id]
        index = max(0, min(index, len(rest)))
        self._save([*rest[:index], row, *rest[index:]])

    def mark_failed(self, row_id: str, problem: str) -> None:
        """Set why a row could not be trained, so that it is skipped; "" clears it."""
        self._save([replace(row, problem=problem) if row.id == row_id else row for row in self.rows])

    def requeue(self, row: QueuedRecipe, problem: str) -> None:
        """Put a removed row back at the head, with the reason why it failed."""
        self._save([replace(row, problem=problem), *(other for other in self.rows if other.id != row.id)])

    @property
    def next_runnable(self) -> QueuedRecipe | None:
        """The first row without a problem."""
        return next((row for row in self.rows if not row.problem), None)

    def _save(self, rows: Sequence[QueuedRecipe]) -> None:
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            write_json(self._file, {"version": 1, "rows": [_row_to_json(row) for row in rows]})
        except OSError as error:
            raise write_error(N_("the queue"), self._file, error) from error
        self.rows = tuple(rows)


def _row_to_json(row: QueuedRecipe) -> dict[str, Any]:
    message = {"message": row.problem.to_json()} if isinstance(row.problem, Message) else {}
    return {**asdict(row), **message}


def _row_from_json(raw: dict[str, Any]) -> QueuedRecipe:
    problem = restore_message(str(raw.get("problem", "")), raw.get("message"))
    return QueuedRecipe(str(raw["id"]), str(raw["text"]), problem)


def _read(file: Path) -> list[QueuedRecipe]:
    """Read the rows; a damaged file is renamed, so that it is not overwritten."""
    try:
        raw: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        return list(map(_row_from_json, raw["rows"]))
    except FileNotFoundError:
        return []
    except (OSError, ValueError, KeyError, TypeError):
        if file.is_file():
            file.replace(file.with_suffix(".damaged.json"))
        return []
