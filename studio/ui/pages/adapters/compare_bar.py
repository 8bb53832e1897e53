"""Two recipes on the tree: the one that is edited as A, another recipe or a run's as B."""

from functools import partial
from pathlib import Path

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QDialog, QFileDialog, QMenu, QWidget

from studio.core.errors import StudioError
from studio.core.recipe import Recipe
from studio.ui.i18n.language import tr
from studio.ui.services.workspace import Workspace
from studio.ui.shared.recipe_diff import RecipeDiff
from studio.ui.shared.recipe_layers import LayerPair, compare_layers
from studio.ui.widgets.components import HBox, IconButton, VBox, button, text_label
from studio.ui.widgets.menu import Menu


class CompareBar(QWidget):
    """Names B and says how much differs; hidden while nothing is compared. ``differences_changed`` carries pairs by layer path."""

    differences_changed = Signal(object)

    def __init__(self, workspace: Workspace) -> None:
        super().__init__()
        self._workspace = workspace
        self.other_recipe: Recipe | None = None
        self.other_name = ""
        self.dialog: QDialog | None = None
        self.summary = text_label("", "field", wrap=True)
        self.side_by_side_button = button(tr("Side by side"), self.open_side_by_side, "layers", "quiet")
        close = IconButton(tr("Stop comparing"), "close", self.stop)
        self.setLayout(HBox((self.summary, 1), self.side_by_side_button, close))
        self.hide()

    def build_menu(self, parent: QWidget) -> QMenu:
        """What can be compared with: a file, or one of the runs."""
        menu = Menu(parent)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        menu.addAction(tr("A recipe file…"), self._choose_file)
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
        """Compare with the recipe in ``path``; where it cannot be read, say so and change nothing."""
        self._workspace.run_edit(
            lambda: self.compare(Recipe.load(path).with_absolute_paths(path.resolve().parent), path.name)
        )

    def compare_run(self, folder: Path) -> None:
        """Compare with the recipe that a run was started with."""
        recipe = folder / "recipe.toml"
        self._workspace.run_edit(lambda: self.compare(Recipe.load(recipe), folder.name))

    def compare(self, recipe: Recipe, name: str) -> None:
        """Show ``recipe``, called ``other_name``, as B; StudioError while there is no layer tree."""
        if not self._workspace.engine.layers:
            raise StudioError("There is no layer tree yet; choose a backbone first.")
        self.other_recipe, self.other_name = recipe, name
        self.show_differences()

    def stop(self) -> None:
        """Compare no more."""
        self.other_recipe = None
        self.hide()
        self.differences_changed.emit({})

    def show_differences(self) -> None:
        """Compare anew: one of the recipes, or the backbone, is another."""
        layers = self._workspace.engine.layers
        if self.other_recipe is None or not layers:
            return
        found = compare_layers(self._workspace.recipe, self.other_recipe, layers)
        self.differences_changed.emit({pair.layer.path: pair for pair in found if pair.status})
        self.summary.setText(self._summary_text(found))
        self.show()

    def _summary_text(self, found: tuple[LayerPair, ...]) -> str:
        assert self.other_recipe is not None
        count = sum(pair.differs for pair in found)
        words = tr("A is this recipe, B is {name}. {n} layers differ.", name=self.other_name, n=count)
        same = self.other_recipe.backbone == self._workspace.recipe.backbone
        return words if same else f"{words} {tr('The backbones differ, so the layers are those of A.')}"

    def retranslate(self) -> None:
        """Say it in another language."""
        self.show_differences()

    def open_side_by_side(self) -> None:
        """Show both recipes side by side, with their other settings."""
        if self.other_recipe is None:
            return
        self.dialog = QDialog(self)
        self.dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.dialog.setWindowTitle(tr("Two recipes side by side"))
        shown = RecipeDiff()
        names = (tr("A: this recipe"), tr("B: {name}", name=self.other_name))
        shown.show_recipes(self._workspace.recipe, self.other_recipe, self._workspace.engine.layers, names)
        close = button(tr("Close"), self.dialog.accept, kind="primary")
        close.setDefault(True)
        self.dialog.setLayout(VBox((shown, 1), HBox(None, close), gap=12, margins=(18, 16, 18, 16)))
        self.dialog.setMinimumSize(640, 420)
        self.dialog.resize(860, 620)
        self.dialog.open()
