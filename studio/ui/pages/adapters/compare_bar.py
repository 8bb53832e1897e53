"""Two recipes on the tree: the one that is edited as A, another recipe or a run's as B."""

from functools import partial
from pathlib import Path

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QDialog, QFileDialog, QMenu, QWidget

from studio.core.errors import StudioError
from studio.core.recipe import Recipe
from studio.ui.i18n.language import tr
from studio.ui.services.workspace import Workspace
from studio.ui.shared.recipe_diff import RecipeDifference
from studio.ui.shared.recipe_layers import Pair, pairs
from studio.ui.widgets.components import Column, IconButton, Row, button, text
from studio.ui.widgets.menu import Menu


class CompareBar(QWidget):
    """Names B and says how much differs; hidden while nothing is compared. ``differs`` carries pairs by layer path."""

    differs = Signal(object)

    def __init__(self, workspace: Workspace) -> None:
        super().__init__()
        self._workspace = workspace
        self.other: Recipe | None = None
        self.name = ""
        self.dialog: QDialog | None = None
        self.words = text("", "field", wrap=True)
        self.side_by_side = button(tr("Side by side"), self.open, "layers", "quiet")
        close = IconButton(tr("Stop comparing"), "close", self.stop)
        self.setLayout(Row((self.words, 1), self.side_by_side, close))
        self.hide()

    def menu(self, parent: QWidget) -> QMenu:
        """What can be compared with: a file, or one of the runs."""
        menu = Menu(parent)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        menu.addAction(tr("A recipe file…"), self._choose_file)
        for row in self._workspace.runs.rows[:12]:
            menu.addAction(row.name, partial(self.compare_run, row.run.path))
        if self.other is not None:
            menu.addSeparator()
            menu.addAction(tr("Stop comparing"), self.stop)
        return menu

    def _choose_file(self) -> None:
        path, _ = QFileDialog.getOpenFileName(self, tr("Compare with a recipe"), "", tr("Recipes (*.toml)"))
        if path:
            self.compare_file(Path(path))

    def compare_file(self, path: Path) -> None:
        """Compare with the recipe in ``path``; where it cannot be read, say so and change nothing."""
        self._workspace.attempt(lambda: self.compare(Recipe.load(path).with_absolute_paths(path.resolve().parent), path.name))

    def compare_run(self, folder: Path) -> None:
        """Compare with the recipe that a run was started with."""
        recipe = folder / "recipe.toml"
        self._workspace.attempt(lambda: self.compare(Recipe.load(recipe), folder.name))

    def compare(self, recipe: Recipe, name: str) -> None:
        """Show ``recipe``, called ``name``, as B; StudioError while there is no layer tree."""
        if not self._workspace.engine.layers:
            raise StudioError("There is no layer tree yet; choose a backbone first.")
        self.other, self.name = recipe, name
        self.show_differences()

    def stop(self) -> None:
        """Compare no more."""
        self.other = None
        self.hide()
        self.differs.emit({})

    def show_differences(self) -> None:
        """Compare anew: one of the recipes, or the backbone, is another."""
        layers = self._workspace.engine.layers
        if self.other is None or not layers:
            return
        found = pairs(self._workspace.recipe, self.other, layers)
        self.differs.emit({pair.layer.path: pair for pair in found if pair.mark})
        self.words.setText(self._sentence(found))
        self.show()

    def _sentence(self, found: tuple[Pair, ...]) -> str:
        assert self.other is not None
        count = sum(pair.differs for pair in found)
        words = tr("A is this recipe, B is {name}. {n} layers differ.", name=self.name, n=count)
        same = self.other.backbone == self._workspace.recipe.backbone
        return words if same else f"{words} {tr('The backbones differ, so the layers are those of A.')}"

    def say_again(self) -> None:
        """Say it in another language."""
        self.show_differences()

    def open(self) -> None:
        """Show both recipes side by side, with their other settings."""
        if self.other is None:
            return
        self.dialog = QDialog(self)
        self.dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.dialog.setWindowTitle(tr("Two recipes side by side"))
        shown = RecipeDifference()
        names = (tr("A: this recipe"), tr("B: {name}", name=self.name))
        shown.show_recipes(self._workspace.recipe, self.other, self._workspace.engine.layers, names)
        close = button(tr("Close"), self.dialog.accept, kind="primary")
        close.setDefault(True)
        self.dialog.setLayout(Column((shown, 1), Row(None, close), gap=12, margins=(18, 16, 18, 16)))
        self.dialog.setMinimumSize(640, 420)
        self.dialog.resize(860, 620)
        self.dialog.open()
