"""The building blocks of pages: labels, buttons, cards, banners and layouts."""

from collections.abc import Callable
from typing import ClassVar

from PySide6.QtCore import QSize, Qt
from PySide6.QtGui import QAction
from PySide6.QtWidgets import (
    QFrame,
    QHBoxLayout,
    QLabel,
    QLayout,
    QPushButton,
    QScrollArea,
    QSizePolicy,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from studio.ui.i18n.language import localized
from studio.ui.style.icons import TEXT_GAP, IconTint, pixmap
from studio.ui.style.theme import theme


def text_label(content: str = "", role: str = "", wrap: bool = False) -> QLabel:
    """Return a label of plain text.

    Roles: title, heading, muted, caption, figure, field, good, bad.
    """
    label = QLabel(content)
    label.setTextFormat(Qt.TextFormat.PlainText)
    label.setProperty("role", role)
    label.setWordWrap(wrap)
    if wrap:
        label.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Minimum)
    return label


def button(text: str, clicked: Callable[[], object] | None = None, icon: str = "", kind: str = "") -> QPushButton:
    """Return a push button. Kinds: primary, quiet, danger."""
    push_button = QPushButton(text)
    push_button.setProperty("kind", kind)
    push_button.setCursor(Qt.CursorShape.PointingHandCursor)
    if icon:
        IconTint(push_button, icon, {"primary": "on_accent", "quiet": "accent", "danger": "bad"}.get(kind, "text"))
        push_button.setIconSize(QSize(16 + TEXT_GAP, 16))
    if clicked:
        push_button.clicked.connect(lambda checked=False: clicked())
    return push_button


def next_button(text: str, clicked: Callable[[], object]) -> QPushButton:
    """Return a button with an arrow to the right of its text."""
    push_button = button(text, clicked, "chevron-right")
    push_button.setLayoutDirection(Qt.LayoutDirection.RightToLeft)
    return push_button


class IconButton(QToolButton):
    """A button with an icon only; ``text`` is its tool tip and accessible name."""

    def __init__(self, text: str, icon: str, clicked: Callable[[], object] | None = None) -> None:
        super().__init__()
        self.icon_tint = IconTint(self, icon, "muted")
        self.setIconSize(QSize(18, 18))
        self.setToolTip(text)
        self.setAccessibleName(text)
        if clicked:
            self.clicked.connect(lambda checked=False: clicked())


class Icon(QLabel):
    """An icon in a color of the theme."""

    def __init__(self, name: str, color: str = "text", size: int = 16) -> None:
        super().__init__()
        self._name, self._color, self._size = name, color, size
        self.setFixedSize(size, size)
        self._draw()

    def show_icon(self, name: str, color: str) -> None:
        """Change to another icon."""
        self._name, self._color = name, color
        self._draw()

    def _draw(self) -> None:
        self.setPixmap(pixmap(self._name, self._color, self._size))


