"""Everything that a view of several runs shows, read in one go."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from studio.app import baseline
from studio.app.comparison.comparison import compare
from studio.app.comparison.seed_groups import ComparisonReport, SeedGroup, group_runs
from studio.app.sweeps.sweep import Sweep
from studio.core.recipe import Recipe
from studio.core.run import Run


@dataclass(frozen=True, slots=True)
class RunOption:
    """A run that can be compared. ``accuracy`` is its best so far, None while there is none."""

    path: Path
    name: str
    methods: str
    state: str
    accuracy: float | None


@dataclass(frozen=True, slots=True)
class ComparisonView:
    """The report on some runs, with the recipe and the number to beat of each group, in the report's order."""

    report: ComparisonReport
    recipes: tuple[Recipe, ...]
    baselines: tuple[float | None, ...]

    def gain_over_baseline(self, group: SeedGroup) -> float | None:
        """By how much the group's accuracy is above what the frozen backbone reaches; None where either is unknown."""
        known = self.baselines[group.number - 1]
        return None if known is None or group.accuracy is None else group.accuracy - known


def load_comparison(paths: Sequence[Path]) -> ComparisonView:
    """Read the runs in these folders."""
    report = group_runs([Run.open(path) for path in paths])
    recipes = tuple(Run(Path(group.runs[0].run)).recipe for group in report.groups)
    known = (baseline.cached_baseline(recipe.data, recipe.backbone) for recipe in recipes)
    return ComparisonView(report, recipes, tuple(found.accuracy if found else None for found in known))


def sweep_run_options(folder: Path) -> tuple[RunOption, ...]:
    """The runs that a sweep has made so far; StudioError where the folder holds none."""
    rows = compare(Sweep.open(folder).runs()).runs
    return tuple(
        RunOption(Path(row.run), f"{folder.name}/{Path(row.run).name}", row.attachments, row.state, row.accuracy)
        for row in rows
    )
