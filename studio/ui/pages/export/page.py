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
from studio.ui.services.error_text import error_message
from studio.ui.services.workspace import Workspace
from studio.ui.shared.run_picker import RunPicker
from studio.ui.style.formatting import format_bytes, format_count, format_percent
from studio.ui.widgets.components import (
    Banner,
    Card,
    EmptyState,
    HBox,
    Icon,
    VBox,
    button,
    clear_layout,
    container,
    repolish,
    scroll_area,
    text_label,
)

if TYPE_CHECKING:
    from studio.export import Verification


@dataclass(frozen=True, slots=True)
class ExportOptions:
    """The kinds of export that there are for a run, and the licence of its backbone's weights."""

    options: tuple["ExportOption", ...]
    weights_license: str
    non_commercial: bool


@dataclass(frozen=True, slots=True)
class ExportOption:
    """One kind of export as a run has it; ``unsupported_reason`` says why it cannot be made."""

    name: str
    label: str
    summary: str
    unsupported_reason: str


class _OptionCard(QFrame):
    """One kind of export to choose."""

    chosen = Signal(object)

    def __init__(self, option: ExportOption) -> None:
        super().__init__()
        self.option = option
        self.setObjectName("choice")
        self.setProperty("refused", bool(option.unsupported_reason))
        self.setAccessibleName(option.label)
        self.setAccessibleDescription(option.unsupported_reason or option.summary)
        tint = "faint" if option.unsupported_reason else "accent"
        words = VBox(
            text_label(option.label[:1].upper() + option.label[1:], "field"),
            text_label(option.unsupported_reason or option.summary, "caption", wrap=True),
            gap=2,
        )
        icon = Icon("error" if option.unsupported_reason else "export", tint, 20)
        row = HBox(icon, (words, 1), gap=12, margins=(14, 10, 14, 10))
        row.setAlignment(icon, Qt.AlignmentFlag.AlignTop)
        self.setLayout(row)
        if not option.unsupported_reason:
            self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
            self.setCursor(Qt.CursorShape.PointingHandCursor)

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Qt: choose this one."""
        self._emit_chosen()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Qt: Enter or space choose."""
        if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter, Qt.Key.Key_Space):
            self._emit_chosen()
        else:
            super().keyPressEvent(event)

    def _emit_chosen(self) -> None:
        if not self.option.unsupported_reason:
            self.chosen.emit(self.option.name)

    def set_selected(self, selected: bool) -> None:
        """Mark it as the chosen one."""
        self.setProperty("chosen", selected)
        repolish(self)