class ColorSwatch(QFrame):
    """A small disc in a color of the theme, for legends."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self._name = name
        self.setFixedSize(8, 8)
        self._draw()

    def _draw(self) -> None:
        self.setStyleSheet(f"background: {getattr(theme().tokens, self._name)}; border-radius: 4px;")


class VBox(QVBoxLayout):
    """Widgets from top to bottom; an int is a fixed space, None a stretch."""

    def __init__(self, *items: object, gap: int = 8, margins: tuple[int, int, int, int] = (0, 0, 0, 0)) -> None:
        super().__init__()
        add_items(self, items, gap, margins)


class HBox(QHBoxLayout):
    """Widgets from left to right; an int is a fixed space, None a stretch."""

    def __init__(self, *items: object, gap: int = 8, margins: tuple[int, int, int, int] = (0, 0, 0, 0)) -> None:
        super().__init__()
        add_items(self, items, gap, margins)


def add_items(
    box: QVBoxLayout | QHBoxLayout, items: tuple[object, ...], gap: int, margins: tuple[int, int, int, int]
) -> None:
    """Add ``items`` to ``box``; a pair is a widget or layout with its stretch."""
    box.setSpacing(gap)
    box.setContentsMargins(*margins)
    for item in items:
        add_item(box, item)


def container(layout: QLayout, name: str = "") -> QWidget:
    """Return a plain widget with ``layout``."""
    widget = QWidget()
    widget.setObjectName(name)
    widget.setLayout(layout)
    return widget


class Card(QFrame):
    """A panel with an optional heading, and widgets at the right end of the heading."""

    def __init__(
        self, heading: str, *items: object, heading_items: tuple[object, ...] = (), gap: int = 8, padding: int = 16
    ) -> None:
        super().__init__()
        self.setProperty("role", "card")
        self.body = VBox(gap=gap, margins=(padding, padding - 2, padding, padding))
        self.heading = text_label(heading, "heading")
        if heading:
            self.body.addLayout(HBox(self.heading, None, *heading_items))
        for item in items:
            add_item(self.body, item)
        self.setLayout(self.body)


def add_item(box: QVBoxLayout | QHBoxLayout, item: object) -> None:
    """Add one item to ``box`` by the rules of :func:`add_items`."""
    item, stretch = item if isinstance(item, tuple) else (item, 0)
    if item is None:
        box.addStretch(1)
    elif isinstance(item, int):
        box.addSpacing(item)
    elif isinstance(item, QLayout):
        box.addLayout(item, stretch)
    elif isinstance(item, QWidget):
        box.addWidget(item, stretch)


class Banner(QFrame):
    """One sentence on a colored ground with an icon, and buttons for what can be done.

    Hidden while it is empty.
    """

    _ICONS: ClassVar[dict[str, tuple[str, str]]] = {
        "bad": ("error", "bad"),
        "warn": ("warning", "adapter"),
        "good": ("check", "good"),
        "info": ("info", "accent"),
    }

    def __init__(self, tone: str = "info", message: str = "") -> None:
        super().__init__()
        self.setProperty("role", "notice")
        self._icon = Icon("info", "accent", 18)
        self._label = text_label("", wrap=True)
        self._label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self._buttons = HBox(gap=6)
        self._button_row = container(self._buttons)
        row = HBox((self._icon, 0), (VBox(self._label, self._button_row, gap=6), 1), gap=10, margins=(12, 9, 12, 9))
        row.setAlignment(self._icon, Qt.AlignmentFlag.AlignTop)
        self.setLayout(row)
        self.show_message(message, tone)

    def show_message(self, message: str, tone: str = "info", *actions: QAction) -> None:
        """Show a sentence with a button for each of ``actions``.

        An empty one hides the banner.

        Tones: info, good, warn, bad.
        """
        self.setProperty("tone", tone)
        self._icon.show_icon(*self._ICONS[tone])
        self._label.setText(localized(message))
        clear_layout(self._buttons)
        for action in actions:
            made = button(action.text(), action.trigger)
            made.setToolTip(action.toolTip() if action.toolTip() != action.text() else "")
            self._buttons.addWidget(made)
        self._buttons.addStretch(1)
        self._button_row.setVisible(bool(actions))
        self.setVisible(bool(message))
        repolish(self)

    @property
    def buttons(self) -> list[QPushButton]:
        """The buttons of the actions, in their order."""
        return self._button_row.findChildren(QPushButton)

    @property
    def message(self) -> str:
        """The text that is shown."""
        return self._label.text()


class Paragraph(QLabel):
    """Centered text of a fixed width, as high as it needs to be."""

    def __init__(self, content: str, width: int) -> None:
        super().__init__()
        self.setTextFormat(Qt.TextFormat.PlainText)
        self.setProperty("role", "muted")
        self.setWordWrap(True)
        self.setAlignment(Qt.AlignmentFlag.AlignHCenter | Qt.AlignmentFlag.AlignTop)
        self.setFixedWidth(width)
        self.setText(content)

    def setText(self, content: str) -> None:
        """Show ``content`` and adjust the height to it."""
        super().setText(content)
        self.ensurePolished()
        self.setFixedHeight(self.heightForWidth(self.width()))


class EmptyState(QWidget):
    """The content of an empty page: an icon, a heading, a sentence and buttons."""

    def __init__(self, icon: str, heading: str, description: str, *buttons: QWidget, width: int = 380) -> None:
        super().__init__()
        image = Icon(icon, "faint", 40)
        self.heading, self.description = text_label(heading, "heading"), Paragraph(description, width)
        self.heading.setAlignment(Qt.AlignmentFlag.AlignHCenter)
        box = VBox(None, image, 4, self.heading, self.description, 8, gap=6, margins=(24, 24, 24, 24))
        for widget in (image, self.heading, self.description):
            box.setAlignment(widget, Qt.AlignmentFlag.AlignHCenter)
        if buttons:
            box.addLayout(HBox(None, *buttons, None))
        box.addStretch(1)
        self.setLayout(box)


def separator() -> QFrame:
    """Return a thin horizontal line."""
    line = QFrame()
    line.setProperty("role", "line")
    line.setFixedHeight(1)
    return line


def scroll_area(widget: QWidget) -> QScrollArea:
    """Return a vertical scroll area without a frame around ``widget``."""
    area = QScrollArea()
    area.setWidgetResizable(True)
    area.setFrameShape(QFrame.Shape.NoFrame)
    area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
    widget.setObjectName(widget.objectName() or "scrolled")
    area.setWidget(widget)
    area.viewport().setAutoFillBackground(False)
    return area


def repolish(widget: QWidget) -> None:
    """Apply the style sheet again after a change of a property in its selectors."""
    widget.style().unpolish(widget)
    widget.style().polish(widget)


def clear_layout(layout: QLayout) -> None:
    """Remove and delete everything in ``layout``."""
    while (item := layout.takeAt(0)) is not None:
        if widget := item.widget():
            widget.hide()  # Qt shows added widgets a moment later; without a parent it would become a window
            widget.setParent(None)
            widget.deleteLater()
        elif inner := item.layout():
            clear_layout(inner)
