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
from studio.ui.pages.results.inference_worker import BenchRoom
from studio.ui.pages.results.prediction_card import WHOLE, AnswerCard, DialRow
from studio.ui.pages.results.saliency_view import LookView
from studio.ui.services.background import sentence
from studio.ui.services.thumbnails import SIDE, small_picture
from studio.ui.services.workspace import Workspace
from studio.ui.style.formatting import percent
from studio.ui.widgets.components import Card, Column, Notice, Row, button, clear, holder, scrolled, text
from studio.ui.widgets.drop_zone import DropZone
from studio.ui.widgets.menu import Menu
from studio.ui.widgets.segmented_control import Segments

if TYPE_CHECKING:
    from studio.app.inference_session import Kind, Look, Reply
    from studio.app.multi_task import Dial
    from studio.core.recipe import Recipe

_KINDS: "tuple[tuple[str, Kind | None], ...]" = (("Image", None), ("Grad-CAM", "grad-cam"), ("Rollout", "rollout"))


class TryIt(QWidget):
    """Shows what the run and others beside it say of one image."""

    def __init__(self, workspace: Workspace, room: BenchRoom) -> None:
        super().__init__()
        self.workspace, self._room = workspace, room
        self.image: Path | None = None
        self.active = ""
        self.answers: dict[str, AnswerCard] = {}
        self.dials: dict[str, tuple[Dial, ...]] = {}
        self.rows: list[DialRow] = []
        self.notice = Notice()
        right = Column(self.notice, (self._answers(), 5), (self._parts(), 3), gap=12)
        self.setLayout(Row(self._picture(), (right, 1), gap=14))
        paste = QShortcut(QKeySequence(QKeySequence.StandardKey.Paste), self)
        paste.setContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
        paste.activated.connect(self.paste)

    @property
    def replied(self) -> bool:
        """Whether every adapter has said what it takes the image for."""
        return bool(self.answers) and all(answer.odds.rows for answer in self.answers.values())

    # building

    def _picture(self) -> QWidget:
        words = tr("Drop an image here, or paste one")
        self.view = LookView(tr("Tried image"), words, 120)
        zone = DropZone(Column((self.view, 1), margins=(6, 6, 6, 6)))
        zone.dropped.connect(self.try_image)
        self.kind = Segments(tr("What to show over the image"), [(tr(words), "") for words, _ in _KINDS])
        self.kind.chosen.connect(lambda number: self._show_look())
        self.kind.button(1).setToolTip(tr("What speaks for the class found (Grad-CAM, Selvaraju et al. 2017)"))
        self.kind.button(2).setToolTip(tr("What the attentions let through (Abnar and Zuidema 2020)"))
        self.file = text("", "caption", wrap=True)
        pick = button(tr("Choose…"), self._pick, "data")
        paste = button(tr("Paste"), self.paste, "copy")
        card = Card(tr("Image"), (zone, 1), self.kind, self.file, Row(pick, paste, None), padding=14)
        card.setFixedWidth(300)
        return card

    def _answers(self) -> QWidget:
        self.fuse_button = button(tr("Fuse the ticked"), self.fuse, "adapter", "quiet")
        self.fuse_button.setToolTip(tr("Begin a recipe that learns to combine the ticked adapters (AdapterFusion)"))
        self.add_button = button(tr("Add an adapter…"), self._add_menu, "plus")
        self.box: QHBoxLayout = Row(gap=10)
        area = scrolled(holder(Column(Row(self.box, None), None)))
        area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAsNeeded)
        beside = (self.fuse_button, self.add_button)
        card = Card(tr("Answers side by side"), (area, 1), beside=beside, padding=14)
        card.setMinimumHeight(176)
        return card

    def _parts(self) -> QWidget:
        self.parts_box: QVBoxLayout = Column(gap=4)
        self.no_parts = text(tr("Try an image to see the adapter's parts."), "muted", wrap=True)
        area = scrolled(holder(Column(self.no_parts, self.parts_box, None, margins=(0, 0, 8, 0))))
        self.reset_button = button(tr("As trained"), self._reset, "undo", "quiet")
        card = Card(tr("Parts of the active adapter"), (area, 1), beside=(self.reset_button,), padding=14)
        card.setMinimumHeight(96)
        return card

    # trying

    def begin(self) -> None:
        """Another run is tried: forget what was shown."""
        self.image, self.active, self.dials = None, "", {}
        self.notice.say("")
        self.view.show_image(QImage())
        self.file.setText("")
        self._show_names(())
        self._show_dials()
        self._refresh()

    def try_image(self, path: Path) -> None:
        """Show ``path`` and what each adapter takes it for."""
        if self._room.run is None:
            return
        self.image = path
        self.notice.say("")
        self.file.setText(path.name)
        self.file.setToolTip(str(path))
        self._show_picture(path)
        for answer in self.answers.values():
            answer.show_reply(None)
        self._refresh()

    def _show_picture(self, path: Path) -> None:
        """Read it on a thread: a photograph of 50 megapixels takes the better part of a second."""
        self.workspace.lane.submit(
            lambda: small_picture(path, 2 * SIDE), lambda image: self._take_picture(path, image), key="picture"
        )

    def _take_picture(self, path: Path, image: QImage) -> None:
        if path == self.image and self.kind.button(0).isChecked():
            self.view.show_image(image, path.name)

    def _pick(self) -> None:
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
            self.notice.say(tr("There is no image to paste; copy one first."), "warn")

    def _refresh(self) -> None:
        """Ask for names, parts and answers as everything is set now."""
        image = self.image
        self._room.ask(
            lambda bench: (bench.names, bench.dials(), bench.replies(image) if image else ()),
            lambda found: self._show(*found),
            self._failed,
            "try",
        )

    def _show(self, names: Sequence[str], dials: "dict[str, tuple[Dial, ...]]", replies: "Sequence[Reply]") -> None:
        self.dials = dials
        if tuple(self.answers) != tuple(names):
            self._show_names(names)
        if self.active not in names:
            self.activate(names[0])
        for reply in replies:
            self.answers[reply.name].show_reply(reply)
        if len(self.rows) != len(dials[self.active]):
            self._show_dials()
        self._show_look()

    def _show_names(self, names: Sequence[str]) -> None:
        clear(self.box)
        self.answers = {name: AnswerCard(name, number > 0) for number, name in enumerate(names)}
        for answer in self.answers.values():
            answer.pressed.connect(self.activate)
            answer.leave_wanted.connect(self._remove)
            answer.fuse.toggled.connect(lambda on: self._show_fuse())
            answer.fuse.setVisible(len(names) > 1)
            answer.show_active(answer.name == self.active)
            self.box.addWidget(answer)
        self._show_fuse()

    def _failed(self, error: Exception) -> None:
        self.notice.say(sentence(error), "bad")

    # several adapters

    def activate(self, name: str) -> None:
        """Show the parts and the map of the adapter called ``name``."""
        if name == self.active:
            return
        self.active = name
        for answer in self.answers.values():
            answer.show_active(answer.name == name)
        self._show_dials()
        self._show_look()

    def _add_menu(self) -> None:
        menu = Menu(self)
        own = self._room.run
        same = self.workspace.runs.row(own)
        rows = [
            row
            for row in self.workspace.runs.rows
            if same and row.accuracy is not None and row.name != same.name and row.backbone == same.backbone
        ]
        for row in rows:
            menu.addAction(f"{percent(row.accuracy or 0)}   {row.name}", partial(self.add, row.run.path))
        if rows:
            menu.addSeparator()
        menu.addAction(tr("From a folder…"), self._add_folder)
        menu.exec(self.add_button.mapToGlobal(QPoint(0, self.add_button.height() + 2)))
        menu.deleteLater()

    def _add_folder(self) -> None:
        path = QFileDialog.getExistingDirectory(self, tr("Choose a run or an exported adapter"))
        if path:
            self.add(Path(path))

    def add(self, source: Path) -> None:
        """Put another run or adapter beside the run."""
        self.notice.say(tr("Reading {name}…", name=source.name))
        self._room.ask(lambda bench: bench.add(source), self._added, self._failed)

    def _added(self, name: str) -> None:
        self.notice.say("")
        self._refresh()

    def _remove(self, name: str) -> None:
        self._room.ask(lambda bench: bench.remove(name), lambda none: self._refresh(), self._failed)

    def _show_fuse(self) -> None:
        self.fuse_button.setVisible(len(self.answers) > 1)
        self.fuse_button.setEnabled(sum(answer.fuse.isChecked() for answer in self.answers.values()) > 1)

    def fuse(self) -> None:
        """Begin a recipe that fuses the ticked adapters, as one step of the history."""
        run = self._room.run
        names = [answer.name for answer in self.answers.values() if answer.fuse.isChecked()]
        if run is None or len(names) < 2:
            return
        self.notice.say(tr("Exporting the adapters so that the recipe can name them…"))
        self._room.ask(lambda bench: bench.fused(run.recipe, names), self._fused, self._failed)

    def _fused(self, recipe: "Recipe") -> None:
        self.workspace.document.edit(tr("Fuse adapters"), recipe)
        words = tr("The recipe now fuses these adapters. Look at it under Backbone and adapters, then train it.")
        self.notice.say(words, "good")

    # parts

    def _show_dials(self) -> None:
        clear(self.parts_box)
        self.rows = [DialRow(dial) for dial in self.dials.get(self.active, ())]
        for row in self.rows:
            row.turned.connect(self._turn)
            self.parts_box.addWidget(row)
        self.no_parts.setVisible(not self.rows)
        alone = tr("It trained the classifier alone, so there is nothing to switch.")
        self.no_parts.setText(alone if self.active else tr("The adapter is being read…"))
        self.reset_button.setVisible(bool(self.rows))

    def _turn(self, dial: "Dial") -> None:
        name = self.active
        self._room.ask(
            lambda bench: bench.set_dial(name, dial.name, dial.on, dial.strength),
            lambda none: self._refresh(),
            self._failed,
            f"turn {dial.name}",
        )

    def _reset(self) -> None:
        for row in self.rows:
            row.switch.setChecked(True)
            row.slider.setValue(WHOLE)

    # where it looked

    def _show_look(self) -> None:
        image, name = self.image, self.active
        number = next(i for i in range(len(_KINDS)) if self.kind.button(i).isChecked())
        kind = _KINDS[number][1]
        if image is None or not name:
            return
        if kind is None:
            self._show_picture(image)
            return
        self._room.ask(
            lambda bench: bench.look(name, image, kind),
            lambda look: self._take_look(look, image, kind),
            self._look_failed,
            "look",
        )

    def _take_look(self, look: "Look", image: Path, kind: "Kind") -> None:
        number = [k for _, k in _KINDS].index(kind)
        if image == self.image and self.kind.button(number).isChecked():
            self.view.show_look(look)

    def _look_failed(self, error: Exception) -> None:
        self.view.show_look(None)
        self.notice.say(sentence(error), "warn" if isinstance(error, StudioError) else "bad")
