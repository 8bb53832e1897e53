"""Export: choose a form, write it, see how well it was verified."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import Qt, QUrl, Signal
from PySide6.QtGui import QDesktopServices, QKeyEvent, QMouseEvent
from PySide6.QtWidgets import QCheckBox, QFileDialog, QFrame, QLineEdit, QProgressBar, QStackedWidget, QWidget

from studio.core.errors import StudioError
from studio.core.run import Run
from studio.ui.i18n.language import tr
from studio.ui.pages.base import Page
from studio.ui.pages.export.copy_line import CopyLine
from studio.ui.services.background import sentence
from studio.ui.services.workspace import Workspace
from studio.ui.shared.run_picker import RunPicker
from studio.ui.style.formatting import count, percent, size
from studio.ui.widgets.components import (
    Card,
    Column,
    Empty,
    Notice,
    Picture,
    Row,
    button,
    clear,
    holder,
    restyle,
    scrolled,
    text,
)

if TYPE_CHECKING:
    from studio.export import Verification


@dataclass(frozen=True, slots=True)
class Choices:
    """The kinds of export that there are for a run, and the licence of its backbone's weights."""

    forms: tuple["Form", ...]
    licence: str
    non_commercial: bool


@dataclass(frozen=True, slots=True)
class Form:
    """One kind of export as a run has it; ``refusal`` says why it cannot be made."""

    name: str
    label: str
    summary: str
    refusal: str


class _FormCard(QFrame):
    """One kind of export to choose."""

    chosen = Signal(object)

    def __init__(self, form: Form) -> None:
        super().__init__()
        self.form = form
        self.setObjectName("choice")
        self.setProperty("refused", bool(form.refusal))
        self.setAccessibleName(form.label)
        self.setAccessibleDescription(form.refusal or form.summary)
        tint = "faint" if form.refusal else "accent"
        words = Column(
            text(form.label[:1].upper() + form.label[1:], "field"),
            text(form.refusal or form.summary, "caption", wrap=True),
            gap=2,
        )
        icon = Picture("error" if form.refusal else "export", tint, 20)
        row = Row(icon, (words, 1), gap=12, margins=(14, 10, 14, 10))
        row.setAlignment(icon, Qt.AlignmentFlag.AlignTop)
        self.setLayout(row)
        if not form.refusal:
            self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
            self.setCursor(Qt.CursorShape.PointingHandCursor)

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Qt: choose this one."""
        self._choose()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Qt: Enter or space choose."""
        if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter, Qt.Key.Key_Space):
            self._choose()
        else:
            super().keyPressEvent(event)

    def _choose(self) -> None:
        if not self.form.refusal:
            self.chosen.emit(self.form.name)

    def show_chosen(self, chosen: bool) -> None:
        """Mark it as the chosen one."""
        self.setProperty("chosen", chosen)
        restyle(self)


