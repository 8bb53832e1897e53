"""Searches: an Optuna study chooses each recipe by the results so far.

A search is a folder with ``search.json``, the study's ``study.log`` and a run for each trial and seed. The log may be
shared: the same command in several processes, or on several machines that share the folder, works on one study, and the
same command resumes it. ``--storage`` names another log or an Optuna database.
"""

import contextlib
import json
import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from studio.app import training
from studio.app.comparison.comparison import Comparison, compare
from studio.app.sweeps.search_space import SearchDimension, parse_dimensions, recipe_for
from studio.app.sweeps.sweep import ShowEvents, check_empty, is_complete
from studio.core import events
from studio.core.errors import StudioError, write_error
from studio.core.files import write_json
from studio.core.messages import N_
from studio.core.recipe import Recipe
from studio.core.run import Run
from studio.training.run_io.lock import is_locked, run_lock

if TYPE_CHECKING:
    from studio.core.control import TrainControl

FILE, LOG, STUDY_NAME = "search.json", "study.log", "peft-studio"


@dataclass(frozen=True, slots=True)
class Search:
    """A search on disk: ``trials`` variants of ``recipe``, each with ``seeds`` seeds."""

    folder: Path
    recipe: Recipe
    axes: tuple[str, ...]
    trials: int
    seeds: int
    storage: str

    def runs(self) -> list[Run]:
        """Return the runs created so far, in the order of the trials."""
        recipes = sorted(self.folder.glob("trial-*/recipe.toml"))
        return [Run(path.parent) for path in recipes]

    def comparison(self) -> Comparison:
        """Return the comparison of the runs created so far."""
        return compare(self.runs())

    @property
    def complete(self) -> bool:
        """Whether every trial is complete."""
        return sum(is_complete(run) for run in self.runs()) >= self.trials * self.seeds

    @classmethod
    def open(cls, folder: Path) -> Self:
        """Open an existing search; StudioError if ``search.json`` cannot be read."""
        path = folder / FILE
        try:
            raw = json.loads(path.read_text(encoding="utf-8"))
            recipe = Recipe.from_mapping(raw["recipe"], str(path))
            axes = tuple(map(str, raw["axes"]))
            return cls(folder, recipe, axes, int(raw["trials"]), int(raw["seeds"]), str(raw["storage"]))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise StudioError(
                "unreadable-file", "{path} does not describe a search, or it is damaged.", path=path
            ) from error

    def write(self) -> None:
        """Write ``search.json``; StudioError if the folder cannot be written to."""
        raw = {"schema": 1, "trials": self.trials, "seeds": self.seeds, "storage": self.storage, "axes": self.axes}
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            write_json(self.folder / FILE, {**raw, "recipe": self.recipe.model_dump(mode="json", by_alias=True)})
        except OSError as error:
            raise write_error(N_("the search"), self.folder, error) from error


def is_search(folder: Path) -> bool:
    """Return whether the folder contains a search."""
    return (folder / FILE).is_file()


def open_or_create_search(
    path: Path, out: Path | None, axes: Sequence[str], trials: int, seeds: int, storage: str
) -> Search:
    """Create a search of a recipe file in ``out``, or open an existing one.

    It is opened if ``path`` or ``out`` contains one, and may get more trials. Raises StudioError, with nothing written,
    if the recipe cannot be trained or the folder contains something else.
    """
    _import_optuna()
    if is_search(path):
        existing = Search.open(path)
        return _with_trials(existing, max(trials, existing.trials))
    if out is None:
        raise StudioError("missing-option", "Missing output folder of the search. Add --out FOLDER.")
    search = Search(out, training.load_recipe(path), tuple(axes), trials, seeds, storage)
    if is_search(out):
        return _require_same(Search.open(out), search)
    check_empty(out)
    parse_dimensions(axes)
    training.check_trainable(search.recipe)
    search.write()
    return search


def _require_same(existing: Search, requested: Search) -> Search:
    if (existing.recipe, existing.axes, existing.seeds) != (requested.recipe, requested.axes, requested.seeds):
        raise StudioError(
            "folder-not-empty",
            "{path} contains another search. Choose another folder, or resume it: sweep {path}",
            path=existing.folder,
        )
    return _with_trials(existing, max(existing.trials, requested.trials))


def _with_trials(search: Search, trials: int) -> Search:
    changed = replace(search, trials=trials)
    if trials != search.trials:
        changed.write()
    return changed


def run_search(
    search: Search, control: "TrainControl", show_events: ShowEvents, print_line: Callable[[str], None]
) -> None:
    """Train trials until there are enough, or until ``control`` stops it.

    Abandoned trials come first. An error of a trial is passed to ``print_line``.
    """
    worker = _SearchWorker(search, control, show_events, print_line)
    for trial, values in worker.trials():
        if control.stopping:
            return
        worker.run(trial, values)


