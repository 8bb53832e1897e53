"""Results, second view: try images on the run and on other adapters beside it, with their parts turned up and down."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QPoint, Qt
from PySide6.QtGui import QGuiApplication, QImage, QKeySequence, QShortcut
from PySide6.QtWidgets import QFileDialog, QHBoxLayout, QVBoxLayout, QWidget

from studio.core.errors import StudioError
from studio.core.paths import cache_dir
from studio.ui.i18n.language import tr
from studio.ui.pages.results.inference_worker import InferenceWorker
from studio.ui.pages.results.prediction_card import STRENGTH_STEPS, AdapterStrengthRow, PredictionCard
from studio.ui.pages.results.saliency_view import SaliencyView
from studio.ui.services.error_text import error_message
from studio.ui.services.thumbnails import THUMBNAIL_PIXELS, render_thumbnail
from studio.ui.services.workspace import Workspace
from studio.ui.style.formatting import format_percent
from studio.ui.widgets.components import (
    Banner,
    Card,
    HBox,
    VBox,
    button,
    clear_layout,
    container,
    scroll_area,
    text_label,
)
from studio.ui.widgets.drop_zone import DropZone
from studio.ui.widgets.menu import Menu
from studio.ui.widgets.segmented_control import SegmentedControl

if TYPE_CHECKING:
    from studio.app.inference_session import AdapterPrediction, SaliencyKind, SaliencyMap
    from studio.app.multi_task import AdapterControl
    from studio.core.recipe import Recipe

_SALIENCY_KINDS: "tuple[tuple[str, SaliencyKind | None], ...]" = (
    ("Image", None),
    ("Grad-CAM", "grad-cam"),
    ("Rollout", "rollout"),
)


class TryItTab(QWidget):
    """Shows what the run and others beside it say of one image."""

    def __init__(self, workspace: Workspace, inference: InferenceWorker) -> None:
        super().__init__()
        self.workspace, self._inference = workspace, inference
        self.image: Path | None = None
        self.active_adapter = ""
        self.cards: dict[str, PredictionCard] = {}
        self.controls: dict[str, tuple[AdapterControl, ...]] = {}
        self.control_rows: list[AdapterStrengthRow] = []
        self.banner = Banner()
        right = VBox(self.banner, (self._build_cards(), 5), (self._build_controls(), 3), gap=12)
        self.setLayout(HBox(self._build_image_card(), (right, 1), gap=14))
        paste = QShortcut(QKeySequence(QKeySequence.StandardKey.Paste), self)
        paste.setContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
        paste.activated.connect(self.paste)

    @property
    def has_predictions(self) -> bool:
        """Whether every adapter has said what it takes the image for."""
        return bool(self.cards) and all(answer.probability_bars.rows for answer in self.cards.values())

    # building

    def _build_image_card(self) -> QWidget:
        words = tr("Drop an image here, or paste one")
        self.view = SaliencyView(tr("Tried image"), words, 120)
        zone = DropZone(VBox((self.view, 1), margins=(6, 6, 6, 6)))
        zone.dropped.connect(self.try_image)
        self.kind_switch = SegmentedControl(
            tr("What to show over the image"), [(tr(words), "") for words, _ in _SALIENCY_KINDS]
        )
        self.kind_switch.chosen.connect(lambda number: self._show_saliency())
        self.kind_switch.button_at(1).setToolTip(
            tr("What speaks for the class found (Grad-CAM, Selvaraju et al. 2017)")
        )
        self.kind_switch.button_at(2).setToolTip(tr("What the attentions let through (Abnar and Zuidema 2020)"))
        self.file_label = text_label("", "caption", wrap=True)
        pick = button(tr("Choose…"), self._choose_image, "data")
        paste = button(tr("Paste"), self.paste, "copy")
        card = Card(tr("Image"), (zone, 1), self.kind_switch, self.file_label, HBox(pick, paste, None), padding=14)
        card.setFixedWidth(300)
        return card

    def _build_cards(self) -> QWidget:
        self.fuse_button = button(tr("Fuse the ticked"), self.fuse_checked, "adapter", "quiet")
        self.fuse_button.setToolTip(tr("Begin a recipe that learns to combine the ticked adapters (AdapterFusion)"))
        self.add_button = button(tr("Add an adapter…"), self._add_menu, "plus")
        self.cards_layout: QHBoxLayout = HBox(gap=10)
        area = scroll_area(container(VBox(HBox(self.cards_layout, None), None)))
        area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAsNeeded)
        beside = (self.fuse_button, self.add_button)
        card = Card(tr("Answers side by side"), (area, 1), heading_items=beside, padding=14)
        card.setMinimumHeight(176)
        return card

    def _build_controls(self) -> QWidget:
        self.controls_layout: QVBoxLayout = VBox(gap=4)
        self.no_controls_label = text_label(tr("Try an image to see the adapter's parts."), "muted", wrap=True)
        area = scroll_area(container(VBox(self.no_controls_label, self.controls_layout, None, margins=(0, 0, 8, 0))))
        self.reset_button = button(tr("As trained"), self._reset_controls, "undo", "quiet")
        card = Card(tr("Parts of the active adapter"), (area, 1), heading_items=(self.reset_button,), padding=14)
        card.setMinimumHeight(96)
        return card

    # trying

    def reset(self) -> None:
        """Another run is tried: forget what was shown."""
        self.image, self.active_adapter, self.controls = None, "", {}
        self.banner.show_message("")
        self.view.show_image(QImage())
        self.file_label.setText("")
        self._show_names(())
        self._show_controls()
        self._refresh()

    def try_image(self, path: Path) -> None:
        """Show ``path`` and what each adapter takes it for."""
        if self._inference.run is None:
            return
        self.image = path
        self.banner.show_message("")
        self.file_label.setText(path.name)
        self.file_label.setToolTip(str(path))
        self._show_picture(path)
        for answer in self.cards.values():
            answer.show_prediction(None)
        self._refresh()

    def _show_picture(self, path: Path) -> None:
        """Read it on a thread: a photograph of 50 megapixels takes the better part of a second."""
        self.workspace.worker.submit(
            lambda: render_thumbnail(path, 2 * THUMBNAIL_PIXELS),
            lambda image: self._picture_ready(path, image),
            key="picture",
        )

    def _picture_ready(self, path: Path, image: QImage) -> None:
        if path == self.image and self.kind_switch.button_at(0).isChecked():
            self.view.show_image(image, path.name)

    def _choose_image(self) -> None:
        kinds = " (*.png *.jpg *.jpeg *.webp *.bmp *.tif *.tiff)"
        path, _ = QFileDialog.getOpenFileName(self, tr("Choose an image"), "", tr("Images") + kinds)
        if path:
            self.try_image(Path(path))

    def paste(self) -> None:
        """Try the image, or the image file, that was copied elsewhere."""
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
            self.banner.show_message(tr("There is no image to paste; copy one first."), "warn")

    def _refresh(self) -> None:
        """Ask for names, parts and answers as everything is set now."""
        image = self.image
        self._inference.submit(
            lambda bench: (bench.names, bench.controls(), bench.predict(image) if image else ()),
            lambda found: self._show(*found),
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
        if self.active_adapter not in names:
            self.activate(names[0])
        for reply in predictions:
            self.cards[reply.name].show_prediction(reply)
        if len(self.control_rows) != len(controls[self.active_adapter]):
            self._show_controls()
        self._show_saliency()

    def _show_names(self, names: Sequence[str]) -> None:
        clear_layout(self.cards_layout)
        self.cards = {name: PredictionCard(name, number > 0) for number, name in enumerate(names)}
        for answer in self.cards.values():
            answer.pressed.connect(self.activate)
            answer.remove_requested.connect(self._remove)
            answer.fuse_box.toggled.connect(lambda on: self._update_fuse_button())
            answer.fuse_box.setVisible(len(names) > 1)
            answer.show_active(answer.name == self.active_adapter)
            self.cards_layout.addWidget(answer)
        self._update_fuse_button()

    def _failed(self, error: Exception) -> None:
        self.banner.show_message(error_message(error), "bad")

    # several adapters

    def activate(self, name: str) -> None:
        """Show the parts and the map of the adapter called ``name``."""
        if name == self.active_adapter:
            return
        self.active_adapter = name
        for answer in self.cards.values():
            answer.show_active(answer.name == name)
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
        """Put another run or adapter beside the run."""
        self.banner.show_message(tr("Reading {name}…", name=source.name))
        self._inference.submit(lambda bench: bench.add(source), self._added, self._failed)

    def _added(self, name: str) -> None:
        self.banner.show_message("")
        self._refresh()

    def _remove(self, name: str) -> None:
        self._inference.submit(lambda bench: bench.remove(name), lambda none: self._refresh(), self._failed)

    def _update_fuse_button(self) -> None:
        self.fuse_button.setVisible(len(self.cards) > 1)
        self.fuse_button.setEnabled(sum(answer.fuse_box.isChecked() for answer in self.cards.values()) > 1)

    def fuse_checked(self) -> None:
        """Begin a recipe that fuses the ticked adapters, as one step of the history."""
        run = self._inference.run
        names = [answer.name for answer in self.cards.values() if answer.fuse_box.isChecked()]
        if run is None or len(names) < 2:
            return
        self.banner.show_message(tr("Exporting the adapters so that the recipe can name them…"))
        self._inference.submit(lambda bench: bench.fusion_recipe(run.recipe, names), self._fused, self._failed)

    def _fused(self, recipe: "Recipe") -> None:
        self.workspace.document.edit(tr("Fuse adapters"), recipe)
        words = tr("The recipe now fuses these adapters. Look at it under Backbone and adapters, then train it.")
        self.banner.show_message(words, "good")

    # parts

    def _show_controls(self) -> None:
        clear_layout(self.controls_layout)
        self.control_rows = [AdapterStrengthRow(dial) for dial in self.controls.get(self.active_adapter, ())]
        for row in self.control_rows:
            row.changed.connect(self._set_control)
            self.controls_layout.addWidget(row)
        self.no_controls_label.setVisible(not self.control_rows)
        alone = tr("It trained the classifier alone, so there is nothing to switch.")
        self.no_controls_label.setText(alone if self.active_adapter else tr("The adapter is being read…"))
        self.reset_button.setVisible(bool(self.control_rows))

    def _set_control(self, control: "AdapterControl") -> None:
        name = self.active_adapter
        self._inference.submit(
            lambda bench: bench.set_control(name, control.name, control.enabled, control.strength),
            lambda none: self._refresh(),
            self._failed,
            f"turn {control.name}",
        )

    def _reset_controls(self) -> None:
        for row in self.control_rows:
            row.switch.setChecked(True)
            row.slider.setValue(STRENGTH_STEPS)

    # where it looked

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
            lambda bench: bench.saliency_map(name, image, kind),
            lambda look: self._saliency_ready(look, image, kind),
            self._saliency_failed,
            "look",
        )

    def _saliency_ready(self, saliency: "SaliencyMap", image: Path, kind: "SaliencyKind") -> None:
        number = [k for _, k in _SALIENCY_KINDS].index(kind)
        if image == self.image and self.kind_switch.button_at(number).isChecked():
            self.view.show_saliency(saliency)

    def _saliency_failed(self, error: Exception) -> None:
        self.view.show_saliency(None)
        self.banner.show_message(error_message(error), "warn" if isinstance(error, StudioError) else "bad")