class ExportPage(Page):
    """The fifth step."""

    def __init__(self, workspace: Workspace) -> None:
        super().__init__(
            workspace,
            tr("Export"),
            tr("Each export is loaded again from disk and compared with the run before it counts."),
        )
        self.picker = RunPicker(workspace.runs)
        self.head.addWidget(self.picker)
        self.cards: dict[str, _FormCard] = {}
        self.format = ""
        self._listed: Path | None = None
        self._made: Path | None = None
        self.stack = QStackedWidget()
        self.empty = Empty(
            "export", tr("No trained run is chosen"), tr("Train a recipe first; then its adapter can be exported.")
        )
        self.stack.addWidget(self.empty)
        self.stack.addWidget(self._content())
        self.fill(self.stack)
        workspace.runs.selected_changed.connect(lambda run: self._look())
        workspace.runs.changed.connect(lambda rows: self._look())
        workspace.engine.loaded.connect(self._look)

    # building

    def _content(self) -> QWidget:
        self.list = Column(gap=8)
        inner = holder(Column(self.list, None, margins=(0, 0, 8, 0)))
        forms = Card(tr("What to make"), (scrolled(inner), 1))
        self.folder = QLineEdit()
        self.folder.setAccessibleName(tr("Folder to export to"))
        self.folder.textEdited.connect(lambda words: self._show_button())
        self.overwrite = QCheckBox(tr("Replace what is in the folder"))
        self.halves = QCheckBox(tr("Store the weights in half the size (float16)"))
        self.halves.setToolTip(
            tr("They are still computed with in float32; scores differ a little, which is verified.")
        )
        self.licence = Notice()
        self.bar = QProgressBar()
        self.bar.setRange(0, 0)
        self.bar.setTextVisible(False)
        self.bar.setAccessibleName(tr("Progress of the export"))
        policy = self.bar.sizePolicy()
        policy.setRetainSizeWhenHidden(True)
        self.bar.setSizePolicy(policy)
        self.bar.hide()
        self.go = button(tr("Export and verify"), self.export, "export", "primary")
        where = Card(
            tr("Where to put it"),
            Row((self.folder, 1), button(tr("Choose…"), self._choose_folder, "folder")),
            self.overwrite,
            self.halves,
            self.licence,
            Row(self.go, (self.bar, 1), gap=16),
            gap=10,
        )
        self.result = Card(tr("Result"), gap=10)
        self.result_notice = Notice()
        self.facts = text("", "muted", wrap=True)
        self.path = text("", "field", wrap=True)
        self.path.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.open_button = button(tr("Open the folder"), self._open_folder, "open")
        for item in (self.result_notice, self.facts, self.path):
            self.result.body.addWidget(item)
        self.result.body.addLayout(Row(self.open_button, None))
        self.command = CopyLine(tr("Try it in a terminal with PEFT Studio"))
        self.script = CopyLine(tr("Or by the script in the folder"))
        for line in (self.command, self.script):
            self.result.body.addWidget(line)
        self.result.hide()
        right = scrolled(holder(Column(where, self.result, None, gap=14)))
        return holder(Row((forms, 1), (right, 1), gap=14))

    # showing

    def showEvent(self, event: object) -> None:
        """Qt: the page comes into view."""
        super().showEvent(event)  # type: ignore[arg-type]
        self._look()

    def _look(self) -> None:
        run = self.workspace.runs.selected
        row = self.workspace.runs.row(run)
        ready = row is not None and row.accuracy is not None and row.state != "running" and self.workspace.engine.ready
        self.stack.setCurrentIndex(1 if ready else 0)
        if not ready or run is None or not self.isVisible() or self._listed == run.path:
            return
        self._listed = run.path
        self.result.hide()
        self.workspace.lane.submit(lambda: choices_of(run), self._show_choices, self._show_refused, key="forms")

    def _show_choices(self, choices: Choices) -> None:
        forms = choices.forms
        self.licence.say(*_licence_words(choices))
        clear(self.list)
        self.cards = {form.name: _FormCard(form) for form in forms}
        for card in self.cards.values():
            card.chosen.connect(self.choose)
            self.list.addWidget(card)
        possible = next((form.name for form in forms if not form.refusal), "")
        self.choose(self.format if self.format in self.cards and not self.cards[self.format].form.refusal else possible)

    def choose(self, name: str) -> None:
        """Choose the kind of export called ``name``."""
        self.format = name
        for card in self.cards.values():
            card.show_chosen(card.form.name == name)
        run = self.workspace.runs.selected
        if run is not None and name:
            self.folder.setText(str(run.path / "exports" / name))
        self._show_button()

    def _show_button(self) -> None:
        self.bar.hide()
        self.go.setEnabled(bool(self.format and self.folder.text().strip()))

    # acting

    def _choose_folder(self) -> None:
        path = QFileDialog.getExistingDirectory(self, tr("Choose a folder to export to"))
        if path:
            self.folder.setText(str(Path(path) / (self.format or "export")))
            self._show_button()

    def export(self) -> None:
        """Write the export and verify it."""
        run, out = self.workspace.runs.selected, Path(self.folder.text().strip()).expanduser()
        if run is None or not self.format:
            return
        name, overwrite = self.format, self.overwrite.isChecked()
        precision = "float16" if self.halves.isChecked() else "float32"
        self.go.setEnabled(False)
        self.bar.show()
        self._say(tr("Writing the export, loading it again and comparing it with the run…"), "info")
        self.workspace.lane.submit(
            lambda: _export(run, name, out, overwrite, precision),
            lambda made: self._show_made(made, out),
            self._show_refused,
        )

    @property
    def _facts(self) -> tuple[QWidget, ...]:
        """What is shown of an export that has been made."""
        return self.facts, self.path, self.open_button, self.command, self.script

    def _say(self, words: str, tone: str) -> None:
        self.result_notice.say(words, tone)
        for widget in self._facts:
            widget.hide()
        self.result.show()

    def _show_made(self, made: "Verification", out: Path) -> None:
        self._show_button()
        self._made = out
        self._say(tr("Exported and verified on {n} images.", n=count(made.images)), "good")
        self.facts.setText(
            tr(
                "Largest difference of a score: {difference:.2g} (allowed: {tolerance:.2g})\n"
                "Same best class: {agreement} of the images\nLoaded again with: {how}\nOn disk: {bytes}",
                difference=made.largest_difference,
                tolerance=made.tolerance,
                agreement=percent(made.agreement, 2),
                how=made.loaded_with,
                bytes=size(sum(f.stat().st_size for f in out.rglob("*") if f.is_file())),
            )
        )
        self.path.setText(str(out))
        self.command.show_line(f"peft-studio predict {_quoted(out)} IMAGE")
        self.script.show_line(f"python {_quoted(out / 'predict.py')} IMAGE")
        for widget in self._facts:
            widget.show()

    def _show_refused(self, error: Exception) -> None:
        self._show_button()
        self._say(sentence(error), "bad")

    def _open_folder(self) -> None:
        if self._made is not None:
            QDesktopServices.openUrl(QUrl.fromLocalFile(str(self._made)))


