"""Export page: choose a format, export, and see the verification."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import Qt, QUrl
from PySide6.QtGui import QDesktopServices
from PySide6.QtWidgets import QCheckBox, QFileDialog, QLineEdit, QProgressBar, QStackedWidget, QWidget

from studio.core.messages import N_
from studio.core.run import Run
from studio.ui.i18n.language import tr, tr_n
from studio.ui.pages.base import Page
from studio.ui.pages.export.copy_line import CopyLine
from studio.ui.pages.export.export_job import ExportJob
from studio.ui.pages.export.export_options import ExportOptions, license_text, load_export_options
from studio.ui.pages.export.option_card import OptionCard
from studio.ui.pages.registry import PageSpec, register
from studio.ui.services.error_text import error_message
from studio.ui.services.workspace import Workspace
from studio.ui.shared.error_banner import ErrorBanner
from studio.ui.shared.run_picker import RunPicker
from studio.ui.style.formatting import format_bytes, format_percent
from studio.ui.widgets.components import (
    Banner,
    Card,
    EmptyState,
    HBox,
    VBox,
    button,
    clear_layout,
    container,
    scroll_area,
    text_label,
)

if TYPE_CHECKING:
    from studio.export import Verification


class ExportPage(Page):
    """The fifth step."""

    def __init__(self, workspace: Workspace) -> None:
        super().__init__(
            workspace,
            tr("Export"),
            tr("Each export is loaded from disk and verified against the run."),
        )
        self.picker = RunPicker(workspace.runs)
        self.header.addWidget(self.picker)
        self.cards: dict[str, OptionCard] = {}
        self.format = ""
        self._listed: Path | None = None
        self._export_folder: Path | None = None
        self._pending_folder = ""
        self._job = ExportJob()
        self._watch_job()
        self.stack = QStackedWidget()
        self.empty = EmptyState(
            "export", tr("No trained run selected"), tr("Train a recipe first. Then its adapter can be exported.")
        )
        self.stack.addWidget(self.empty)
        self.stack.addWidget(self._content())
        self.set_content(self.stack)
        workspace.runs.selected_changed.connect(self._refresh)
        workspace.runs.changed.connect(self._refresh)
        workspace.engine.loaded.connect(self._refresh)

    # building

    def _content(self) -> QWidget:
        self.option_list = VBox(gap=8)
        inner = container(VBox(self.option_list, None, margins=(0, 0, 8, 0)))
        formats = Card(tr("Format"), (scroll_area(inner), 1))
        self.folder_edit = QLineEdit()
        self.folder_edit.setAccessibleName(tr("Export folder"))
        self.folder_edit.textEdited.connect(lambda text: self._show_button())
        self.overwrite_box = QCheckBox(tr("Replace an existing folder"))
        self.half_precision_box = QCheckBox(tr("Store weights as float16 (half the size)"))
        self.half_precision_box.setToolTip(
            tr("Predictions are still computed in float32; the small difference of the scores is verified")
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
        destination = Card(
            tr("Destination"),
            HBox((self.folder_edit, 1), button(tr("Choose…"), self._choose_folder, "folder")),
            self.overwrite_box,
            self.half_precision_box,
            self.license_banner,
            HBox(self.export_button, (self.bar, 1), gap=16),
            gap=10,
        )
        self.result = Card(tr("Result"), gap=10)
        self.result_notice = ErrorBanner()
        self.result_details = text_label("", "muted", wrap=True)
        self.path = text_label("", "field", wrap=True)
        self.path.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.open_button = button(tr("Open folder"), self._open_folder, "open")
        for item in (self.result_notice, self.result_details, self.path):
            self.result.body.addWidget(item)
        self.result.body.addLayout(HBox(self.open_button, None))
        self.command = CopyLine(tr("Predict in a terminal with PEFT Studio"))
        self.script = CopyLine(tr("Or with the script in the folder"))
        for line in (self.command, self.script):
            self.result.body.addWidget(line)
        self.result.hide()
        right = scroll_area(container(VBox(destination, self.result, None, gap=14)))
        return container(HBox((formats, 1), (right, 1), gap=14))

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
            lambda: load_export_options(run), self._show_options, self._show_error, key="formats"
        )

    def _show_options(self, options: ExportOptions) -> None:
        formats = options.options
        self.license_banner.show_message(*license_text(options))
        clear_layout(self.option_list)
        self.cards = {option.name: OptionCard(option) for option in formats}
        for card in self.cards.values():
            card.chosen.connect(self.select_format)
            self.option_list.addWidget(card)
        supported = [option.name for option in formats if not option.unsupported_reason]
        folder = self._pending_folder
        self.select_format(self.format if self.format in supported else next(iter(supported), ""))
        if folder:
            self.folder_edit.setText(folder)
            self._pending_folder = ""
            self._show_button()

    def select_format(self, name: str) -> None:
        """Select the export format called ``name``."""
        self.format = name
        for card in self.cards.values():
            card.set_selected(card.option.name == name)
        run = self.workspace.runs.selected
        if run is not None and name:
            self.folder_edit.setText(str(run.path / "exports" / name))
        self._show_button()

    def _show_button(self) -> None:
        self.bar.setVisible(self._job.running)
        ready = bool(self.format and self.folder_edit.text().strip())
        self.export_button.setEnabled(ready and not self._job.running)

    # exporting

    def _choose_folder(self) -> None:
        path = QFileDialog.getExistingDirectory(self, tr("Choose an export folder"))
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
        self._job.start(self.workspace.worker, lambda: _export(run, name, out, overwrite, precision), out)
        self._show_running()

    def _show_running(self) -> None:
        if self.export_button.hasFocus():
            self.cards[self.format].setFocus()  # Qt would move the focus of a disabled button to the first format
        self._show_button()
        self._show_result(tr("Exporting, loading the export and comparing it with the run…"), "info")

    @property
    def _result_widgets(self) -> tuple[QWidget, ...]:
        """Widgets that show a finished export."""
        return self.result_details, self.path, self.open_button, self.command, self.script

    def _show_result(self, message: str, tone: str) -> None:
        self.result_notice.show_message(message, tone)
        for widget in self._result_widgets:
            widget.hide()
        self.result.show()

    def _show_verification(self, verification: "Verification", out: Path) -> None:
        self._show_button()
        self._export_folder, self._verification = out, verification
        self._show_result(
            tr_n(
                "Exported and verified on {n:,} image.", "Exported and verified on {n:,} images.", verification.images
            ),
            "good",
        )
        self.result_details.setText(
            tr(
                "Largest score difference: {difference:.2g} (allowed: {tolerance:.2g})\n"
                "Same top class: {agreement} of the images\nLoaded with: {how}\nOn disk: {bytes}",
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

    def _watch_job(self) -> None:
        self._job.verified.connect(self._show_verification)
        self._job.failed.connect(self._show_error)

    def _open_folder(self) -> None:
        if self._export_folder is not None:
            QDesktopServices.openUrl(QUrl.fromLocalFile(str(self._export_folder)))

    # state that survives a rebuild of the window

    def view_state(self) -> dict[str, Any]:
        """Return format, options, the running export and the last verification."""
        shown = not self.result.isHidden() and self.open_button.isVisibleTo(self.result)
        return {
            "path": self._listed,
            "format": self.format,
            "folder": self.folder_edit.text(),
            "overwrite": self.overwrite_box.isChecked(),
            "half_precision": self.half_precision_box.isChecked(),
            "job": self._job,
            "verification": (self._verification, self._export_folder) if shown else None,
        }

    def restore_view_state(self, state: Mapping[str, Any]) -> None:
        """Look like the page that returned ``state``."""
        self.overwrite_box.setChecked(state.get("overwrite", False))
        self.half_precision_box.setChecked(state.get("half_precision", False))
        run = self.workspace.runs.selected
        if run is None or run.path != state.get("path"):
            return
        self._listed, self.format, self._pending_folder = run.path, state.get("format", ""), state.get("folder", "")
        self.workspace.worker.submit(
            lambda: load_export_options(run), self._show_options, self._show_error, key="formats"
        )
        if isinstance(job := state.get("job"), ExportJob):
            self._job = job
            self._watch_job()
        if self._job.running:
            self._show_running()
        elif (finished := state.get("verification")) is not None:
            self._show_verification(*finished)


def _quoted(path: Path) -> str:
    """Return the path as typed in a terminal."""
    return f'"{path}"' if " " in str(path) else str(path)


def _export(run: Run, name: str, out: Path, overwrite: bool, precision: str) -> "Verification":
    from studio.export import export

    return export(run, name, out, overwrite, precision)


PAGE = register(PageSpec("export", N_("Export"), "export", ExportPage, "Ctrl+5", step=5))
