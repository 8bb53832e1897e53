"""The Issues tab: a sentence, some images and the fixes of each issue."""

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QRect, Signal
from PySide6.QtGui import QPainter, QPaintEvent
from PySide6.QtWidgets import QFrame, QWidget

from studio.core.messages import N_
from studio.core.recipe import Data
from studio.ui.i18n.language import localized, tr
from studio.ui.pages.data.issue_titles import issue_title
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
from studio.ui.widgets.scroll import restore_scroll

if TYPE_CHECKING:
    from studio.data.checks.fixes import Fix
    from studio.data.dataset.index import DatasetIndex
    from studio.data.images.file_index import Issue

_THUMBNAIL_SIZE, _GAP, _MAX_NAMED, _MAX_THUMBNAILS = 56, 6, 3, 24
_SERIOUS_KINDS = ("leakage", "two-labels", "no-training-images", "unreadable", "truncated", "empty", "bomb", "vanished")
"""Kinds that make a score wrong or cost images, the worst first; the others are shown below them as information."""
_MAX_WORD_LENGTH = 48
"""A name may be broken after this many letters, so that a long one does not widen the page."""


class ThumbnailStrip(QWidget):
    """A row of thumbnails, as many as fit."""

    def __init__(self, thumbnails: Thumbnails, paths: tuple[Path, ...]) -> None:
        super().__init__()
        self._thumbnails, self._paths = thumbnails, paths
        self.setFixedHeight(_THUMBNAIL_SIZE)
        thumbnails.loaded.connect(self.update)

    def paintEvent(self, event: QPaintEvent) -> None:
        """Qt: draw the thumbnails that fit."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
        fitting = max(1, (self.width() + _GAP) // (_THUMBNAIL_SIZE + _GAP))
        for number, path in enumerate(self._paths[:fitting]):
            box = QRect(number * (_THUMBNAIL_SIZE + _GAP), 0, _THUMBNAIL_SIZE, _THUMBNAIL_SIZE)
            thumbnail = self._thumbnails.pixmap(path)
            if thumbnail is None or thumbnail.isNull():
                painter.fillRect(box, color("sunken"))
                if thumbnail is not None:
                    painter.drawPixmap(box.center().x() - 9, box.center().y() - 9, pixmap("error", "faint", 18))
            else:
                painter.drawPixmap(box, thumbnail)


class IssueCard(QFrame):
    """One issue; ``chosen`` carries the fix, ``images_requested`` the kind to show."""

    chosen = Signal(object)
    images_requested = Signal(str)

    def __init__(
        self, issue: "Issue", fixes: "tuple[Fix, ...]", strip: ThumbnailStrip | None, can_be_shown: bool
    ) -> None:
        super().__init__()
        self.setProperty("role", "card")
        self.issue = issue
        serious = issue.kind in _SERIOUS_KINDS
        icon = Icon("warning" if serious else "info", "adapter" if serious else "accent", 20)
        text = text_label(add_break_points(localized(issue.text)), wrap=True)
        head = VBox(text_label(localized(issue_title(issue.kind)), "heading"), text, gap=2)
        self.buttons = [self._fix_button(fix) for fix in fixes]
        if can_be_shown:
            self.buttons.append(button(tr("Show"), lambda: self.images_requested.emit(issue.kind), "eye", "quiet"))
        names = text_label(_file_names(issue.files), "caption", wrap=True)
        names.setVisible(bool(issue.files))
        buttons = HBox(*self.buttons, None, gap=6) if strip else VBox(HBox(*self.buttons, gap=6), None)
        right = VBox(head, *((strip,) if strip else ()), names, *((buttons,) if strip else ()), gap=6)
        beside = () if strip else ((buttons, 0),)
        self.setLayout(HBox((VBox(icon, None), 0), (right, 1), *beside, gap=12, margins=(14, 12, 14, 12)))

    def _fix_button(self, fix: "Fix") -> QWidget:
        fix_button = button(localized(fix.label), lambda: self.chosen.emit(fix))
        fix_button.setToolTip(localized(fix.description))
        fix_button.setAccessibleDescription(localized(fix.description))
        return fix_button


class IssuesTab(QWidget):
    """All issues; ``images_requested`` carries a kind whose images are to be shown."""

    images_requested = Signal(str)

    def __init__(self, workspace: Workspace) -> None:
        super().__init__()
        self._workspace = workspace
        self._listed: tuple[object, ...] = ()
        self._box = VBox(gap=10)
        self.cards: list[IssueCard] = []
        self.banner = Banner()
        self.show_acknowledged_button = button(tr("Show ignored issues"), self._clear_acknowledged, kind="quiet")
        below = HBox(self.show_acknowledged_button, None)
        self.scroll_area = scroll_area(container(VBox(self._box, below, None, gap=10, margins=(0, 0, 10, 0))))
        self.setLayout(VBox(self.banner, (self.scroll_area, 1), gap=10))

    def show_scan(self, scan: ScanResult) -> None:
        """Show the issues of ``scan``.

        Unchanged cards stay, and with them the keyboard focus.
        """
        summary, data = scan.summary, self._workspace.recipe.data
        self._show_status(scan)
        self.show_acknowledged_button.setVisible(bool(summary and summary.acknowledged))
        now = (summary.issues, data, summary.path) if summary else ()
        if now != self._listed:
            self._listed = now
            self._fill(summary, data)

    def view_state(self) -> dict[str, Any]:
        """Return the scroll position."""
        return {"scroll": self.scroll_area.verticalScrollBar().value()}

    def restore_view_state(self, state: Mapping[str, Any]) -> None:
        """Restore the values of :meth:`view_state`."""
        restore_scroll(self.scroll_area, state.get("scroll", 0))

    def _show_status(self, scan: ScanResult) -> None:
        if scan.stopped:
            text = tr("The check was stopped, so there may be more issues. Check again to open the other images.")
            self.banner.show_message(text, "warn")
        elif scan.checked and scan.summary and not scan.summary.issues and not scan.busy:
            self.banner.show_message(tr("All images are readable. No issues."), "good")
        else:
            self.banner.show_message("")

    def _fill(self, summary: "DatasetIndex | None", data: Data) -> None:
        from studio.data.checks.fixes import fixes_for

        clear_layout(self._box)
        self.cards = []
        for issue in sorted(summary.issues, key=_severity_rank) if summary else ():
            paths = tuple(summary.path / file for file in issue.files[:_MAX_THUMBNAILS])
            strip = ThumbnailStrip(self._workspace.images.thumbnails, paths)
            fixes = fixes_for(issue, data, summary.split_by_recipe)
            is_shown = any(file in summary.by_path for file in issue.files)
            card = IssueCard(issue, fixes, strip if is_shown else None, is_shown)
            card.chosen.connect(lambda fix, issue=issue: self._apply_fix(issue, fix))
            card.images_requested.connect(self.images_requested.emit)
            self.cards.append(card)
            self._box.addWidget(card)

    def _apply_fix(self, issue: "Issue", fix: "Fix") -> None:
        step = N_("{fix}: {issue}", fix=fix.label, issue=issue_title(issue.kind))
        self._edit(step, lambda data: fix.data)

    def _clear_acknowledged(self) -> None:
        self._edit(N_("Show ignored issues"), lambda data: data.model_copy(update={"acknowledged": {}}))

    def _edit(self, step_text: str, change: Callable[[Data], Data]) -> None:
        recipe = self._workspace.recipe
        self._workspace.document.edit(step_text, with_data(recipe, change(recipe.data)))


def _severity_rank(issue: "Issue") -> int:
    return _SERIOUS_KINDS.index(issue.kind) if issue.kind in _SERIOUS_KINDS else len(_SERIOUS_KINDS)


def add_break_points(text: str) -> str:
    """Return ``text`` with break opportunities in very long words."""
    return re.sub(rf"\S{{{_MAX_WORD_LENGTH}}}", "\\g<0>\u200b", text)


def _file_names(files: tuple[Path, ...]) -> str:
    from studio.data.images.path_text import display_path

    named = add_break_points(", ".join(display_path(file) for file in files[:_MAX_NAMED]))
    more = len(files) - _MAX_NAMED
    return tr("{names} and {n:,} more", names=named, n=more) if more > 0 else named
