"""What can be done about a finding, each as another version of the recipe's data: so everything can be taken back."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from studio.core.recipe import Data, Side
from studio.data.images.file_index import Finding
from studio.data.images.path_text import name_of


@dataclass(frozen=True, slots=True)
class Remedy:
    """One thing to do: a short name, what it does in a sentence, and what makes the data after it."""

    label: str
    sentence: str
    change: Callable[[], Data]

    @property
    def data(self) -> Data:
        """The data after it; made when asked for, as it may name very many files."""
        return self.change()


def remedies(finding: Finding, data: Data, divided: bool) -> tuple[Remedy, ...]:
    """What can be done about ``finding``, the best first; to leave things as they are is always the last.

    ``divided`` says whether the split is made by the recipe, and not by the folders.
    """
    offered = _OFFERS.get(finding.kind, _exclude)(finding, data, divided) if finding.files else ()
    return (*offered, Remedy("Keep", "Leave it as it is, and say no more of it.", lambda: keep(data, finding)))


def exclude(data: Data, files: Iterable[Path]) -> Data:
    """``data`` without the images ``files``."""
    names = dict.fromkeys((*data.excluded, *map(name_of, files)))
    return data.model_copy(update={"excluded": tuple(names)})


def take_back(data: Data, files: Iterable[Path]) -> Data:
    """``data`` with ``files`` used again."""
    names = set(map(name_of, files))
    return data.model_copy(update={"excluded": tuple(name for name in data.excluded if name not in names)})


def move(data: Data, files: Iterable[Path], side: Side) -> Data:
    """``data`` with ``files`` in the split ``side``."""
    return data.model_copy(update={"sides": {**data.sides, **dict.fromkeys(map(name_of, files), side)}})


def relabel(data: Data, files: Iterable[Path], label: str) -> Data:
    """``data`` with ``files`` in the class ``label``."""
    return data.model_copy(update={"labels": {**data.labels, **dict.fromkeys(map(name_of, files), label)}})


def keep(data: Data, finding: Finding) -> Data:
    """``data`` that does not mention ``finding`` again while its files are the same."""
    return data.model_copy(update={"kept": {**data.kept, finding.kind: finding.signature}})


def forget(data: Data, files: Iterable[Path]) -> Data:
    """``data`` that decides nothing about ``files``."""
    names = set(map(name_of, files))

    def left(given: Iterable[tuple[str, str]]) -> dict[str, str]:
        return {name: value for name, value in given if name not in names}

    excluded = tuple(name for name in data.excluded if name not in names)
    changes = {"excluded": excluded, "labels": left(data.labels.items()), "sides": left(data.sides.items())}
    return data.model_copy(update=changes)


def without_choices(data: Data) -> Data:
    """``data`` for other images: division and transforms stay, what was decided about single images goes."""
    return data.model_copy(update={"excluded": (), "labels": {}, "sides": {}, "kept": {}})


def _copies(finding: Finding) -> Iterator[Path]:
    """All images but the first of each group."""
    return (path for group in finding.groups for path in group[1:])


def _exclude(finding: Finding, data: Data, divided: bool) -> tuple[Remedy, ...]:
    return (Remedy("Exclude", "Do not use these images.", lambda: exclude(data, finding.files)),)


def _duplicates(finding: Finding, data: Data, divided: bool) -> tuple[Remedy, ...]:
    once = Remedy("Use each once", "Exclude all but the first of each.", lambda: exclude(data, _copies(finding)))
    return (once, _to_training(finding, data))


def _to_training(finding: Finding, data: Data) -> Remedy:
    return Remedy("Move to training", "Use these images for training only.", lambda: move(data, finding.files, "train"))


def _leakage(finding: Finding, data: Data, divided: bool) -> tuple[Remedy, ...]:
    together = data.split.model_copy(update={"copies_together": True})
    words = "Divide again so that images that look alike are on one side."
    first = Remedy("Keep copies together", words, lambda: data.model_copy(update={"split": together}))
    return (*((first,) if divided else ()), *_duplicates(finding, data, divided))


def _single(finding: Finding, data: Data, divided: bool) -> tuple[Remedy, ...]:
    return (*_exclude(finding, data, divided), _to_training(finding, data))


def _forget(finding: Finding, data: Data, divided: bool) -> tuple[Remedy, ...]:
    return (Remedy("Forget them", "Take these decisions out of the recipe.", lambda: forget(data, finding.files)),)


def _nothing(finding: Finding, data: Data, divided: bool) -> tuple[Remedy, ...]:
    return ()


_OFFERS: dict[str, Callable[[Finding, Data, bool], tuple[Remedy, ...]]] = {
    "duplicate": _duplicates,
    "near-duplicate": _duplicates,
    "leakage": _leakage,
    "single-image": _single,
    "missing-choice": _forget,
    **dict.fromkeys(("not-image", "outside-classes", "empty-folder", "link-loop"), _nothing),
}
