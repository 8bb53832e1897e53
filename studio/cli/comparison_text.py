"""A comparison of runs as tables."""

from pathlib import Path
from typing import TYPE_CHECKING

from studio.cli.tables import Part, make_table
from studio.core.formatting import format_count, format_duration

if TYPE_CHECKING:
    from studio.app.comparison.comparison import Comparison, RunSummary

_HEADER = ("run", "attachments", "trainable", "accuracy", "time", "state")


def comparison_parts(comparison: "Comparison") -> tuple[Part, ...]:
    """Return a table of the results, then one of the recipes' differences, if any."""
    results = make_table(_HEADER, map(_cells, comparison.runs), right=(2, 3, 4))
    if not comparison.differences:
        return (results,)
    names = ("recipe", *(Path(row.run).name for row in comparison.runs))
    return results, make_table(names, ((d.key, *d.values) for d in comparison.differences))


def _cells(row: "RunSummary") -> tuple[str, ...]:
    return (
        Path(row.run).name,
        row.attachments,
        "?" if row.trainable_parameters is None else format_count(row.trainable_parameters),
        "?" if row.accuracy is None else f"{row.accuracy:.1%}",
        format_duration(row.seconds) if row.seconds else "?",
        row.state,
    )