class ExportPage(Page):
    """The fifth step."""

    def __init__(self, workspace: Workspace) -> None:
        super().__init__(
            workspace,
            tr("Export"),
            tr("Each export is loaded again from disk and compared with the run before it counts."),
        )
        self.picker = RunPicker(workspace.runs)
        self.header.addWidget(self.picker)
        self.cards: dict[str, _OptionCard] = {}
        self.format = ""
        self._listed: Path | None = None
        self._export_folder: Path | None = None
        self.stack = QStackedWidget()
        self.empty = EmptyState(
            "export", tr("No trained run is chosen"), tr("Train a recipe first; then its adapter can be exported.")
        )
        self.stack.addWidget(self.empty)
        self.stack.addWidget(self._content())
        self.set_content(self.stack)
        workspace.runs.selected_changed.connect(lambda run: self._refresh())
        workspace.runs.changed.connect(lambda rows: self._refresh())
        workspace.engine.loaded.connect(self._refresh)

    # building

    def _content(self) -> QWidget:
        self.option_list = VBox(gap=8)
        inner = container(VBox(self.option_list, None, margins=(0, 0, 8, 0)))
        forms = Card(tr("What to make"), (scroll_area(inner), 1))
        self.folder_edit = QLineEdit()
        self.folder_edit.setAccessibleName(tr("Folder to export to"))
        self.folder_edit.textEdited.connect(lambda words: self._show_button())
        self.overwrite_box = QCheckBox(tr("Replace what is in the folder"))
        self.half_precision_box = QCheckBox(tr("Store the weights in half the size (float16)"))
        self.half_precision_box.setToolTip(
            tr("They are still computed with in float32; scores differ a little, which is verified.")
        )
        self.license_banner = Banner()
        self.bar = QProgressBar()
        self.bar.setRange(0, 0)
        self.bar.setTextVisible(False)
        self.bar.setAccessibleName(tr("Progress of the export"))
        policy = self.bar.sizePolicy()
        policy.setRetainSizeWhenHidden(True)
        self.bar.setSizePolicy(policy)
        self.bar.hide()
        self.export_button = button(tr("Export and verify"), self.export, "export", "primary")
        where = Card(
            tr("Where to put it"),
            HBox((self.folder_edit, 1), button(tr("Choose…"), self._choose_folder, "folder")),
            self.overwrite_box,
            self.half_precision_box,
            self.license_banner,
            HBox(self.export_button, (self.bar, 1), gap=16),
            gap=10,
        )
        self.result = Card(tr("Result"), gap=10)
        self.result_notice = Banner()
        self.result_details = text_label("", "muted", wrap=True)
        self.path = text_label("", "field", wrap=True)
        self.path.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.open_button = button(tr("Open the folder"), self._open_folder, "open")
        for item in (self.result_notice, self.result_details, self.path):
            self.result.body.addWidget(item)
        self.result.body.addLayout(HBox(self.open_button, None))
        self.command = CopyLine(tr("Try it in a terminal with PEFT Studio"))
        self.script = CopyLine(tr("Or by the script in the folder"))
        for line in (self.command, self.script):
            self.result.body.addWidget(line)
        self.result.hide()
        right = scroll_area(container(VBox(where, self.result, None, gap=14)))
        return container(HBox((forms, 1), (right, 1), gap=14))

    # showing

    def showEvent(self, event: object) -> None:
        """Qt: the page comes into view."""
        super().showEvent(event)  # type: ignore[arg-type]
        self._refresh()

    def _refresh(self) -> None:
        run = self.workspace.runs.selected
        row = self.workspace.runs.find(run)
        ready = row is not None and row.accuracy is not None and row.state != "running" and self.workspace.engine.ready
        self.stack.setCurrentIndex(1 if ready else 0)
        if not ready or run is None or not self.isVisible() or self._listed == run.path:
            return
        self._listed = run.path
        self.result.hide()
        self.workspace.worker.submit(
            lambda: load_export_options(run), self._show_options, self._show_error, key="forms"
        )

    def _show_options(self, options: ExportOptions) -> None:
        forms = options.options
        self.license_banner.show_message(*_license_text(options))
        clear_layout(self.option_list)
        self.cards = {form.name: _OptionCard(form) for form in forms}
        for card in self.cards.values():
            card.chosen.connect(self.select_format)
            self.option_list.addWidget(card)
        possible = next((form.name for form in forms if not form.unsupported_reason), "")
        self.select_format(
            self.format
            if self.format in self.cards and not self.cards[self.format].option.unsupported_reason
            else possible
        )

    def select_format(self, name: str) -> None:
        """Choose the kind of export called ``name``."""
        self.format = name
        for card in self.cards.values():
            card.set_selected(card.option.name == name)
        run = self.workspace.runs.selected
        if run is not None and name:
            self.folder_edit.setText(str(run.path / "exports" / name))
        self._show_button()

    def _show_button(self) -> None:
        self.bar.hide()
        self.export_button.setEnabled(bool(self.format and self.folder_edit.text().strip()))

    # acting

    def _choose_folder(self) -> None:
        path = QFileDialog.getExistingDirectory(self, tr("Choose a folder to export to"))
        if path:
            self.folder_edit.setText(str(Path(path) / (self.format or "export")))
            self._show_button()

    def export(self) -> None:
        """Write the export and verify it."""
        run, out = self.workspace.runs.selected, Path(self.folder_edit.text().strip()).expanduser()
        if run is None or not self.format:
            return
        name, overwrite = self.format, self.overwrite_box.isChecked()
        precision = "float16" if self.half_precision_box.isChecked() else "float32"
        self.export_button.setEnabled(False)
        self.bar.show()
        self._show_result(tr("Writing the export, loading it again and comparing it with the run…"), "info")
        self.workspace.worker.submit(
            lambda: _export(run, name, out, overwrite, precision),
            lambda made: self._show_verification(made, out),
            self._show_error,
        )

    @property
    def _result_widgets(self) -> tuple[QWidget, ...]:
        """What is shown of an export that has been made."""
        return self.result_details, self.path, self.open_button, self.command, self.script

    def _show_result(self, message: str, tone: str) -> None:
        self.result_notice.show_message(message, tone)
        for widget in self._result_widgets:
            widget.hide()
        self.result.show()

    def _show_verification(self, verification: "Verification", out: Path) -> None:
        self._show_button()
        self._export_folder = out
        self._show_result(tr("Exported and verified on {n} images.", n=format_count(verification.images)), "good")
        self.result_details.setText(
            tr(
                "Largest difference of a score: {difference:.2g} (allowed: {tolerance:.2g})\n"
                "Same best class: {agreement} of the images\nLoaded again with: {how}\nOn disk: {bytes}",
                difference=verification.largest_difference,
                tolerance=verification.tolerance,
                agreement=format_percent(verification.agreement, 2),
                how=verification.loaded_with,
                bytes=format_bytes(sum(f.stat().st_size for f in out.rglob("*") if f.is_file())),
            )
        )
        self.path.setText(str(out))
        self.command.show_line(f"peft-studio predict {_quoted(out)} IMAGE")
        self.script.show_line(f"python {_quoted(out / 'predict.py')} IMAGE")
        for widget in self._result_widgets:
            widget.show()

    def _show_error(self, error: Exception) -> None:
        self._show_button()
        self._show_result(error_message(error), "bad")

    def _open_folder(self) -> None:
        if self._export_folder is not None:
            QDesktopServices.openUrl(QUrl.fromLocalFile(str(self._export_folder)))


def load_export_options(run: Run) -> ExportOptions:
    """What there is to choose from for a run."""
    from studio.backbones.licenses import is_non_commercial, license_name
    from studio.backbones.loading import resolve_backbone

    licence = license_name(resolve_backbone(run.recipe.backbone).license)
    return ExportOptions(options_for_run(run), licence, is_non_commercial(licence))


def options_for_run(run: Run) -> tuple[ExportOption, ...]:
    """Every kind of export, with the reason where the run's methods do not allow it."""
    from studio.export.contract import exporters
    from studio.peft.contract import METHODS

    used = dict.fromkeys(a.method for a in run.recipe.attachments if a.enabled)
    made = []
    for exporter in exporters:
        try:
            refusal = next((why for name in used if (why := exporter.unsupported_reason(METHODS.get(name)))), "")
        except StudioError as error:
            refusal = str(error)
        made.append(ExportOption(exporter.name, exporter.label, exporter.summary, refusal))
    return tuple(made)


def _license_text(options: ExportOptions) -> tuple[str, str]:
    """What to know of the licence before anything is exported, and its tone."""
    licence = tr(options.weights_license)
    if options.non_commercial:
        words = tr("The backbone's weights may not be used commercially ({licence}).", licence=licence)
        return words + " " + tr("That holds for every export."), "warn"
    if options.weights_license == "not stated":
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
