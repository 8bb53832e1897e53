"""The data of a view of several runs."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from studio.app import baseline
from studio.app.comparison.seed_groups import ComparisonReport, SeedGroup, group_runs
from studio.core.recipe import Recipe
from studio.core.run import Run


@dataclass(frozen=True, slots=True)
class RunOption:
    """A run that can be compared; ``accuracy`` is its best so far, or None."""

    path: Path
    name: str
    methods: str
    state: str
    accuracy: float | None


@dataclass(frozen=True, slots=True)
class ComparisonView:
    """A report on runs, with the recipe and the baseline of each of its groups."""

    report: ComparisonReport
    recipes: tuple[Recipe, ...]
    baselines: tuple[float | None, ...]

    def gain_over_baseline(self, group: SeedGroup) -> float | None:
        """Return the group's accuracy minus its baseline; None if either is unknown."""
        base = self.baselines[group.number - 1]
        return None if base is None or group.accuracy is None else group.accuracy - base


def load_comparison(paths: Sequence[Path]) -> ComparisonView:
    """Read the runs in these folders."""
    report = group_runs([Run.open(path) for path in paths])
    recipes = tuple(Run(Path(group.runs[0].run)).recipe for group in report.groups)
    baselines = (baseline.cached_baseline(recipe.data, recipe.backbone) for recipe in recipes)
    return ComparisonView(report, recipes, tuple(base.accuracy if base else None for base in baselines))
