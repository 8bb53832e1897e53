"""The runs folder as a table."""

from studio.ui.figures import percent
from studio.ui.language import tr
from studio.ui.models.table import Table
from studio.ui.training import RunRow


class RunTable(Table[RunRow]):
    """Runs, newest first."""

    columns = ("Run", "State", "Trained", "Backbone", "Methods", "Best accuracy")

    def cells(self, row: RunRow) -> tuple[str, ...]:
        """What it is, how it stands, and how good it has been."""
        best = percent(row.accuracy) if row.accuracy is not None else "–"
        done = percent(row.step / row.steps, 0) if row.steps else "–"
        return row.name, tr(row.state), done, row.backbone, row.methods, best

    def tool_tip(self, row: RunRow) -> str:
        """Where it lies."""
        return str(row.run.path)

    def key(self, row: RunRow) -> str:
        """Its name: a run that goes on keeps its place."""
        return row.name

    def row_of(self, name: str) -> int:
        """The row of the run called ``name``; -1 where there is none."""
        return next((i for i, row in enumerate(self.rows) if row.name == name), -1)
