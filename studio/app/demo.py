"""The demo: train LoRA on the bundled digits, compare, export and verify."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

from studio.app import training
from studio.core import events, paths
from studio.core.formatting import program_command
from studio.core.recipe import Recipe
from studio.core.run import Run

if TYPE_CHECKING:
    from studio.core.control import TrainControl
    from studio.export.contract import Verification

RECIPE = ("recipes", "digits-lora.toml")
FOLDER = Path("demo")

ShowEvents = Callable[[str, Iterable[events.Event]], None]


@dataclass(frozen=True, slots=True)
class DemoExport:
    """One export of the demo and its verification."""

    format: str
    path: str
    verification: "Verification"


@dataclass(frozen=True, slots=True)
class DemoReport:
    """The result of the demo; accuracies are on the validation images, in [0, 1]."""

    run: str
    accuracy_head_alone: float
    accuracy: float
    trainable_parameters: int
    total_parameters: int
    exports: tuple[DemoExport, ...]

    def as_json(self) -> dict[str, Any]:
        """Return plain data."""
        return asdict(self)

    def as_text(self) -> str:
        """Return the results and the next command as text."""
        gain = 100 * (self.accuracy - self.accuracy_head_alone)
        counts = f"{self.trainable_parameters:,} of {self.total_parameters:,}"
        share = 100 * self.trainable_parameters / self.total_parameters
        return "\n".join(
            (
                f"accuracy of the head alone    {self.accuracy_head_alone:.1%}",
                f"accuracy with LoRA            {self.accuracy:.1%}  ({gain:+.1f} points)",
                f"trainable parameters          {counts} ({share:.2f} %)",
                f"run                           {self.run}",
                *(f"{e.format + ' export':<30}{e.path}  {_verification_text(e.verification)}" for e in self.exports),
                f"open it in the window         {program_command()} app {self.run}",
            )
        )


def _verification_text(verification: "Verification") -> str:
    return f"(verified on {verification.images} images, largest logit difference {verification.largest_difference:.1e})"


def run_demo(
    out: Path | None, control: "TrainControl", show_events: ShowEvents, print_line: Callable[[str], None]
) -> DemoReport | None:
    """Run the demo in ``out``, or in a new folder under ``demo``; None if stopped.

    ``show_events`` gets a label and the events of each training; ``print_line`` a line about the next step.
    """
    from studio.export import export

    folder = out or _unused_folder(FOLDER)
    recipe = training.load_recipe(paths.resource(*RECIPE))
    alone = _train(
        recipe.model_copy(update={"attachments": ()}), folder / "head-alone", control, "Head alone", show_events
    )
    tuned = _train(recipe, folder / "run", control, "LoRA", show_events)
    if control.stopping:
        return None
    exports = []
    for form in _formats(recipe):
        print_line(f"Exporting and verifying: {form}")
        target = folder / "exports" / form
        exports.append(DemoExport(form, str(target), export(tuned, form, target)))
    return _report(alone, tuned, tuple(exports))


def _formats(recipe: Recipe) -> list[str]:
    """Return the export formats that support the recipe, are quick, and need no package that is missing."""
    from studio.export.contract import EXPORTERS, formats_for, missing_packages
    from studio.peft.contract import METHODS

    exporters = map(EXPORTERS.get, formats_for(*(METHODS.get(a.method) for a in recipe.attachments)))
    return [exporter.name for exporter in exporters if not exporter.slow and not missing_packages(exporter.packages)]


def _train(recipe: Recipe, path: Path, control: "TrainControl", label: str, show_events: ShowEvents) -> Run:
    run = training.create_run(recipe, path)
    show_events(label, training.train(run, control))
    training.read_result(run)
    return run


def _report(alone: Run, tuned: Run, exports: tuple[DemoExport, ...]) -> DemoReport:
    from studio.evaluation import evaluate

    started = next(event for event in tuned.events() if isinstance(event, events.Started))
    return DemoReport(
        run=str(tuned.path),
        accuracy_head_alone=evaluate(alone).accuracy,
        accuracy=evaluate(tuned).accuracy,
        trainable_parameters=started.trainable_parameters,
        total_parameters=started.total_parameters,
        exports=exports,
    )


def _unused_folder(folder: Path) -> Path:
    numbered: Iterator[Path] = (folder / str(number) for number in count(1))
    return next(path for path in numbered if not path.exists())
