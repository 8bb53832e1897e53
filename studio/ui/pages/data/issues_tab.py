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
from studio.ui.pages.data.images_tab import issue_title
from studio.ui.services.image_scan import ScanResult
from studio.ui.services.recipe_edits import with_data
from studio.ui.services.thumbnails import Thumbnails
from studio.ui.services.workspace import Workspace
from studio.ui.style.icons import pixmap
from studio.ui.style.theme import color
from studio.ui.widgets.components import (
    Banner,
    HBox,
    Icon,
    VBox,
    button,
    clear_layout,
    container,
    scroll_area,
    text_label,
)

if TYPE_CHECKING:
    from studio.data.checks.fixes import Fix
    from studio.data.dataset.index import DatasetIndex
    from studio.data.images.file_index import Issue

_THUMBNAIL_SIZE, _GAP, _MAX_NAMED = 56, 6, 3
_SERIOUS_KINDS = ("leakage", "two-labels", "no-training-images", "unreadable", "truncated", "empty", "bomb", "vanished")
"""Kinds that make a score wrong or cost images, the worst first; the others are shown below them, more quietly."""
_MAX_WORD_LENGTH = 48
"""A name may be broken after so many letters, so that a long one does not widen the page."""


class ThumbnailStrip(QWidget):
    """A row of thumbnails, as many as there is room for."""

    def __init__(self, thumbnails: Thumbnails, paths: tuple[Path, ...]) -> None:
        super().__init__()
        self._thumbnails, self._paths = thumbnails, paths
        self.setFixedHeight(_THUMBNAIL_SIZE)
        thumbnails.loaded.connect(self.update)

    def paintEvent(self, event: QPaintEvent) -> None:
        """Qt: draw those that fit."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
        for place, path in enumerate(self._paths[: max(1, (self.width() + _GAP) // (_THUMBNAIL_SIZE + _GAP))]):
            box = QRect(place * (_THUMBNAIL_SIZE + _GAP), 0, _THUMBNAIL_SIZE, _THUMBNAIL_SIZE)
            picture = self._thumbnails.pixmap(path)
            if picture is None or picture.isNull():
                painter.fillRect(box, color("sunken"))
                if picture is not None:
                    painter.drawPixmap(box.center().x() - 9, box.center().y() - 9, pixmap("error", "faint", 18))
            else:
                painter.drawPixmap(box, picture)


class IssueCard(QFrame):
    """One finding. ``chosen`` carries what to do, ``images_requested`` the kind whose images are to be shown."""

    chosen = Signal(object)
    images_requested = Signal(str)

    def __init__(
        self, issue: "Issue", fixes: "tuple[Fix, ...]", strip: ThumbnailStrip | None, can_be_shown: bool
    ) -> None:
        super().__init__()
        self.setProperty("role", "card")
        self.issue = issue
        grave = issue.kind in _SERIOUS_KINDS
        icon = Icon("warning" if grave else "info", "adapter" if grave else "accent", 20)
        said = text_label(add_break_points(tr(issue.text)), wrap=True)
        words = VBox(text_label(issue_title(issue.kind), "heading"), said, gap=2)
        self.buttons = [self._fix_button(remedy) for remedy in fixes]
        if can_be_shown:
            self.buttons.append(button(tr("Show"), lambda: self.images_requested.emit(issue.kind), "eye", "quiet"))
        names = text_label(_file_names(issue.files), "caption", wrap=True)
        names.setVisible(bool(issue.files))
        buttons = HBox(*self.buttons, None, gap=6) if strip else VBox(HBox(*self.buttons, gap=6), None)
        right = VBox(words, *((strip,) if strip else ()), names, *((buttons,) if strip else ()), gap=6)
        beside = () if strip else ((buttons, 0),)
        self.setLayout(HBox((VBox(icon, None), 0), (right, 1), *beside, gap=12, margins=(14, 12, 14, 12)))

    def _fix_button(self, fix: "Fix") -> QWidget:
        made = button(tr(fix.label), lambda: self.chosen.emit(fix))
        made.setToolTip(tr(fix.description))
        made.setAccessibleDescription(tr(fix.description))
        return made


class IssuesTab(QWidget):
    """All findings; ``images_requested`` carries the kind of one whose images are to be looked at in the grid."""

    images_requested = Signal(str)

    def __init__(self, workspace: Workspace) -> None:
        super().__init__()
        self._workspace = workspace
        self._listed: tuple[object, ...] = ()
        self._box = VBox(gap=10)
        self.cards: list[IssueCard] = []
        self.banner = Banner()
        self.show_acknowledged_button = button(
            tr("Mention again what was kept"), self._clear_acknowledged, kind="quiet"
        )
        inside = container(
            VBox(self._box, HBox(self.show_acknowledged_button, None), None, gap=10, margins=(0, 0, 10, 0))
        )
        self.setLayout(VBox(self.banner, (scroll_area(inside), 1), gap=10))

    def show_scan(self, scan: ScanResult) -> None:
        """Show the findings of ``scan``; cards stay while nothing changed, so that the focus does."""
        summary, data = scan.summary, self._workspace.recipe.data
        self._show_status(scan)
        self.show_acknowledged_button.setVisible(bool(summary and summary.acknowledged))
        now = (summary.issues, data, summary.path, language().code) if summary else ()
        if now != self._listed:
            self._listed = now
            self._fill(summary, data)

    def _show_status(self, scan: ScanResult) -> None:
        if scan.stopped:
            self.banner.show_message(
                tr("The images were not all opened, so there may be more. Look again to check them."), "warn"
            )
        elif scan.checked and scan.summary and not scan.summary.issues and not scan.busy:
            self.banner.show_message(tr("Every image can be read, and nothing is wrong with them."), "good")
        else:
            self.banner.show_message("")

    def _fill(self, summary: "DatasetIndex | None", data: Data) -> None:
        from studio.data.checks.fixes import fixes_for

        clear_layout(self._box)
        self.cards = []
        for finding in sorted(summary.issues, key=_severity_rank) if summary else ():
            strip = ThumbnailStrip(
                self._workspace.images.thumbnails, tuple(summary.path / file for file in finding.files[:24])
            )
            offered = fixes_for(finding, data, summary.split_by_recipe)
            is_seen = any(file in summary.by_path for file in finding.files)
            card = IssueCard(finding, offered, strip if is_seen else None, is_seen)
            card.chosen.connect(lambda remedy, finding=finding: self._apply_fix(finding, remedy))
            card.images_requested.connect(self.images_requested.emit)
            self.cards.append(card)
            self._box.addWidget(card)

    def _apply_fix(self, issue: "Issue", fix: "Fix") -> None:
        words = f"{tr(fix.label)}: {issue_title(issue.kind)}"
        self._edit(words, lambda data: fix.data)

    def _clear_acknowledged(self) -> None:
        self._edit(tr("Mention again what was kept"), lambda data: data.model_copy(update={"acknowledged": {}}))

    def _edit(self, step_text: str, change: Callable[[Data], Data]) -> None:
        recipe = self._workspace.recipe
        self._workspace.document.edit(step_text, with_data(recipe, change(recipe.data)))


def _severity_rank(issue: "Issue") -> int:
    return _SERIOUS_KINDS.index(issue.kind) if issue.kind in _SERIOUS_KINDS else len(_SERIOUS_KINDS)


def add_break_points(text: str) -> str:
    """``text`` with places in very long ones where a line may end."""
    return re.sub(rf"\S{{{_MAX_WORD_LENGTH}}}", "\\g<0>\u200b", text)


def _file_names(files: tuple[Path, ...]) -> str:
    from studio.data.images.path_text import display_path

    named = add_break_points(", ".join(display_path(file) for file in files[:_MAX_NAMED]))
    more = len(files) - _MAX_NAMED
    return tr("{names} and {n} more", names=named, n=more) if more > 0 else named