def choices_of(run: Run) -> Choices:
    """What there is to choose from for a run."""
    from studio.backbones.licenses import is_non_commercial, license_name
    from studio.backbones.loading import resolve_backbone

    licence = license_name(resolve_backbone(run.recipe.backbone).license)
    return Choices(forms_of(run), licence, is_non_commercial(licence))


def forms_of(run: Run) -> tuple[Form, ...]:
    """Every kind of export, with the reason where the run's methods do not allow it."""
    from studio.export.contract import exporters
    from studio.peft.contract import METHODS

    used = dict.fromkeys(a.method for a in run.recipe.attachments if a.enabled)
    made = []
    for exporter in exporters:
        try:
            refusal = next((why for name in used if (why := exporter.refuses(METHODS.get(name)))), "")
        except StudioError as error:
            refusal = str(error)
        made.append(Form(exporter.name, exporter.label, exporter.summary, refusal))
    return tuple(made)


def _licence_words(choices: Choices) -> tuple[str, str]:
    """What to know of the licence before anything is exported, and its tone."""
    licence = tr(choices.licence)
    if choices.non_commercial:
        words = tr("The backbone's weights may not be used commercially ({licence}).", licence=licence)
        return words + " " + tr("That holds for every export."), "warn"
    if choices.licence == "not stated":
        return tr(
            "The licence of the backbone's weights is not stated. Ask their makers before you pass them on."
        ), "warn"
    return tr("Licence of the backbone's weights: {licence}. It is written into every export.", licence=licence), "info"


def _quoted(path: Path) -> str:
    """As one writes it in a terminal."""
    return f'"{path}"' if " " in str(path) else str(path)


def _export(run: Run, name: str, out: Path, overwrite: bool, precision: str) -> "Verification":
    from studio.export import export

    return export(run, name, out, overwrite, precision)
