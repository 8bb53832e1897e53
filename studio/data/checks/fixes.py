"""What can be done about a finding, each as another version of the recipe's data: so everything can be taken back."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from studio.core.recipe import Data, SplitName
from studio.data.images.file_index import Issue
from studio.data.images.path_text import recipe_path


@dataclass(frozen=True, slots=True)
class Fix:
    """One thing to do: a short name, what it does in a sentence, and what makes the data after it."""

    label: str
    description: str
    apply: Callable[[], Data]

    @property
    def data(self) -> Data:
        """The data after it; made when asked for, as it may name very many files."""
        return self.apply()


def fixes_for(issue: Issue, data: Data, split_by_recipe: bool) -> tuple[Fix, ...]:
    """What can be done about ``issue``, the best first; to leave things as they are is always the last.

    ``split_by_recipe`` says whether the split is made by the recipe, and not by the folders.
    """
    offered = _FIXES_BY_KIND.get(issue.kind, _exclude_fixes)(issue, data, split_by_recipe) if issue.files else ()
    return (*offered, Fix("Keep", "Leave it as it is, and say no more of it.", lambda: acknowledge(data, issue)))


def exclude(data: Data, files: Iterable[Path]) -> Data:
    """``data`` without the images ``files``."""
    names = dict.fromkeys((*data.excluded, *map(recipe_path, files)))
    return data.model_copy(update={"excluded": tuple(names)})


def include(data: Data, files: Iterable[Path]) -> Data:
    """``data`` with ``files`` used again."""
    names = set(map(recipe_path, files))
    return data.model_copy(update={"excluded": tuple(name for name in data.excluded if name not in names)})


def move_to_split(data: Data, files: Iterable[Path], split: SplitName) -> Data:
    """``data`` with ``files`` in the split ``split``."""
    return data.model_copy(
        update={"split_overrides": {**data.split_overrides, **dict.fromkeys(map(recipe_path, files), split)}}
    )


def relabel(data: Data, files: Iterable[Path], label: str) -> Data:
    """``data`` with ``files`` in the class ``label``."""
    return data.model_copy(update={"labels": {**data.labels, **dict.fromkeys(map(recipe_path, files), label)}})


def acknowledge(data: Data, issue: Issue) -> Data:
    """``data`` that does not mention ``issue`` again while its files are the same."""
    return data.model_copy(update={"acknowledged": {**data.acknowledged, issue.kind: issue.signature}})


def clear_overrides(data: Data, files: Iterable[Path]) -> Data:
    """``data`` that decides nothing about ``files``."""
    names = set(map(recipe_path, files))

    def left(given: Iterable[tuple[str, str]]) -> dict[str, str]:
        return {name: value for name, value in given if name not in names}

    excluded = tuple(name for name in data.excluded if name not in names)
    changes = {
        "excluded": excluded,
        "labels": left(data.labels.items()),
        "split_overrides": left(data.split_overrides.items()),
    }
    return data.model_copy(update=changes)


def without_choices(data: Data) -> Data:
    """``data`` for other images: division and transforms stay, what was decided about single images goes."""
    return data.model_copy(update={"excluded": (), "labels": {}, "split_overrides": {}, "acknowledged": {}})


def _extra_copies(issue: Issue) -> Iterator[Path]:
    """All images but the first of each group."""
    return (path for group in issue.groups for path in group[1:])


def _exclude_fixes(issue: Issue, data: Data, split_by_recipe: bool) -> tuple[Fix, ...]:
    return (Fix("Exclude", "Do not use these images.", lambda: exclude(data, issue.files)),)


def _duplicate_fixes(issue: Issue, data: Data, split_by_recipe: bool) -> tuple[Fix, ...]:
    once = Fix("Use each once", "Exclude all but the first of each.", lambda: exclude(data, _extra_copies(issue)))
    return (once, _move_to_training_fix(issue, data))


def _move_to_training_fix(issue: Issue, data: Data) -> Fix:
    return Fix(
        "Move to training", "Use these images for training only.", lambda: move_to_split(data, issue.files, "train")
    )


def _leakage_fixes(issue: Issue, data: Data, split_by_recipe: bool) -> tuple[Fix, ...]:
    together = data.split.model_copy(update={"copies_together": True})
    words = "Divide again so that images that look alike are on one side."
    first = Fix("Keep copies together", words, lambda: data.model_copy(update={"split": together}))
    return (*((first,) if split_by_recipe else ()), *_duplicate_fixes(issue, data, split_by_recipe))


def _single_image_fixes(issue: Issue, data: Data, split_by_recipe: bool) -> tuple[Fix, ...]:
    return (*_exclude_fixes(issue, data, split_by_recipe), _move_to_training_fix(issue, data))


def _clear_overrides_fixes(issue: Issue, data: Data, split_by_recipe: bool) -> tuple[Fix, ...]:
    return (Fix("Forget them", "Take these decisions out of the recipe.", lambda: clear_overrides(data, issue.files)),)


def _no_fixes(issue: Issue, data: Data, split_by_recipe: bool) -> tuple[Fix, ...]:
    return ()


_FIXES_BY_KIND: dict[str, Callable[[Issue, Data, bool], tuple[Fix, ...]]] = {
    "duplicate": _duplicate_fixes,
    "near-duplicate": _duplicate_fixes,
    "leakage": _leakage_fixes,
    "single-image": _single_image_fixes,
    "missing-choice": _clear_overrides_fixes,
    **dict.fromkeys(("not-image", "outside-classes", "empty-folder", "link-loop"), _no_fixes),
}
