"""Second tab of the results: predictions of the run and of other adapters."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QPoint, Qt
from PySide6.QtGui import QGuiApplication, QImage, QKeySequence, QShortcut
from PySide6.QtWidgets import QFileDialog, QHBoxLayout, QVBoxLayout, QWidget

from studio.core.errors import StudioError
from studio.core.messages import N_, Message
from studio.core.paths import cache_dir
from studio.ui.i18n.language import localized, tr
from studio.ui.pages.results.inference_worker import InferenceWorker
from studio.ui.pages.results.prediction_card import STRENGTH_STEPS, AdapterStrengthRow, PredictionCard
from studio.ui.pages.results.saliency_view import SaliencyView
from studio.ui.services.error_text import error_message
from studio.ui.services.thumbnails import THUMBNAIL_PIXELS, render_thumbnail
from studio.ui.services.workspace import Workspace
from studio.ui.shared.error_banner import ErrorBanner
from studio.ui.style.formatting import format_percent
from studio.ui.widgets.components import Card, HBox, VBox, button, clear_layout, container, scroll_area, text_label
from studio.ui.widgets.drop_zone import DropZone
from studio.ui.widgets.menu import Menu
from studio.ui.widgets.segmented_control import SegmentedControl

if TYPE_CHECKING:
    from studio.app.inference_session import AdapterPrediction, InferenceSession, SaliencyKind, SaliencyMap
    from studio.app.multi_task import AdapterControl
    from studio.core.recipe import Recipe

_SALIENCY_KINDS: "tuple[tuple[Message, SaliencyKind | None], ...]" = (
    (N_("Image"), None),
    (N_("Grad-CAM"), "grad-cam"),
    (N_("Rollout"), "rollout"),
)


class TryItTab(QWidget):
    """Tab with the predictions of the run and of other adapters for one image."""

    def __init__(self, workspace: Workspace, inference: InferenceWorker) -> None:
        super().__init__()
        self.workspace, self._inference = workspace, inference
        self.image: Path | None = None
        self.active_adapter = ""
        self.cards: dict[str, PredictionCard] = {}
        self.controls: dict[str, tuple[AdapterControl, ...]] = {}
        self.control_rows: list[AdapterStrengthRow] = []
        self._sources: dict[Path, str] = {}
        self._active_after_restore = ""
        self.banner = ErrorBanner()
        right = VBox(self.banner, (self._build_cards(), 5), (self._build_controls(), 2), gap=12)
        self.setLayout(HBox(self._build_image_card(), (right, 1), gap=14))
        paste = QShortcut(QKeySequence(QKeySequence.StandardKey.Paste), self)
        paste.setContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
        paste.activated.connect(self.paste)

    # building

    def _build_image_card(self) -> QWidget:
        self.view = SaliencyView(tr("Image to try"), tr("Drop an image here, or paste one"), 120)
        zone = DropZone(VBox((self.view, 1), margins=(6, 6, 6, 6)))
        zone.dropped.connect(self.try_image)
        self.kind_switch = SegmentedControl(tr("Overlay"), [(localized(title), "") for title, _ in _SALIENCY_KINDS])
        self.kind_switch.chosen.connect(lambda number: self._show_saliency())
        self.kind_switch.button_at(1).setToolTip(
            tr("Evidence for the predicted class (Grad-CAM, Selvaraju et al. 2017)")
        )
        self.kind_switch.button_at(2).setToolTip(
            tr("Attention flow from the image to the output (Abnar and Zuidema 2020)")
        )
        self.file_label = text_label("", "caption", wrap=True)
        pick = button(tr("Choose…"), self._choose_image, "data")
        paste = button(tr("Paste"), self.paste, "copy")
        card = Card(tr("Image"), (zone, 1), self.kind_switch, self.file_label, HBox(pick, paste, None), padding=14)
        card.setFixedWidth(300)
        return card

    def _build_cards(self) -> QWidget:
        self.fuse_button = button(tr("Fuse checked"), self.fuse_checked, "adapter", "quiet")
        self.fuse_button.setToolTip(tr("Start a recipe that learns to combine the checked adapters (AdapterFusion)"))
        self.add_button = button(tr("Add adapter…"), self._add_menu, "plus")
        self.cards_layout: QHBoxLayout = HBox(gap=10)
        area = scroll_area(container(VBox(HBox(self.cards_layout, None), None)))
        area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAsNeeded)
        beside = (self.fuse_button, self.add_button)
        card = Card(tr("Predictions"), (area, 1), heading_items=beside, padding=14)
        card.setMinimumHeight(176)
        return card

    def _build_controls(self) -> QWidget:
        self.controls_layout: QVBoxLayout = VBox(gap=4)
        self.no_controls_label = text_label(tr("Try an image to see the attachments."), "muted", wrap=True)
        area = scroll_area(container(VBox(self.no_controls_label, self.controls_layout, None, margins=(0, 0, 8, 0))))
        self.reset_button = button(tr("Reset strengths"), self._reset_controls, "undo", "quiet")
        card = Card(tr("Attachments of the active adapter"), (area, 1), heading_items=(self.reset_button,), padding=14)
        card.setMinimumHeight(96)
        return card

    # predicting

    def reset(self) -> None:
        """Clear image, cards and controls for another run."""
        self.image, self.active_adapter, self.controls = None, "", {}
        self._sources, self._active_after_restore = {}, ""
        self.banner.show_message("")
        self.view.show_image(QImage())
        self.file_label.setText("")
        self._show_names(())
        self._show_controls()
        self._refresh()

    def try_image(self, path: Path) -> None:
        """Show ``path`` and the prediction of each adapter."""
        if self._inference.run is None:
            return
        self.image = path
        self.banner.show_message("")
        self.file_label.setText(path.name)
        self.file_label.setToolTip(str(path))
        self._show_picture(path)
        for card in self.cards.values():
            card.show_prediction(None)
        self._refresh()

    def _show_picture(self, path: Path) -> None:
        """Read the image on the worker thread (50 megapixels take almost 1 s)."""
        self.workspace.worker.submit(
            lambda: render_thumbnail(path, 2 * THUMBNAIL_PIXELS),
            lambda image: self._picture_ready(path, image),
            key="picture",
        )

    def _picture_ready(self, path: Path, image: QImage) -> None:
        if path == self.image and self.kind_switch.button_at(0).isChecked():
            self.view.show_image(image, path.name)

    def _choose_image(self) -> None:
        filters = tr("Images ({patterns})", patterns="*.png *.jpg *.jpeg *.webp *.bmp *.tif *.tiff")
        path, _ = QFileDialog.getOpenFileName(self, tr("Choose an image"), "", filters)
        if path:
            self.try_image(Path(path))

    def paste(self) -> None:
        """Try the image or the image file on the clipboard."""
        data = QGuiApplication.clipboard().mimeData()
        files = [url.toLocalFile() for url in data.urls() if url.isLocalFile()] if data.hasUrls() else []
        if files:
            self.try_image(Path(files[0]))
        elif data.hasImage():
            target = cache_dir() / "pasted.png"
            target.parent.mkdir(parents=True, exist_ok=True)
            QImage(data.imageData()).save(str(target))
            self.try_image(target)
        else:
            self.banner.show_message(tr("Nothing to paste: the clipboard has no image. Copy an image first."), "warn")

    def _refresh(self) -> None:
        """Request names, controls and predictions with the current settings."""
        image = self.image
        self._inference.submit(
            lambda session: (session.names, session.controls(), session.predict(image) if image else ()),
            lambda result: self._show(*result),
            self._failed,
            "try",
        )

    def _show(
        self,
        names: Sequence[str],
        controls: "dict[str, tuple[AdapterControl, ...]]",
        predictions: "Sequence[AdapterPrediction]",
    ) -> None:
        self.controls = controls
        if tuple(self.cards) != tuple(names):
            self._show_names(names)
        if (restored := self._active_after_restore) in names:
            self._active_after_restore = ""
            self.activate(restored)
        elif self.active_adapter not in names:
            self.activate(names[0])
        for prediction in predictions:
            self.cards[prediction.name].show_prediction(prediction)
        if len(self.control_rows) != len(controls[self.active_adapter]):
            self._show_controls()
        self._show_saliency()

    def _show_names(self, names: Sequence[str]) -> None:
        clear_layout(self.cards_layout)
        self.cards = {name: PredictionCard(name, number > 0) for number, name in enumerate(names)}
        for card in self.cards.values():
            card.pressed.connect(self.activate)
            card.remove_requested.connect(self._remove)
            card.fuse_box.toggled.connect(lambda on: self._update_fuse_button())
            card.fuse_box.setVisible(len(names) > 1)
            card.show_active(card.name == self.active_adapter)
            self.cards_layout.addWidget(card)
        self._update_fuse_button()

    def _failed(self, error: Exception) -> None:
        self.banner.show_message(error_message(error), "bad")

    # several adapters

    def activate(self, name: str) -> None:
        """Show the attachments and the saliency map of the adapter called ``name``."""
        if name == self.active_adapter:
            return
        self.active_adapter = name
        for card in self.cards.values():
            card.show_active(card.name == name)
        self._show_controls()
        self._show_saliency()

    def _add_menu(self) -> None:
        menu = Menu(self)
        own = self._inference.run
        same = self.workspace.runs.find(own)
        rows = [
            row
            for row in self.workspace.runs.rows
            if same and row.accuracy is not None and row.name != same.name and row.backbone == same.backbone
        ]
        for row in rows:
            menu.addAction(f"{format_percent(row.accuracy or 0)}   {row.name}", partial(self.add_adapter, row.run.path))
        if rows:
            menu.addSeparator()
        menu.addAction(tr("From a folder…"), self._add_folder)
        menu.exec(self.add_button.mapToGlobal(QPoint(0, self.add_button.height() + 2)))
        menu.deleteLater()

    def _add_folder(self) -> None:
        path = QFileDialog.getExistingDirectory(self, tr("Choose a run or an exported adapter"))
        if path:
            self.add_adapter(Path(path))

    def add_adapter(self, source: Path) -> None:
        """Add another run or exported adapter."""
        self.banner.show_message(tr("Reading {name}…", name=source.name))
        self._inference.submit(
            lambda session: session.add(source), lambda name: self._added(source, name), self._failed
        )

    def _added(self, source: Path, name: str) -> None:
        self._sources[source] = name
        self.banner.show_message("")
        self._refresh()

    def _remove(self, name: str) -> None:
        self._sources = {source: added for source, added in self._sources.items() if added != name}
        self._inference.submit(lambda session: session.remove(name), lambda none: self._refresh(), self._failed)

    def _update_fuse_button(self) -> None:
        self.fuse_button.setVisible(len(self.cards) > 1)
        self.fuse_button.setEnabled(sum(card.fuse_box.isChecked() for card in self.cards.values()) > 1)

    def fuse_checked(self) -> None:
        """Replace the recipe by one that fuses the checked adapters, as one undo step."""
        run = self._inference.run
        names = [card.name for card in self.cards.values() if card.fuse_box.isChecked()]
        if run is None or len(names) < 2:
            return
        self.banner.show_message(tr("Exporting the adapters for the recipe…"))
        self._inference.submit(lambda session: session.fusion_recipe(run.recipe, names), self._fused, self._failed)

    def _fused(self, recipe: "Recipe") -> None:
        self.workspace.document.edit(N_("Fuse adapters"), recipe)
        self.banner.show_message(
            tr("The recipe now fuses these adapters. Check it under Backbone and adapters, then train it."), "good"
        )

    # attachments

    def _show_controls(self) -> None:
        clear_layout(self.controls_layout)
        self.control_rows = [AdapterStrengthRow(control) for control in self.controls.get(self.active_adapter, ())]
        for row in self.control_rows:
            row.changed.connect(self._set_control)
            self.controls_layout.addWidget(row)
        self.no_controls_label.setVisible(not self.control_rows)
        self.no_controls_label.setText(
            tr("Only the classifier was trained, so there are no attachments.")
            if self.active_adapter
            else tr("Reading the adapter…")
        )
        self.reset_button.setVisible(bool(self.control_rows))

    def _set_control(self, control: "AdapterControl") -> None:
        name = self.active_adapter
        self._inference.submit(
            lambda session: session.set_control(name, control.name, control.enabled, control.strength),
            lambda none: self._refresh(),
            self._failed,
            f"control {control.name}",
        )

    def _reset_controls(self) -> None:
        for row in self.control_rows:
            row.switch.setChecked(True)
            row.slider.setValue(STRENGTH_STEPS)

    # saliency

    def _show_saliency(self) -> None:
        image, name = self.image, self.active_adapter
        number = next(i for i in range(len(_SALIENCY_KINDS)) if self.kind_switch.button_at(i).isChecked())
        kind = _SALIENCY_KINDS[number][1]
        if image is None or not name:
            return
        if kind is None:
            self._show_picture(image)
            return
        self._inference.submit(
            lambda session: session.saliency_map(name, image, kind),
            lambda saliency: self._saliency_ready(saliency, image, kind),
            self._saliency_failed,
            "saliency",
        )

    def _saliency_ready(self, saliency: "SaliencyMap", image: Path, kind: "SaliencyKind") -> None:
        number = [k for _, k in _SALIENCY_KINDS].index(kind)
        if image == self.image and self.kind_switch.button_at(number).isChecked():
            self.view.show_saliency(saliency)

    def _saliency_failed(self, error: Exception) -> None:
        self.view.show_saliency(None)
        self.banner.show_message(error_message(error), "warn" if isinstance(error, StudioError) else "bad")

    # state that survives a rebuild of the window

    def view_state(self) -> dict[str, Any]:
        """Return image, overlay, active adapter, added adapters and changed strengths."""
        return {
            "image": self.image,
            "overlay": next(i for i in range(len(_SALIENCY_KINDS)) if self.kind_switch.button_at(i).isChecked()),
            "active": self.active_adapter,
            "sources": list(self._sources),
            "controls": [(name, control) for name, controls in self.controls.items() for control in controls],
        }

    def restore_view_state(self, state: Mapping[str, Any]) -> None:
        """Look like the tab that returned ``state``, with the same run."""
        self.kind_switch.set_current(state.get("overlay", 0))
        for source in state.get("sources", ()):
            self.add_adapter(source)
        controls = state.get("controls", ())
        self._active_after_restore = state.get("active", "")
        self._inference.submit(
            lambda session: _set_controls(session, controls), lambda none: self._controls_restored(), self._failed
        )
        if state.get("image") is not None:
            self.try_image(state["image"])

    def _controls_restored(self) -> None:
        self.control_rows = []  # so that they are built from the restored strengths
        self._refresh()


def _set_controls(session: "InferenceSession", controls: "Sequence[tuple[str, AdapterControl]]") -> None:
    for name, control in controls:
        if name in session.names:
            session.set_control(name, control.name, control.enabled, control.strength)