class _SearchWorker:
    """One process of a search."""

    def __init__(
        self, search: Search, control: "TrainControl", show_events: ShowEvents, print_line: Callable[[str], None]
    ) -> None:
        from studio.app.inspection import Inspector
        from studio.data.dataset.dataset import build_index

        self._search, self._control, self._show_events, self._print_line = search, control, show_events, print_line
        self._space = parse_dimensions(search.axes)
        self._study = _study(search)
        classes = len(build_index(search.recipe.data).classes)
        self._inspector: Inspector = Inspector(search.recipe.backbone, classes)

    def trials(self) -> Iterator[tuple[int, dict[str, Any]]]:
        """Yield abandoned trials, then new ones, with their numbers and values."""
        from optuna.trial import TrialState

        for old in self._study.get_trials(states=(TrialState.RUNNING,)):
            if len(old.params) == len(self._space) and not is_locked(self._lock_folder(old.number)):
                yield old.number, old.params
        while len(self._counted_trials()) < self._search.trials:
            trial = self._study.ask()
            values = {dimension.key: _suggest(trial, dimension) for dimension in self._space}
            if sum(number < trial.number for number in self._counted_trials()) < self._search.trials:
                yield trial.number, values
            else:  # another process was quicker
                self._study.tell(trial.number, state=TrialState.PRUNED)

    def _counted_trials(self) -> list[int]:
        """Return the numbers of the trials that count: all except pruned ones."""
        from optuna.trial import TrialState

        return [t.number for t in self._study.get_trials(deepcopy=False) if t.state is not TrialState.PRUNED]

    def _lock_folder(self, number: int) -> Path:
        """Return the folder whose lock is held by the process that trains the trial."""
        return self._search.folder / ".busy" / f"{number:04}"

    def _trial_run(self, number: int, seed: int) -> Run:
        tail = f"_seed-{seed}" if self._search.seeds > 1 else ""
        return Run(self._search.folder / f"trial-{number:04}{tail}")

    def run(self, number: int, values: dict[str, Any]) -> None:
        """Train a trial, unless another process does."""
        self._lock_folder(number).mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(StudioError), run_lock(self._lock_folder(number)):
            self._train_trial(number, values)

    def _train_trial(self, number: int, values: dict[str, Any]) -> None:
        """Train each seed and report the mean accuracy; a stopped trial stays open."""
        from optuna.trial import TrialState

        try:
            accuracies = [self._train_seed(number, values, seed) for seed in range(self._search.seeds)]
        except StudioError as error:
            self._print_line(f"trial {number}: {error}")
            self._study.tell(number, state=TrialState.FAIL, skip_if_finished=True)
            return
        if None not in accuracies:
            self._study.tell(number, statistics.fmean(a for a in accuracies if a is not None), skip_if_finished=True)

    def _train_seed(self, number: int, values: dict[str, Any], seed: int) -> float | None:
        """Return the best accuracy of one run; None if it was stopped."""
        run = self._trial_run(number, seed)
        if not (run.path / "recipe.toml").is_file():
            recipe = recipe_for(self._search.recipe, self._inspector, values)
            first = recipe.training.seed
            seeded = recipe.model_copy(update={"training": recipe.training.model_copy(update={"seed": first + seed})})
            Run.create(seeded, run.path)
        if not is_complete(run) and not self._control.stopping:
            label = f"{number + 1} of {self._search.trials}, {_values_text(values)}"
            self._show_events(label, training.train(run, self._control, resume=True))
        end = training.last_event(run.events(), events.Finished)
        return end.best_accuracy if end and is_complete(run) else None


def _suggest(trial: Any, dimension: SearchDimension) -> Any:
    if dimension.choices:
        return trial.suggest_categorical(dimension.key, dimension.choices)
    log = dimension.logarithmic
    if dimension.integer:
        return trial.suggest_int(dimension.key, int(dimension.low), int(dimension.high), log=log)
    return trial.suggest_float(dimension.key, dimension.low, dimension.high, log=log)


def _values_text(values: dict[str, Any]) -> str:
    return ", ".join(
        f"{key.rpartition('.')[2]} {v:.3g}" if isinstance(v, float) else str(v) for key, v in values.items()
    )


def _study(search: Search) -> Any:
    """Open or create the study; each process gets another random seed."""
    optuna = _import_optuna()
    storage = _storage(search)
    study = optuna.create_study(storage=storage, study_name=STUDY_NAME, direction="maximize", load_if_exists=True)
    seed = search.recipe.training.seed + len(study.get_trials(deepcopy=False))
    study.sampler = optuna.samplers.TPESampler(seed=seed, constant_liar=True)
    return study


def _storage(search: Search) -> Any:
    """Return the URL of a database, or an Optuna journal in a file."""
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock

    if "://" in search.storage:
        return search.storage
    path = search.folder / (search.storage or LOG)
    return JournalStorage(JournalFileBackend(str(path), lock_obj=JournalFileOpenLock(str(path))))


def _import_optuna() -> Any:
    try:
        import optuna
    except ImportError as error:
        raise StudioError(
            "missing-package",
            "A search needs Optuna. Install it: {command}",
            command="pip install 'peft-studio[search]'",
        ) from error
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    return optuna
