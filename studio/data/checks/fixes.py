"""Fixes of issues, each as new data of the recipe, so that it can be undone."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from studio.core.messages import N_, Message
from studio.core.recipe import Data, SplitName
from studio.data.images.file_index import Issue
from studio.data.images.path_text import recipe_path


@dataclass(frozen=True, slots=True)
class Fix:
    """One fix: a short label, a one-sentence description, and the new data."""

    label: Message
    description: Message
    apply: Callable[[], Data]

    @property
    def data(self) -> Data:
        """Data after the fix; computed on access, because it may name very many files."""
        return self.apply()


def fixes_for(issue: Issue, data: Data, split_by_recipe: bool) -> tuple[Fix, ...]:
    """Return the fixes of ``issue``, the best first; the last one ignores it.

    ``split_by_recipe`` is whether the split is made by the recipe, and not by the folders.
    """
    fixes = _FIXES_BY_KIND.get(issue.kind, _exclude_fixes)(issue, data, split_by_recipe) if issue.files else ()
    ignore = Fix(N_("Ignore"), N_("Keep the files and hide this issue."), lambda: acknowledge(data, issue))
    return (*fixes, ignore)


def exclude(data: Data, files: Iterable[Path]) -> Data:
    """Return ``data`` without the images ``files``."""
    names = dict.fromkeys((*data.excluded, *map(recipe_path, files)))
    return data.model_copy(update={"excluded": tuple(names)})


def include(data: Data, files: Iterable[Path]) -> Data:
    """Return ``data`` with ``files`` included again."""
    names = set(map(recipe_path, files))
    return data.model_copy(update={"excluded": tuple(name for name in data.excluded if name not in names)})


def move_to_split(data: Data, files: Iterable[Path], split: SplitName) -> Data:
    """Return ``data`` with ``files`` in ``split``."""
    return data.model_copy(
        update={"split_overrides": {**data.split_overrides, **dict.fromkeys(map(recipe_path, files), split)}}
    )


def relabel(data: Data, files: Iterable[Path], label: str) -> Data:
    """Return ``data`` with ``files`` in the class ``label``."""
    return data.model_copy(update={"labels": {**data.labels, **dict.fromkeys(map(recipe_path, files), label)}})


def acknowledge(data: Data, issue: Issue) -> Data:
    """Return ``data`` that hides ``issue`` as long as its files stay the same."""
    return data.model_copy(update={"acknowledged": {**data.acknowledged, issue.kind: issue.signature}})


def clear_overrides(data: Data, files: Iterable[Path]) -> Data:
    """Return ``data`` without any overrides of ``files``."""
    names = set(map(recipe_path, files))

    def without(overrides: Iterable[tuple[str, str]]) -> dict[str, str]:
        return {name: value for name, value in overrides if name not in names}

    excluded = tuple(name for name in data.excluded if name not in names)
    changes = {
        "excluded": excluded,
        "labels": without(data.labels.items()),
        "split_overrides": without(data.split_overrides.items()),
    }
    return data.model_copy(update=changes)


def _extra_copies(issue: Issue) -> Iterator[Path]:
    """Yield all images but the first of each group."""
    return (path for group in issue.groups for path in group[1:])


def _exclude_fixes(issue: Issue, data: Data, split_by_recipe: bool) -> tuple[Fix, ...]:
    return (Fix(N_("Exclude"), N_("Do not use these images."), lambda: exclude(data, issue.files)),)


def _duplicate_fixes(issue: Issue, data: Data, split_by_recipe: bool) -> tuple[Fix, ...]:
    once = Fix(
        N_("Use each once"), N_("Exclude all but the first of each group."), lambda: exclude(data, _extra_copies(issue))
    )
    return (once, _move_to_training_fix(issue, data))


def _move_to_training_fix(issue: Issue, data: Data) -> Fix:
    return Fix(
        N_("Move to training"),
        N_("Use these images for training only."),
        lambda: move_to_split(data, issue.files, "train"),
    )


def _leakage_fixes(issue: Issue, data: Data, split_by_recipe: bool) -> tuple[Fix, ...]:
    together = data.split.model_copy(update={"copies_together": True})
    text = N_("Split again so that similar images are in the same split.")
    first = Fix(N_("Keep copies together"), text, lambda: data.model_copy(update={"split": together}))
    return (*((first,) if split_by_recipe else ()), *_duplicate_fixes(issue, data, split_by_recipe))


def _single_image_fixes(issue: Issue, data: Data, split_by_recipe: bool) -> tuple[Fix, ...]:
    return (*_exclude_fixes(issue, data, split_by_recipe), _move_to_training_fix(issue, data))


def _clear_overrides_fixes(issue: Issue, data: Data, split_by_recipe: bool) -> tuple[Fix, ...]:
    return (
        Fix(
            N_("Clear overrides"),
            N_("Remove these images from the recipe."),
            lambda: clear_overrides(data, issue.files),
        ),
    )


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
