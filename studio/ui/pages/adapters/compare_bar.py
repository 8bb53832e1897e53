"""The compare bar: the edited recipe as A, another or that of a run as B."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QDialog, QFileDialog, QMenu, QWidget

from studio.core.errors import StudioError
from studio.core.recipe import Recipe
from studio.ui.i18n.language import tr, tr_n
from studio.ui.services.workspace import Workspace
from studio.ui.shared.recipe_diff import RecipeDiff
from studio.ui.shared.recipe_layers import LayerPair, compare_layers
from studio.ui.widgets.components import HBox, IconButton, VBox, button, text_label
from studio.ui.widgets.menu import Menu


class CompareBar(QWidget):
    """Name of B and number of differing layers; hidden while nothing is compared.

    ``differences_changed`` carries the layer pairs by path.
    """

    differences_changed = Signal(object)

    def __init__(self, workspace: Workspace) -> None:
        super().__init__()
        self._workspace = workspace
        self.other_recipe: Recipe | None = None
        self.other_name = ""
        self.dialog: QDialog | None = None
        self.summary = text_label("", "field", wrap=True)
        self.side_by_side_button = button(tr("Show side by side"), self.open_side_by_side, "layers", "quiet")
        close = IconButton(tr("Stop comparing"), "close", self.stop)
        self.setLayout(HBox((self.summary, 1), self.side_by_side_button, close))
        self.hide()

    def build_menu(self, parent: QWidget) -> QMenu:
        """Return a menu of the recipes to compare with: a file, or one of the runs."""
        menu = Menu(parent)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        menu.addAction(tr("Recipe file…"), self._choose_file)
        for row in self._workspace.runs.rows[:12]:
            menu.addAction(row.name, partial(self.compare_run, row.run.path))
        if self.other_recipe is not None:
            menu.addSeparator()
            menu.addAction(tr("Stop comparing"), self.stop)
        return menu

    def _choose_file(self) -> None:
        path, _ = QFileDialog.getOpenFileName(self, tr("Compare with a recipe"), "", tr("Recipes (*.toml)"))
        if path:
            self.compare_file(Path(path))

    def compare_file(self, path: Path) -> None:
        """Compare with the recipe in ``path``.

        Show the error and change nothing if it cannot be read.
        """
        self._workspace.run_edit(
            lambda: self.compare(Recipe.load(path).with_absolute_paths(path.resolve().parent), path.name)
        )

    def compare_run(self, folder: Path) -> None:
        """Compare with the recipe that a run was started with."""
        recipe = folder / "recipe.toml"
        self._workspace.run_edit(lambda: self.compare(Recipe.load(recipe), folder.name))

    def compare(self, recipe: Recipe, name: str) -> None:
        """Show ``recipe``, called ``name``, as B.

        Raise StudioError while there is no layer tree.
        """
        if not self._workspace.engine.layers:
            raise StudioError("no-layers", "There is no layer tree yet. Choose a backbone first.")
        self.other_recipe, self.other_name = recipe, name
        self.show_differences()

    def stop(self) -> None:
        """Stop comparing."""
        self.other_recipe = None
        self.hide()
        self.differences_changed.emit({})

    def show_differences(self) -> None:
        """Compare anew, after a change of a recipe or of the backbone."""
        layers = self._workspace.engine.layers
        if self.other_recipe is None or not layers:
            return
        pairs = compare_layers(self._workspace.recipe, self.other_recipe, layers)
        self.differences_changed.emit({pair.layer.path: pair for pair in pairs if pair.status})
        self.summary.setText(self._summary_text(pairs))
        self.show()

    def _summary_text(self, pairs: tuple[LayerPair, ...]) -> str:
        assert self.other_recipe is not None
        count = sum(pair.differs for pair in pairs)
        if self.other_recipe.backbone == self._workspace.recipe.backbone:
            return tr_n(
                "A is this recipe, B is {name}. {n:,} layer differs.",
                "A is this recipe, B is {name}. {n:,} layers differ.",
                count,
                name=self.other_name,
            )
        return tr_n(
            "A is this recipe, B is {name}. {n:,} layer differs. The backbones differ; the layers are those of A.",
            "A is this recipe, B is {name}. {n:,} layers differ. The backbones differ; the layers are those of A.",
            count,
            name=self.other_name,
        )

    def view_state(self) -> dict[str, Any]:
        """Return the other recipe and its name."""
        return {"recipe": self.other_recipe, "name": self.other_name}

    def restore_view_state(self, state: Mapping[str, Any]) -> None:
        """Restore the values of :meth:`view_state`."""
        self.other_recipe, self.other_name = state.get("recipe"), state.get("name", "")
        self.show_differences()

    def open_side_by_side(self) -> None:
        """Show both recipes side by side, including their other settings."""
        if self.other_recipe is None:
            return
        self.dialog = QDialog(self)
        self.dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.dialog.setWindowTitle(tr("Compare recipes"))
        diff = RecipeDiff()
        names = (tr("A: this recipe"), tr("B: {name}", name=self.other_name))
        diff.show_recipes(self._workspace.recipe, self.other_recipe, self._workspace.engine.layers, names)
        close = button(tr("Close"), self.dialog.accept, kind="primary")
        close.setDefault(True)
        self.dialog.setLayout(VBox((diff, 1), HBox(None, close), gap=12, margins=(18, 16, 18, 16)))
        self.dialog.setMinimumSize(640, 420)
        self.dialog.resize(860, 620)
        self.dialog.open()
