"""Searches: a study of Optuna's chooses each next recipe from what the ones before came to.

A search is a folder with ``search.json``, the study's ``study.log`` and a run for each trial and seed. The log may be
shared: the same command in several processes, or on several machines that see the folder, works on one study, and the
same command again goes on where it was stopped. ``--storage`` names another log or a database of Optuna's.
"""

import contextlib
import json
import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from studio.app import training
from studio.app.comparison.comparison import Comparison, compare
from studio.app.sweeps.search_space import SearchDimension, parse_dimensions, recipe_for
from studio.app.sweeps.sweep import ShowEvents, is_complete
from studio.core import events
from studio.core.errors import StudioError
from studio.core.files import write_json
from studio.core.recipe import Recipe
from studio.core.run import Run
from studio.training.run_io.lock import is_locked, run_lock

if TYPE_CHECKING:
    from studio.core.control import TrainControl

FILE, LOG, STUDY_NAME = "search.json", "study.log", "peft-studio"


@dataclass(frozen=True, slots=True)
class Search:
    """A search on disk: ``trials`` recipes like ``recipe`` with what ``axes`` allow, each with so many seeds."""

    folder: Path
    recipe: Recipe
    axes: tuple[str, ...]
    trials: int
    seeds: int
    storage: str

    def runs(self) -> list[Run]:
        """The runs that have been made so far, in the order of the trials."""
        made = sorted(self.folder.glob("trial-*/recipe.toml"))
        return [Run(path.parent) for path in made]

    def comparison(self) -> Comparison:
        """What has come out so far."""
        return compare(self.runs())

    @property
    def complete(self) -> bool:
        """Whether every trial has been trained to its end."""
        return sum(is_complete(run) for run in self.runs()) >= self.trials * self.seeds

    @classmethod
    def open(cls, folder: Path) -> Self:
        """A search that is there already; StudioError where ``search.json`` cannot be read."""
        path = folder / FILE
        try:
            raw = json.loads(path.read_text(encoding="utf-8"))
            recipe = Recipe.from_mapping(raw["recipe"], str(path))
            axes = tuple(map(str, raw["axes"]))
            return cls(folder, recipe, axes, int(raw["trials"]), int(raw["seeds"]), str(raw["storage"]))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise StudioError(f"{path} is not the description of a search, or it is damaged.") from error

    def write(self) -> None:
        """Write ``search.json``; StudioError where the folder cannot be written to."""
        raw = {"schema": 1, "trials": self.trials, "seeds": self.seeds, "storage": self.storage, "axes": self.axes}
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            write_json(self.folder / FILE, {**raw, "recipe": self.recipe.model_dump(mode="json", by_alias=True)})
        except OSError as error:
            raise StudioError(f"The search cannot be written to {self.folder}: {error.strerror}.") from error


def is_search(folder: Path) -> bool:
    """Whether the folder holds a search."""
    return (folder / FILE).is_file()


def open_or_create_search(
    path: Path, out: Path | None, axes: Sequence[str], trials: int, seeds: int, storage: str
) -> Search:
    """Make a search of a recipe file in ``out``, or go on with the one in ``path`` or ``out``, perhaps with more runs.

    Raises StudioError, with nothing written, where the recipe cannot be trained or something else is in the folder.
    """
    _import_optuna()
    if is_search(path):
        found = Search.open(path)
        return _with_trials(found, max(trials, found.trials))
    if out is None:
        raise StudioError("Say where the search is to be kept: --out FOLDER.")
    made = Search(out, training.load_recipe(path), tuple(axes), trials, seeds, storage)
    if is_search(out):
        return _require_same(Search.open(out), made)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise StudioError(f"{out} already exists and is not empty; name another folder.")
    parse_dimensions(axes)
    training.check_trainable(made.recipe)
    made.write()
    return made


def _require_same(found: Search, asked: Search) -> Search:
    if (found.recipe, found.axes, found.seeds) != (asked.recipe, asked.axes, asked.seeds):
        raise StudioError(f"{found.folder} holds another search; name another folder, or go on with: sweep FOLDER.")
    return _with_trials(found, max(found.trials, asked.trials))


def _with_trials(found: Search, trials: int) -> Search:
    made = Search(found.folder, found.recipe, found.axes, trials, found.seeds, found.storage)
    if trials != found.trials:
        made.write()
    return made


def run_search(
    search: Search, control: "TrainControl", show_events: ShowEvents, print_line: Callable[[str], None]
) -> None:
    """Train trial after trial until there are as many as wanted, or ``control`` stops it.

    Trials that were begun and are trained by nobody come first. One that fails is told to ``print_line``.
    """
    worker = _SearchWorker(search, control, show_events, print_line)
    for trial, values in worker.trials():
        if control.stopping:
            return
        worker.run(trial, values)


class _SearchWorker:
    """One process's part in a search."""

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
        """Abandoned trials, then new ones; each with its number and values."""
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
        """The numbers of the trials that have come to something, or will."""
        from optuna.trial import TrialState

        return [t.number for t in self._study.get_trials(deepcopy=False) if t.state is not TrialState.PRUNED]

    def _lock_folder(self, number: int) -> Path:
        """A folder whose lock says that somebody works on the trial."""
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
        """Train it with each seed and tell the study the mean accuracy; one that was stopped stays open."""
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
        """The best accuracy of one run; None where it was stopped before its end."""
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
    """The study, made where it is not there yet. Processes that begin together draw differently."""
    optuna = _import_optuna()
    storage = _storage(search)
    found = optuna.create_study(storage=storage, study_name=STUDY_NAME, direction="maximize", load_if_exists=True)
    seed = search.recipe.training.seed + len(found.get_trials(deepcopy=False))
    found.sampler = optuna.samplers.TPESampler(seed=seed, constant_liar=True)
    return found


def _storage(search: Search) -> Any:
    """A database where ``storage`` is its URL, else Optuna's journal in a file."""
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
        raise StudioError("A search needs Optuna: pip install 'peft-studio[search]'.") from error
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    return optuna
