"""What the check found: for each finding a sentence, some of its images, and what can be done about it."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QRect, Signal
from PySide6.QtGui import QPainter, QPaintEvent
from PySide6.QtWidgets import QFrame, QWidget

from studio.core.recipe import Data
from studio.ui.i18n.language import language, tr
from studio.ui.pages.data.images_tab import kind_words
from studio.ui.services.image_scan import Scan
from studio.ui.services.recipe_edits import with_data
from studio.ui.services.thumbnails import Thumbnails
from studio.ui.services.workspace import Workspace
from studio.ui.style.icons import pixmap
from studio.ui.style.theme import colour
from studio.ui.widgets.components import Column, Notice, Picture, Row, button, clear, holder, scrolled, text

if TYPE_CHECKING:
    from studio.data.checks.fixes import Fix
    from studio.data.dataset.index import DatasetIndex
    from studio.data.images.file_index import Issue

_SIDE, _GAP, _NAMED = 56, 6, 3
_GRAVE = ("leakage", "two-labels", "no-training-images", "unreadable", "truncated", "empty", "bomb", "vanished")
"""Kinds that make a score wrong or cost images, the worst first; the others are shown below them, more quietly."""
_LETTERS = 48
"""A name may be broken after so many letters, so that a long one does not widen the page."""


class Strip(QWidget):
    """A row of thumbnails, as many as there is room for."""

    def __init__(self, thumbnails: Thumbnails, paths: tuple[Path, ...]) -> None:
        super().__init__()
        self._thumbnails, self._paths = thumbnails, paths
        self.setFixedHeight(_SIDE)
        thumbnails.made.connect(self.update)

    def paintEvent(self, event: QPaintEvent) -> None:
        """Qt: draw those that fit."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
        for place, path in enumerate(self._paths[: max(1, (self.width() + _GAP) // (_SIDE + _GAP))]):
            box = QRect(place * (_SIDE + _GAP), 0, _SIDE, _SIDE)
            picture = self._thumbnails.picture(path)
            if picture is None or picture.isNull():
                painter.fillRect(box, colour("sunken"))
                if picture is not None:
                    painter.drawPixmap(box.center().x() - 9, box.center().y() - 9, pixmap("error", "faint", 18))
            else:
                painter.drawPixmap(box, picture)


class FindingCard(QFrame):
    """One finding. ``chosen`` carries what to do, ``looked_for`` the kind whose images are to be shown."""

    chosen = Signal(object)
    looked_for = Signal(str)

    def __init__(
        self, finding: "Issue", offered: "tuple[Fix, ...]", strip: Strip | None, can_be_shown: bool
    ) -> None:
        super().__init__()
        self.setProperty("role", "card")
        self.finding = finding
        grave = finding.kind in _GRAVE
        icon = Picture("warning" if grave else "info", "adapter" if grave else "accent", 20)
        said = text(breakable(tr(finding.text)), wrap=True)
        words = Column(text(kind_words(finding.kind), "heading"), said, gap=2)
        self.buttons = [self._button(remedy) for remedy in offered]
        if can_be_shown:
            self.buttons.append(button(tr("Show"), lambda: self.looked_for.emit(finding.kind), "eye", "quiet"))
        names = text(_names(finding.files), "caption", wrap=True)
        names.setVisible(bool(finding.files))
        buttons = Row(*self.buttons, None, gap=6) if strip else Column(Row(*self.buttons, gap=6), None)
        right = Column(words, *((strip,) if strip else ()), names, *((buttons,) if strip else ()), gap=6)
        beside = () if strip else ((buttons, 0),)
        self.setLayout(Row((Column(icon, None), 0), (right, 1), *beside, gap=12, margins=(14, 12, 14, 12)))

    def _button(self, remedy: "Fix") -> QWidget:
        made = button(tr(remedy.label), lambda: self.chosen.emit(remedy))
        made.setToolTip(tr(remedy.description))
        made.setAccessibleDescription(tr(remedy.description))
        return made


class FindingsTab(QWidget):
    """All findings; ``shown`` carries the kind of one whose images are to be looked at in the grid."""

    shown = Signal(str)

    def __init__(self, workspace: Workspace) -> None:
        super().__init__()
        self._workspace = workspace
        self._listed: tuple[object, ...] = ()
        self._box = Column(gap=10)
        self.cards: list[FindingCard] = []
        self.note = Notice()
        self.again = button(tr("Mention again what was kept"), self._mention, kind="quiet")
        inside = holder(Column(self._box, Row(self.again, None), None, gap=10, margins=(0, 0, 10, 0)))
        self.setLayout(Column(self.note, (scrolled(inside), 1), gap=10))

    def show_scan(self, scan: Scan) -> None:
        """Show the findings of ``scan``; cards stay while nothing changed, so that the focus does."""
        summary, data = scan.summary, self._workspace.recipe.data
        self._say(scan)
        self.again.setVisible(bool(summary and summary.acknowledged))
        now = (summary.issues, data, summary.path, language().code) if summary else ()
        if now != self._listed:
            self._listed = now
            self._fill(summary, data)

    def _say(self, scan: Scan) -> None:
        if scan.stopped:
            self.note.say(tr("The images were not all opened, so there may be more. Look again to check them."), "warn")
        elif scan.checked and scan.summary and not scan.summary.issues and not scan.busy:
            self.note.say(tr("Every image can be read, and nothing is wrong with them."), "good")
        else:
            self.note.say("")

    def _fill(self, summary: "DatasetIndex | None", data: Data) -> None:
        from studio.data.checks.fixes import fixes_for

        clear(self._box)
        self.cards = []
        for finding in sorted(summary.issues, key=_rank) if summary else ():
            strip = Strip(self._workspace.images.thumbnails, tuple(summary.path / file for file in finding.files[:24]))
            offered = fixes_for(finding, data, summary.split_by_recipe)
            is_seen = any(file in summary.by_path for file in finding.files)
            card = FindingCard(finding, offered, strip if is_seen else None, is_seen)
            card.chosen.connect(lambda remedy, finding=finding: self._do(finding, remedy))
            card.looked_for.connect(self.shown.emit)
            self.cards.append(card)
            self._box.addWidget(card)

    def _do(self, finding: "Issue", remedy: "Fix") -> None:
        words = f"{tr(remedy.label)}: {kind_words(finding.kind)}"
        self._edit(words, lambda data: remedy.data)

    def _mention(self) -> None:
        self._edit(tr("Mention again what was kept"), lambda data: data.model_copy(update={"acknowledged": {}}))

    def _edit(self, words: str, change: Callable[[Data], Data]) -> None:
        recipe = self._workspace.recipe
        self._workspace.document.edit(words, with_data(recipe, change(recipe.data)))


def _rank(finding: "Issue") -> int:
    return _GRAVE.index(finding.kind) if finding.kind in _GRAVE else len(_GRAVE)


def breakable(words: str) -> str:
    """``words`` with places in very long ones where a line may end."""
    return re.sub(rf"\S{{{_LETTERS}}}", "\\g<0>\u200b", words)


def _names(files: tuple[Path, ...]) -> str:
    from studio.data.images.path_text import display_path

    named = breakable(", ".join(display_path(file) for file in files[:_NAMED]))
    more = len(files) - _NAMED
    return tr("{names} and {n} more", names=named, n=more) if more > 0 else named
